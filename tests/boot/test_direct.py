"""Direct boot: kernel and initramfs come over HTTP, and are what GRUB would have booted."""

import re
from pathlib import Path

import pytest

from lab.nodisk import Nodisk
from lab.process import wait_until
from lab.qemu import Machine

MAC = "52:54:00:77:4e:31"
DIRECTLY = "boots /vmlinuz of its disk directly"
BY_LOADER = "boots by its disk's own loader"
ANOTHER = "another-initramfs"
IBFT = "cat /sys/firmware/ibft/target0/target-name /sys/firmware/ibft/initiator/initiator-name"


def add(daemon: Nodisk, golden: Path) -> Machine:
    """A node and its machine, switched off."""
    daemon.add_overlay("node0", MAC, "10.77.0.31", golden)
    return Machine(daemon.namespace, "node0", MAC)


def reboot(machine: Machine) -> None:
    """As an administrator does it; until it can be logged in to."""
    here = len(machine.console.text)
    machine.start_command("systemctl reboot")
    machine.login(timeout=900, start=here)


def shown(machine: Machine) -> list[str]:
    """The lines of its screen."""
    return machine.console.text.replace("\r", "\n").split("\n")


def wait_told(daemon: Nodisk, words: str, count: int) -> None:
    """Until the daemon's log has these words so often."""
    wait_until(f"'{words}' {count} times in the log", lambda: daemon.log().count(words) >= count, 60)
    assert daemon.log().count(words) == count


def check_identity(machine: Machine) -> None:
    """The firmware's table is there, though no loader has run."""
    assert machine.run(IBFT).output.split() == ["iqn.2026-11.lan.example:node0",
                                                "iqn.2026-11.lan.example:node0"]
    assert machine.run("hostname").output == "node0"
    assert machine.run("systemctl --failed --no-legend").output == ""


@pytest.mark.full
@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_a_node_boots_without_its_loader(daemon: Nodisk, golden: Path, firmware: str) -> None:
    """To a login, with the iBFT; with what GRUB says to the kernel."""
    machine = add(daemon, golden)
    machine.firmware = firmware
    with machine:
        machine.login(timeout=900)
        wait_told(daemon, DIRECTLY, 1)
        assert "direct/initrd" in machine.console.text
        assert "Welcome to GRUB" not in machine.console.text
        check_identity(machine)
        record = machine.run("cat /boot/nodisk-boot").output
        arguments = re.search(r"^arguments (.*)$", record, re.MULTILINE)
        assert arguments
        words = machine.run("cat /proc/cmdline").output.split()
        assert [word for word in words if word != "nodisk.kernel"] == [  # UEFI's iPXE adds that
            "BOOT_IMAGE=/vmlinuz", *arguments.group(1).split(), "initrd=initrd"]
        daemon.wait_stage("node0", "up", 300)
        reboot(machine)
        wait_told(daemon, DIRECTLY, 2)


@pytest.mark.full
@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_what_changes_on_the_disk_is_booted(daemon: Nodisk, golden: Path, firmware: str) -> None:
    """No hook runs, and nothing stale is booted: another initramfs is taken directly; with another
    grub.cfg GRUB boots itself, until that was written down."""
    machine = add(daemon, golden)
    machine.firmware = firmware
    with machine:
        machine.login(timeout=900)
        machine.run("systemctl disable nodisk-boot-record")
        # an archive more at the beginning, whose file the scripts of the initramfs read
        machine.run("mkdir -p /root/more/conf/conf.d && cd /root/more && "
                    f"echo 'echo {ANOTHER} >/dev/console' >conf/conf.d/another && "
                    "find . | cpio -o -H newc --quiet >/root/new && cat /initrd.img >>/root/new && "
                    "mv /root/new $(readlink -f /initrd.img) && sync")
        assert ANOTHER not in shown(machine)
        reboot(machine)
        wait_told(daemon, DIRECTLY, 2)
        assert ANOTHER in shown(machine)
        machine.run("sed -i 's/ loglevel=5/ loglevel=5 nodisk.test=1/' /boot/grub/grub.cfg; sync")
        reboot(machine)
        wait_told(daemon, BY_LOADER, 1)
        assert "/boot/grub/grub.cfg was changed since" in daemon.log()
        assert " nodisk.test=1" in machine.run("cat /proc/cmdline").output
        check_identity(machine)
        machine.run("/usr/lib/nodisk/boot-record && sync")
        reboot(machine)
        wait_told(daemon, DIRECTLY, 3)
        assert " nodisk.test=1" in machine.run("cat /proc/cmdline").output
