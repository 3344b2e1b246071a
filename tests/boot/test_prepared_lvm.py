"""Root on LVM, as Debian's installer offers it first, and swap beside it: prepared, it boots diskless."""

import argparse
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_golden_image import HANGS

from lab.lvm import EXTENT, Group
from lab.nodisk import Nodisk
from lab.prepared import SYSTEMD, builder, plain_tar, prepare, unpack
from lab.process import wait_until
from lab.qemu import Machine

pytestmark = pytest.mark.full

PATIENCE = 1800
NAME, MAC, ADDRESS = "lvmnode", "52:54:00:77:4e:e1", "10.77.0.81"
SIZE, ROOT_EXTENTS, SWAP_EXTENTS = 3 << 30, 600, 64
ROOT = "/dev/mapper/vg0-root"

# As update-grub writes it for such a root; GRUB reads the volume group itself.
GRUB = f"""serial --unit=0 --speed=115200
terminal_output console serial
insmod lvm
set root='lvm/vg0-root'
menuentry 'Debian' {{
    linux /vmlinuz root={ROOT} ro console=tty0 console=ttyS0,115200 loglevel=5
    initrd /initrd.img
}}
set timeout=0
"""


def make_disk(root: Path, work: Path) -> Path:
    """A disk with GRUB and the tree on a logical volume."""
    build = builder()
    options = argparse.Namespace(size=SIZE, stock=False)
    build.GRUB_MODULES = [*build.GRUB_MODULES, "lvm"]
    # the same partitions and loaders, for a small tree; root's place is then taken by the group
    small = work / "small"
    small.mkdir()
    disk = build.make_disk(options, work, work / "log", small, str(uuid.uuid4()))
    core = work / "core.img"
    subprocess.run(["grub-mkimage", "-O", "i386-pc", "-o", core, "-p", "(lvm/vg0-root)/boot/grub", "biosdisk",
                    *build.GRUB_MODULES], check=True)
    build.write_bios_grub(disk, core.read_bytes())
    at = build.ROOT_AT << 20
    group = Group("vg0", at, SIZE - at - (1 << 20), [("root", ROOT_EXTENTS), ("swap", SWAP_EXTENTS)])
    with disk.open("r+b") as file:  # nothing of the small file system is left to be found
        file.seek(at)
        file.write(bytes(1 << 20))
    group.write(disk)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-d", root, "-O", "^metadata_csum_seed,^orphan_file",
                    "-E", f"offset={group.offset_of('root')},lazy_itable_init=0,lazy_journal_init=0",
                    disk, f"{ROOT_EXTENTS * EXTENT >> 10}k"], check=True)
    swap = work / "swap"
    with swap.open("wb") as file:
        file.truncate(SWAP_EXTENTS * EXTENT)
    subprocess.run(["mkswap", "-q", swap], check=True)
    with disk.open("r+b") as file:
        file.seek(group.offset_of("swap"))
        file.write(swap.read_bytes()[:4096])
    return disk


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Prepared with its swap kept; the doctor says of both what is to be said, and of nothing else."""
    work = tmp_path_factory.mktemp("lvm")
    root = work / "root"
    unpack(plain_tar((*SYSTEMD, "lvm2")), root)
    (root / "etc/fstab").write_text(f"{ROOT} / ext4 errors=remount-ro 0 1\n/dev/mapper/vg0-swap none swap sw 0 0\n")
    (root / "boot/grub").mkdir(exist_ok=True)
    (root / "boot/grub/grub.cfg").write_text(GRUB)
    prepare(root, "--keep-swap", "--no-undo")
    found = prepare(root, "--check")
    assert sorted(line.split()[1] for line in found.splitlines() if line.startswith(("error", "warning"))) == [
        "fstab-swap", "root-mapper"]
    assert "error" not in found
    assert f"{ROOT} / ext4" in " ".join((root / "etc/fstab").read_text().split())
    made = make_disk(root, work)
    shutil.rmtree(root)
    yield made
    shutil.rmtree(work)


def test_root_on_lvm(server: Nodisk, image: Path) -> None:
    """It boots, swaps across the network, reboots and switches off in good order."""
    node = server.add_node(NAME, MAC, ADDRESS, image)
    server.start()
    with Machine(server.namespace, NAME, MAC) as machine:
        machine.login(timeout=PATIENCE)
        assert machine.run("systemctl is-system-running --wait", timeout=600).output == "running"
        assert machine.run("findmnt -no SOURCE /").output == ROOT
        assert machine.run("hostname").output == NAME
        assert machine.run("cat /sys/class/iscsi_session/session*/recovery_tmo").output == "off"
        assert len(machine.run("cat /proc/swaps").output.splitlines()) == 2
        wait_until("the node phoning home", lambda: server.reported_up(node), 300)
        machine.run("echo kept >/root/kept")
        here, begin = len(machine.console.text), machine.seconds()
        machine.start_command("systemctl reboot")
        machine.login(timeout=PATIENCE, start=here)
        restarted = machine.console.seconds_of(r"reboot: Restarting system", here) - begin
        assert machine.run("cat /root/kept").output == "kept"
        begin = machine.seconds()
        machine.start_command("systemctl poweroff")
        off = machine.wait_off(PATIENCE) - begin
        print(f"\nroot on LVM: restarted after {restarted:.0f} s, off after {off:.0f} s")
        assert restarted < HANGS and off < HANGS
