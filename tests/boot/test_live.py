"""A Debian with dracut that no disk belongs to, booted as an entry: as a rescue system, which is its initramfs, and as
a live system, whose root file system dracut fetches over HTTP from the directory of [scripts]."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.live import make_live
from lab.nodisk import Nodisk
from lab.process import LabError
from lab.qemu import Console, Machine

pytestmark = pytest.mark.full

NAME, MAC, ADDRESS = "livenode", "52:54:00:77:4e:91", "10.77.0.91"
FIRMWARE = ["bios", "uefi"]
PATIENCE = 1800


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path, Path]]:
    work = tmp_path_factory.mktemp("live") / "made"
    if not shutil.which("mksquashfs"):
        pytest.skip("squashfs-tools is not installed")
    yield make_live(work)
    shutil.rmtree(work)


def machine_of(daemon: Nodisk, firmware: str, live: tuple[Path, Path, Path], arguments: str) -> Machine:
    """The node, which has no disk, and is told to boot the entry once."""
    kernel, initrd, squashfs = live
    scripts = daemon.work / "scripts"
    scripts.mkdir()
    shutil.copy(squashfs, scripts)
    daemon.stop()
    daemon.config += f"[scripts]\ndirectory = {scripts}\n"
    daemon.start()
    daemon.cli("node", "add", NAME, "--mac", MAC, "--address", ADDRESS)
    daemon.cli("entry", "add", "debian-live", "--kernel", kernel, "--initrd", initrd, "--args", arguments)
    daemon.cli("boot", NAME, "debian-live", "--once")
    return Machine(daemon.namespace, NAME, MAC, firmware=firmware, memory=2048)


def wait_for_shell(console: Console, at: int) -> None:
    """sulogin throws away what was typed before it listens."""
    deadline = time.monotonic() + PATIENCE
    while True:
        console.send("\n")
        try:
            console.expect(r"# $", 5, at)
            return
        except LabError:
            if time.monotonic() > deadline:
                raise


@pytest.mark.parametrize("firmware", FIRMWARE)
def test_a_rescue_system_is_its_initramfs(daemon: Nodisk, firmware: str, live: tuple[Path, Path, Path]) -> None:
    """dracut's shell, before it looks for any root."""
    machine = machine_of(daemon, firmware, live, "rd.break=cmdline rd.shell SYSTEMD_SULOGIN_FORCE=1 console=ttyS0")
    with machine:
        console = machine.console
        at = console.expect(r"^\S*:/\S*# |Press Enter for maintenance", PATIENCE).end()
        wait_for_shell(console, at)
        console.send("echo shell of $(uname -m), pid $$\n")
        console.expect(r"^shell of x86_64, pid [1-9]", 120, at)


@pytest.mark.parametrize("firmware", FIRMWARE)
def test_a_live_system_comes_over_http(daemon: Nodisk, firmware: str, live: tuple[Path, Path, Path]) -> None:
    """root=live: with a squashfs that nodisk serves; it can be written to, in memory."""
    machine = machine_of(daemon, firmware, live, f"root=live:http://{daemon.address}/scripts/live.squashfs rd.neednet=1"
                         " ip=dhcp rd.live.overlay.overlayfs=1 console=ttyS0")
    with machine:
        machine.login(timeout=PATIENCE)
        assert "overlay" in machine.run("findmnt -n -o FSTYPE /").output
        machine.run("echo written >/root/mark && sync")
        assert machine.run("cat /root/mark; ls /usr/bin/dracut").output.startswith("written")
