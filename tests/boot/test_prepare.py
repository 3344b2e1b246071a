"""A plain Debian, prepared by `nodisk prepare` and nothing else, is one that boots diskless."""

import argparse
import hashlib
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest
from test_golden_image import ADDRESS, HANGS, MAC, NAME, Setup, check_running, debugfs

from conftest import PASSWORD, ROOT
from lab.nodisk import Nodisk, find_binary
from lab.process import wait_until
from lab.qemu import Machine

pytestmark = pytest.mark.full

# As after an ordinary installation, with what configures the network and a server for SSH.
PACKAGES = ("linux-image-cloud-amd64,systemd-sysv,dbus,udev,openssh-server,initramfs-tools,e2fsprogs,logsave,"
            "iproute2,netbase,open-iscsi,busybox,zstd,libnss-myhostname,ifupdown,isc-dhcp-client")

# What the card of QEMU's machine is called; ifupdown takes it by either name.
CARDS = ["ens3", "enp0s3"]


def make_plain() -> Path:
    """A plain Debian 12 as a tar file in the cache."""
    cache = Path(os.environ.get("NODISK_CACHE", "/var/cache/nodisk"))
    cache.mkdir(parents=True, exist_ok=True)
    kept = cache / f"plain-bookworm-{hashlib.sha256(PACKAGES.encode()).hexdigest()[:16]}.tar"
    if not kept.exists():
        part = kept.with_suffix(".part.tar")
        subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "mmdebstrap",
                        "--quiet", "--mode=root", "--variant=minbase", "--format=tar", f"--include={PACKAGES}",
                        "bookworm", part], check=True)
        part.rename(kept)
    return kept


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A plain Debian 12 in a directory, in which every card would be set up by DHCP."""
    root = tmp_path_factory.mktemp("plain") / "root"
    root.mkdir()
    subprocess.run(["tar", "-C", root, "--numeric-owner", "-xf", make_plain()], check=True)
    interfaces = "auto lo\niface lo inet loopback\n" + "".join(
        f"allow-hotplug {card}\niface {card} inet dhcp\n" for card in CARDS)
    (root / "etc/network/interfaces").write_text(interfaces)
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    subprocess.run(["chroot", root, "chpasswd"], input=f"root:{PASSWORD}", text=True, check=True)
    yield root
    shutil.rmtree(root)


def prepare(root: Path, *arguments: str, code: int = 0) -> str:
    """`nodisk prepare` of the tree; what it says on standard output."""
    result = subprocess.run([find_binary(), "prepare", "--root", root, *arguments], capture_output=True,
                            text=True, timeout=600)
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout


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


def builder():
    """image/debian12/build as a module, which can make a disk of a directory."""
    loader = SourceFileLoader("golden_build", str(ROOT / "image/debian12/build"))
    module = module_from_spec(spec_from_loader("golden_build", loader))
    loader.exec_module(module)
    return module


def test_a_real_debian(plain: Path) -> None:
    """The doctor finds much, then nothing; a second run does nothing; undo gives all back."""
    before = snapshot(plain)
    root_uuid = str(uuid.uuid4())
    assert "error: initramfs-iscsi-auto" in prepare(plain, "--check", code=1)
    assert "files changed" in prepare(plain, "--root-uuid", root_uuid)
    assert prepare(plain, "--check") == "nothing found\n"
    assert snapshot(plain) != before
    prepared = snapshot(plain)
    assert prepare(plain) == "nothing to do: it is prepared\n"
    assert snapshot(plain) == prepared
    prepare(plain, "--undo")
    assert snapshot(plain) == before
    assert "error: initramfs-iscsi-auto" in prepare(plain, "--check", code=1)


@pytest.fixture(scope="module")
def image(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk of it, prepared. Its GRUB is the golden image's: there is no disk to install one on yet."""
    work = tmp_path_factory.mktemp("disk")
    root_uuid = str(uuid.uuid4())
    (plain / "boot/grub").mkdir(exist_ok=True)
    shutil.copy(ROOT / "image/debian12/files/boot/grub/grub.cfg", plain / "boot/grub")
    prepare(plain, "--root-uuid", root_uuid, "--no-undo")
    options = argparse.Namespace(size=3 << 30, stock=False)
    yield builder().make_disk(options, work, work / "log", plain, root_uuid)
    shutil.rmtree(work)


def check_left_alone(machine: Machine) -> None:
    """ifupdown runs, but has not touched the card, and does not when it is asked again."""
    assert set(CARDS) <= set(machine.run("ls /run/nodisk/boot-card").output.split())
    assert machine.run("systemctl is-active networking.service").output == "active"
    machine.run("systemctl restart networking.service systemd-networkd.service", timeout=300)
    assert "dhclient" not in machine.run("cat /proc/[0-9]*/comm || true").output
    assert f"inet {ADDRESS}/24" in machine.run("ip -4 addr show").output


def test_boot(server: Nodisk, image: Path) -> None:
    """It comes up as itself on the disk that the server gave it, with a card that nobody else sets up,
    reboots and switches off in good order."""
    node = server.add_node(NAME, MAC, ADDRESS, image)
    server.start()
    machine = Machine(server.namespace, NAME, MAC)
    setup = Setup(machine, node, server)
    with machine:
        # it makes its SSH host keys, which takes long without hardware acceleration
        machine.login(timeout=900)
        assert machine.run("systemctl is-system-running --wait", timeout=600).output == "running"
        check_running(setup)
        wait_until("the node phoning home", lambda: server.reported_up(node), 60)
        check_left_alone(machine)
        assert machine.run("ls /etc/ssh/ssh_host_*_key | wc -l").output == "3"
        assert len(machine.run("cat /etc/machine-id").output) == 32
        assert machine.run("cat /etc/machine-id").output != "0123456789abcdef0123456789abcdef"

        machine.run("echo kept >/root/kept")  # not synced: shutdown has to do it
        here = len(machine.console.text)
        begin = machine.seconds()
        machine.start_command("systemctl reboot")
        machine.login(timeout=900, start=here)
        assert machine.console.seconds_of(r"reboot: Restarting system", here) - begin < HANGS
        assert machine.run("cat /root/kept").output == "kept"
        begin = machine.seconds()
        machine.start_command("systemctl poweroff")
        assert machine.wait_off(HANGS) - begin < HANGS
    server.stop()
    assert "needs_recovery" not in debugfs(node.disk, "show_super_stats -h")
