"""A plain Debian, as an installation leaves it, and the disk that `nodisk prepare` makes of it."""

import argparse
import hashlib
import os
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

from .nodisk import find_binary

RECIPE = Path(__file__).resolve().parents[2] / "image/debian12"
PASSWORD = "nodisk"
#: Of the machine that it was installed on.
MACHINE_ID = "0123456789abcdef0123456789abcdef"

#: Debian 12 and 13.
SUITES = ["bookworm", "trixie"]

# As after an ordinary installation, with what configures the network and a server for SSH.
SYSTEM = ("udev", "openssh-server", "initramfs-tools", "e2fsprogs", "logsave", "iproute2", "netbase",
          "open-iscsi", "busybox", "zstd", "libnss-myhostname", "ifupdown", "isc-dhcp-client")
SYSTEMD = ("linux-image-cloud-amd64", "systemd-sysv", "dbus", *SYSTEM)
# The same with dracut and all of its own modules for networks; the running system has NetworkManager beside ifupdown.
DRACUT = ("linux-image-cloud-amd64", "systemd-sysv", "dbus", "udev", "openssh-server", "dracut", "dracut-network",
          "e2fsprogs", "logsave", "iproute2", "netbase", "open-iscsi", "zstd", "libnss-myhostname", "ifupdown",
          "isc-dhcp-client", "network-manager")


@dataclass(frozen=True)
class System:
    """What is installed."""

    packages: tuple[str, ...]
    suite: str = "bookworm"


#: Debian 12 with either maker of its initramfs, and Debian 13 with the newer one of them.
SYSTEMS = {"initramfs-tools": System(SYSTEMD), "dracut": System(DRACUT), "dracut-trixie": System(DRACUT, "trixie")}

# What the card of QEMU's machines is called, BIOS' (ens3) and UEFI's; ifupdown takes it by either name.
CARDS = ["ens3", "enp0s3", "enp0s2"]
# Those that tests put into a slot of their choice.
SLOTS = [f"{bus}{slot}" for slot in (4, 8, 9) for bus in ("ens", "enp0s")]


def plain_tar(packages: tuple[str, ...] = SYSTEMD, suite: str = "bookworm") -> Path:
    """A plain Debian with these packages as a tar file in the cache."""
    cache = Path(os.environ.get("NODISK_CACHE", "/var/cache/nodisk"))
    cache.mkdir(parents=True, exist_ok=True)
    names = ",".join(packages)
    kept = cache / f"plain-{suite}-{hashlib.sha256(names.encode()).hexdigest()[:16]}.tar"
    if not kept.exists():
        part = kept.with_suffix(f".{os.getpid()}.tar")
        subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "mmdebstrap",
                        "--quiet", "--mode=root", "--variant=minbase", "--format=tar", f"--include={names}",
                        suite, part], check=True)
        part.rename(kept)
    return kept


def unpack(tar: Path, root: Path, cards: Sequence[str] = CARDS) -> None:
    """Into a new directory ROOT; every card would be set up by DHCP, and root has a password."""
    root.mkdir()
    subprocess.run(["tar", "-C", root, "--numeric-owner", "-xf", tar], check=True)
    interfaces = "auto lo\niface lo inet loopback\n" + "".join(
        f"allow-hotplug {card}\niface {card} inet dhcp\n" for card in cards)
    if (root / "etc/network").is_dir():
        (root / "etc/network/interfaces").write_text(interfaces)
    (root / "etc/machine-id").write_text(MACHINE_ID + "\n")
    subprocess.run(["chroot", root, "chpasswd"], input=f"root:{PASSWORD}", text=True, check=True)


def snapshot(root: Path) -> dict[str, tuple]:
    """All names with what they are, but for what update-initramfs makes."""
    found = {}
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if name.startswith(("boot/initrd.img", "var/lib/initramfs-tools")):
            continue
        st = path.lstat()
        what = os.readlink(path) if path.is_symlink() else None
        if path.is_file() and not path.is_symlink():
            what = hashlib.sha256(path.read_bytes()).digest()
        when = st.st_mtime_ns if path.is_file() and not path.is_symlink() else 0
        found[name] = (st.st_mode, st.st_uid, st.st_gid, when, what)
    return found


def prepare(root: Path, *arguments: str, code: int = 0) -> str:
    """`nodisk prepare` of the tree; what it says on standard output."""
    result = subprocess.run([find_binary(), "prepare", "--root", root, *arguments], capture_output=True,
                            text=True, timeout=1200)
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout


def builder() -> ModuleType:
    """image/debian12/build as a module, which can make a disk of a directory."""
    loader = SourceFileLoader("golden_build", str(RECIPE / "build"))
    module = module_from_spec(spec_from_loader("golden_build", loader))
    loader.exec_module(module)
    return module


def make_image(root: Path, work: Path, *arguments: str, size: int = 3 << 30) -> Path:
    """Prepares the tree (with ARGUMENTS, too) and makes a disk of it in the directory WORK.

    Its GRUB, for BIOS and UEFI, is the golden image's: there is no disk to install one on yet.
    """
    root_uuid = str(uuid.uuid4())
    (root / "boot/grub").mkdir(exist_ok=True)
    shutil.copy(RECIPE / "files/boot/grub/grub.cfg", root / "boot/grub")
    prepare(root, "--root-uuid", root_uuid, "--no-undo", *arguments)
    options = argparse.Namespace(size=size, stock=False)
    return builder().make_disk(options, work, work / "log", root, root_uuid)


def make_plain_image(root: Path, work: Path, size: int = 3 << 30) -> Path:
    """A disk of the tree as it is, in the directory WORK: it is installed, and nothing else.

    Its GRUB is the golden image's, for the same reason.
    """
    root_uuid = str(uuid.uuid4())
    (root / "boot/grub").mkdir(exist_ok=True)
    shutil.copy(RECIPE / "files/boot/grub/grub.cfg", root / "boot/grub")
    (root / "etc/fstab").write_text(f"UUID={root_uuid} / ext4 errors=remount-ro 0 1\n")
    options = argparse.Namespace(size=size, stock=True)
    return builder().make_disk(options, work, work / "log", root, root_uuid)


def make_prepared(name: str, work: Path, *arguments: str) -> Path:
    """A disk of one of SYSTEMS, in which ifupdown would set up each card by DHCP, prepared; in the directory WORK."""
    root, system = work / "root", SYSTEMS[name]
    unpack(plain_tar(system.packages, system.suite), root, CARDS + SLOTS)
    made = make_image(root, work, *arguments)
    shutil.rmtree(root)
    return made
