"""The golden image boots over the network, is nobody in particular, and outlives its server.

Killed here means SIGKILL of every program of the server, for OUTAGE seconds.
"""

import re
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.capture import capturing
from lab.disk import words_found
from lab.netns import Namespace
from lab.nodisk import find_binary
from lab.peers import BASE_IQN, Node
from lab.process import run, wait_until
from lab.qemu import Machine

LEASES = "cat /run/systemd/netif/leases/* 2>/dev/null || true"
# A name that occurs nowhere by chance.
NAME, MAC, ADDRESS = "qx7labnode", "52:54:00:77:4e:11", "10.77.0.11"
OUTAGE = 20
HANGS = 85  # seconds: systemd gives a service that does not stop 90
ROOT_OFFSET = 34 * 1024 * 1024


@dataclass
class Setup:
    """A node of a server, switched off."""

    machine: Machine
    node: Node
    server: object

    def kill_and_restart(self, outage: float = OUTAGE) -> None:
        """The server crashes and comes back."""
        self.server.kill()
        time.sleep(outage)
        self.server.start()


@pytest.fixture
def setup(server, namespace: Namespace, golden: Path):
    """Everything but the power."""
    node = server.add_node(NAME, MAC, ADDRESS, golden)
    server.start()
    machine = Machine(namespace, NAME, MAC)
    try:
        yield Setup(machine, node, server)
    finally:
        machine.kill()


def debugfs(disk: Path, request: str) -> str:
    """Asks about the root file system of a disk image, without mounting it."""
    return run("debugfs", "-R", request, f"{disk}?offset={ROOT_OFFSET}", timeout=120).stdout


def check_running(setup: Setup) -> None:
    """From inside: the node is who the server says, on the disk the server gave it."""
    machine = setup.machine

    def ask(command: str) -> str:
        return machine.run(command).output

    assert ask("hostname") == NAME
    assert ask("findmnt -no SOURCE /").startswith("/dev/sda")
    assert ask("findmnt -no OPTIONS /").startswith("rw,")
    assert ask("dmesg | grep -c 'I/O error' || true") == "0"
    assert ask("cat /sys/block/sda/device/timeout") == "86400"
    assert "/session1/" in ask("readlink -f /sys/block/sda")
    assert f"inet {ADDRESS}/24" in ask("ip -4 addr show")
    assert ask(f"getent hosts {NAME} >/dev/null && echo yes") == "yes"

    ibft = dict(line.split(":", 1) for line in ask(
        "cd /sys/firmware/ibft && grep -r . ethernet0 target0 initiator").splitlines())
    assert ibft["ethernet0/mac"] == MAC
    assert ibft["ethernet0/ip-addr"] == ADDRESS
    assert ibft["ethernet0/hostname"] == NAME
    assert ibft["initiator/initiator-name"] == setup.node.initiator
    assert ibft["target0/target-name"] == setup.server.target_of(setup.node)
    assert ibft["target0/ip-addr"] == setup.server.address
    assert ask("sed s/.*=// /etc/iscsi/initiatorname.iscsi") == setup.node.initiator

    assert ask("systemctl --failed --no-legend") == ""
    assert ask("systemctl is-system-running --wait") == "running"
    # nobody ever gives up the disk, and iscsiadm finds the daemon of the initramfs
    assert ask("cat /sys/class/iscsi_session/session1/recovery_tmo") == "off"
    assert "Internal iscsid Session State: NO CHANGE" in ask("iscsiadm -m session -P 1")
    assert "@iscsid" in ask("tr '\\0' ' ' </proc/$(cat /run/iscsid.pid)/cmdline")
    if ibft["ethernet0/origin"] == "1":  # set by hand: nobody is to ask DHCP
        assert f"Address={ADDRESS}/24" in ask("cat /run/systemd/network/05-nodisk-boot.network").split()
        assert ask(LEASES) == ""
    else:
        wait_until("the lease that networkd renews", lambda: ADDRESS in ask(LEASES), 300, 1)


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_boot(setup: Setup, namespace: Namespace, firmware: str) -> None:
    """Comes up as itself, phones home, logs in once, reboots and switches off in good order."""
    machine = setup.machine
    machine.firmware = firmware
    with capturing(namespace) as capture:
        machine.power_on()
        machine.login()
        check_running(setup)
        wait_until("the node phoning home", lambda: setup.server.reported_up(setup.node), 300)
    wire = capture.summary(machine.power_on_epoch)
    assert len(wire.logins("linux")) == 1, "one login for the node's whole life"
    assert {exchange.mac for exchange in wire.dhcp} == {MAC}
    # QEMU's BIOS ROM is iPXE already; UEFI's own PXE client has to fetch it
    assert {fetch.name for fetch in wire.tftp} == ({"snponly.efi"} if firmware == "uefi" else set())

    machine.run("echo kept >/root/kept")  # not synced: shutdown has to do it
    here = len(machine.console.text)
    begin = machine.seconds()
    machine.start_command("systemctl reboot")
    machine.login(start=here)
    assert machine.console.seconds_of(r"reboot: Restarting system", here) - begin < HANGS
    assert machine.run("cat /root/kept").output == "kept"
    check_running(setup)

    begin = machine.seconds()
    machine.start_command("echo off >/root/kept; systemctl poweroff")
    assert machine.wait_off(HANGS) - begin < HANGS
    setup.server.stop()
    assert debugfs(setup.node.disk, "cat /root/kept") == "off\n"
    state = debugfs(setup.node.disk, "show_super_stats -h")
    assert re.search(r"Filesystem state:\s+clean\b", state)
    # read-only before the power went: nothing is left in the journal
    assert "needs_recovery" not in state


def test_image_is_nobody(golden: Path) -> None:
    """The image holds no identity of its own and nothing of a node that was booted from it."""
    present = debugfs(golden, "ls -p /etc") + debugfs(golden, "ls -p /var/lib/systemd")
    for name in ("hostname", "random-seed", "credential.secret"):
        assert f"/{name}/" not in present
    assert debugfs(golden, "cat /etc/machine-id") == ""
    assert "ssh_host" not in debugfs(golden, "ls -p /etc/ssh")
    assert "/run/nodisk/" in debugfs(golden, "stat /etc/iscsi/initiatorname.iscsi")
    assert words_found(golden, (NAME, MAC, ADDRESS, BASE_IQN)) == []


@pytest.mark.full
def test_the_doctor_finds_nothing(golden: Path, tmp_path: Path) -> None:
    """The image is one that `nodisk prepare` has nothing to do with."""
    root = tmp_path / "root"
    root.mkdir()
    debugfs(golden, f"rdump / {root}")
    command = [find_binary(), "prepare", "--root", root]
    assert run(*command, "--check").stdout == "nothing found\n"
    assert run(*command, "--dry-run").stdout == "nothing to do: it is prepared\n"


@pytest.mark.full
def test_local_disk_with_the_same_image(setup: Setup, golden: Path) -> None:
    """A copy of the image on a local disk is left alone, though its UUIDs are the same."""
    machine = setup.machine
    machine.extra = ["-drive", f"if=none,id=twin,format=raw,readonly=on,file={golden}",
                     "-device", "virtio-blk-pci,drive=twin"]
    machine.power_on()
    machine.login()
    assert "vda3" in machine.run("lsblk").output
    check_running(setup)


@pytest.mark.parametrize("moment", [
    pytest.param(r"nodisk: loading the initramfs", id="grub-loads-the-kernel"),
    pytest.param(r"Loading, please wait", id="initramfs-before-its-login", marks=pytest.mark.full),
    pytest.param(r"nodisk: logged in", id="right-after-the-initramfs-login", marks=pytest.mark.full),
    pytest.param(r"Welcome to Debian", id="between-run-init-and-multi-user", marks=pytest.mark.full),
])
def test_server_killed_while_booting(setup: Setup, moment: str) -> None:
    """Wherever the boot is when the server dies, it goes on by itself when the server is back."""
    machine = setup.machine
    machine.power_on()
    machine.console.expect(moment, 600)
    setup.kill_and_restart()
    machine.login(timeout=900)
    check_running(setup)


def test_server_away_at_power_on_of_initramfs(setup: Setup) -> None:
    """The initramfs says what it waits for, and waits for longer than one attempt lasts."""
    machine = setup.machine
    machine.power_on()
    machine.console.expect(r"Loading, please wait", 600)  # the kernel itself reads the disk by firmware
    setup.server.kill()
    machine.console.expect(r"nodisk: could not log in at \S+; trying again: .+", 600)
    setup.server.start()
    machine.login(timeout=900)
    check_running(setup)


def test_server_killed_under_a_writer(setup: Setup) -> None:
    """Two crashes under fsync'd writes: each write that was acknowledged is on the disk."""
    machine = setup.machine
    machine.power_on()
    machine.login()
    here = machine.start_command(
        "n=0; while n=$((n+1)); do echo $n >>/root/written && sync /root/written && echo ack $n; done")

    def acknowledged() -> int:
        found = re.findall(r"^ack (\d+)$", machine.console.text[here:], re.MULTILINE)
        return int(found[-1]) if found else 0

    for _ in range(2):
        before = acknowledged()
        wait_until("writes", lambda: acknowledged() > before + 20, 300)
        setup.server.kill()
        time.sleep(2)
        stopped = acknowledged()
        time.sleep(OUTAGE - 2)
        assert acknowledged() == stopped, "acknowledged by nobody"
        setup.server.start()
        wait_until("writes after the crash", lambda: acknowledged() > stopped, 300)
    wait_until("more writes", lambda: acknowledged() > stopped + 20, 300)

    machine.kill()  # what only the node's memory holds is gone
    last = acknowledged()
    setup.server.kill()
    run("e2fsck", "-p", f"{setup.node.disk}?offset={ROOT_OFFSET}", check=False, timeout=120)
    written = debugfs(setup.node.disk, "cat /root/written").split()
    assert written[:last] == [str(number) for number in range(1, last + 1)]


def test_link_pulled(setup: Setup) -> None:
    """A cable that is pulled for a while takes neither the address nor the disk away."""
    machine = setup.machine
    machine.power_on()
    machine.login()
    machine.set_link(False)
    time.sleep(OUTAGE)
    machine.set_link(True)
    machine.run("echo 3 >/proc/sys/vm/drop_caches; cat /usr/bin/* >/dev/null", timeout=90)
    assert f"inet {ADDRESS}/24" in machine.run("ip -4 addr show").output
    assert machine.run("systemctl --failed --no-legend").output == ""


@pytest.mark.full
def test_server_away_for_long(setup: Setup) -> None:
    """Away for longer than a lease and than systemd's watchdogs: the node is as before.

    An address whose lease ended, a service killed for being slow, a disk given up: each
    would be the end of a node that has nothing else.
    """
    machine = setup.machine
    setup.server.stop()
    setup.server.lease_seconds = 120
    setup.server.start()
    machine.power_on()
    machine.login()
    machine.run("(while sleep 1; do date >>/root/dates; sync /root/dates; logger tick; done) >/dev/null 2>&1 &")
    setup.kill_and_restart(400)
    machine.run("sync", timeout=120)
    time.sleep(30)  # what waited catches up, what is to fail fails
    check_running(setup)


@pytest.mark.full
def test_server_away_for_long_while_booting(setup: Setup) -> None:
    """The same right after the initramfs login, when nothing of the system runs yet."""
    machine = setup.machine
    machine.power_on()
    machine.console.expect(r"nodisk: logged in", 600)
    setup.kill_and_restart(240)
    machine.login(timeout=900)
    check_running(setup)


@pytest.mark.full
def test_server_away_for_long_while_systemd_starts(setup: Setup) -> None:
    """The same when systemd waits for services that it has started."""
    machine = setup.machine
    machine.power_on()
    machine.console.expect(r"Started systemd-journald", 600)
    setup.kill_and_restart(240)
    machine.login(timeout=900)
    check_running(setup)
