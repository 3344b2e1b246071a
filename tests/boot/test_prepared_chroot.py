"""Prepared from inside, by chroot after an installation, a system is what it is when prepared from outside."""

import shutil
import subprocess
from pathlib import Path

import pytest

from lab.nodisk import find_binary
from lab.prepared import SUITES, plain_tar, prepare, snapshot, unpack

pytestmark = pytest.mark.full

ROOT_UUID = "11111111-2222-3333-4444-555555555555"
PROGRAM = "opt/nodisk"


def put_program(root: Path) -> None:
    """The program and its libraries into a directory of their own, as the package would bring them."""
    place = root / PROGRAM
    place.mkdir(parents=True)
    said = subprocess.run(["ldd", find_binary()], capture_output=True, text=True, check=True).stdout
    libraries = [word for word in said.split() if word.startswith("/")]
    for path in libraries:
        shutil.copy(path, place)
    shutil.copy(find_binary(), place / "nodisk")


def prepare_in_chroot(root: Path, *arguments: str, code: int = 0) -> str:
    """As from Debian's installer: its mounts, and chroot."""
    inside = f"/{PROGRAM}/ld-linux-x86-64.so.2 --library-path /{PROGRAM} /{PROGRAM}/nodisk prepare {' '.join(arguments)}"
    script = (f"mount -t proc proc {root}/proc && mount --rbind /sys {root}/sys && mount --rbind /dev {root}/dev && "
              f"exec chroot {root} {inside}")
    result = subprocess.run(["unshare", "--mount", "--pid", "--fork", "sh", "-c", script], capture_output=True,
                            text=True, timeout=1800)
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout


def contents(root: Path) -> dict[str, tuple]:
    """All but times, the record for undo, which has them, the program, and the salt of a password."""
    return {name: (mode, uid, gid, what) for name, (mode, uid, gid, _, what) in snapshot(root).items()
            if not name.startswith(("var/lib/nodisk-prepare", PROGRAM, "etc/shadow"))}


def initramfs(root: Path) -> list[str]:
    """What is in the initramfs, by the system's own program."""
    image = next(root.glob("boot/initrd.img-*")).relative_to(root)
    return sorted(subprocess.run(["chroot", root, "lsinitramfs", f"/{image}"], capture_output=True, text=True,
                                 check=True).stdout.split())


@pytest.mark.parametrize("suite", SUITES)
def test_chroot_and_root_are_the_same(suite: str, tmp_path: Path) -> None:
    """The same files, the same initramfs, nothing left to do and nothing found, from either side."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for root in (inside, outside):
        unpack(plain_tar(suite=suite), root)
        put_program(root)
    before = contents(inside)
    assert before == contents(outside)
    assert "error: machine-id" in prepare_in_chroot(inside, "--check", code=1)
    prepare_in_chroot(inside, "--root-uuid", ROOT_UUID)
    prepare(outside, "--root-uuid", ROOT_UUID)
    assert contents(inside) == contents(outside) != before
    assert initramfs(inside) == initramfs(outside)
    assert prepare_in_chroot(inside, "--check") == prepare(inside, "--check") == "nothing found\n"
    assert prepare_in_chroot(outside) == "nothing to do: it is prepared\n"
    shutil.rmtree(inside)
    shutil.rmtree(outside)
