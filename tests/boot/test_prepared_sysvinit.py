"""A plain Debian 12 with sysvinit-core in place of systemd, prepared: halt and reboot take neither the network
nor the session down before the root file system is written, though the server is away just then."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_golden_image import HANGS, debugfs

from lab.nodisk import Nodisk
from lab.prepared import MACHINE_ID, SYSTEM, make_image, plain_tar, prepare, snapshot, unpack
from lab.process import wait_until
from lab.qemu import Machine

pytestmark = pytest.mark.full

PATIENCE = 1800
AWAY = 15
SYSVINIT = ("linux-image-cloud-amd64", "sysvinit-core", *SYSTEM)
NAME, MAC, ADDRESS = "sysvnode", "52:54:00:77:4e:f1", "10.77.0.91"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """As installed, with a login prompt on the serial line."""
    root = tmp_path_factory.mktemp("plain") / "root"
    unpack(plain_tar(SYSVINIT), root)
    with (root / "etc/inittab").open("a") as file:
        file.write("T0:2345:respawn:/sbin/getty -L ttyS0 115200 vt100\n")
    yield root
    shutil.rmtree(root)


def contents(root: Path) -> dict[str, tuple]:
    """All names but for what the distribution's own commands write behind our back."""
    return {name: what for name, what in snapshot(root).items()
            if not name.startswith(("etc/init.d/.depend", "etc/rc", "etc/init.d"))
            or name.endswith(("nodisk", "nodisk-up"))}


def test_undo(plain: Path) -> None:
    """The doctor finds nothing in what was prepared, and an undo leaves no trace among the init scripts."""
    before = contents(plain)
    assert "error: sysvinit-netdown" in prepare(plain, "--check", code=1)
    prepare(plain, "--root-uuid", "11111111-2222-3333-4444-555555555555")
    assert prepare(plain, "--check") == "nothing found\n"
    assert [path.name for path in plain.glob("etc/rcS.d/S??nodisk")] != []
    assert prepare(plain) == "nothing to do: it is prepared\n"
    prepare(plain, "--undo")
    assert contents(plain) == before


@pytest.fixture(scope="module")
def image(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk of it, prepared."""
    work = tmp_path_factory.mktemp("disk")
    yield make_image(plain, work)
    shutil.rmtree(work)


def check_running(machine: Machine, origin: str) -> None:
    """Who it is, and that its card, its session and its daemon are those of the initramfs."""
    def ask(command: str) -> str:
        return machine.run(command, timeout=300).output

    assert ask("cat /proc/1/comm") == "init"
    assert ask("hostname") == NAME
    assert ask("findmnt -no SOURCE /").startswith("/dev/sda")
    assert ask("findmnt -no OPTIONS /").startswith("rw,")
    assert ask("dmesg | grep -c 'I/O error' || true") == "0"
    assert ask("cat /sys/class/iscsi_session/session*/recovery_tmo") == "off"
    assert "Internal iscsid Session State: NO CHANGE" in ask("iscsiadm -m session -P 1")
    pids = ask("cat /run/sendsigs.omit.d/nodisk").split()
    assert ask("cat /run/iscsid.pid") in pids
    # no second daemon, and nobody asks for the boot card's address but to renew its lease
    assert ask("cat /proc/[0-9]*/comm 2>/dev/null | grep -c iscsid") == str(len(pids))
    comms = ask("cat /proc/[0-9]*/comm 2>/dev/null || true").split()
    assert "dhclient" not in comms
    assert f"inet {ADDRESS}/24" in ask("ip -4 addr show")
    if origin == "dhcp":
        wait_until("who renews the lease",
                   lambda: "udhcpc" in ask("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '"), 120, 2)
    else:
        assert "udhcpc" not in ask("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '").replace("grep", "")
    assert len(ask("cat /etc/machine-id")) == 32
    assert ask("cat /etc/machine-id") != MACHINE_ID
    assert ask("ls /etc/ssh/ssh_host_*_key | wc -l") == "3"


def away(server: Nodisk) -> None:
    """As if its power had failed."""
    server.kill()
    time.sleep(AWAY)
    server.start()


def test_boot_halt_and_reboot(server: Nodisk, image: Path) -> None:
    """Also without its server between login and root, running, and while it shuts down."""
    node = server.add_node(NAME, MAC, ADDRESS, image)
    server.cli("node", "set", NAME, "--ibft-origin", "dhcp")
    with Machine(server.namespace, NAME, MAC) as machine:
        machine.console.expect(r"nodisk: logged in", PATIENCE)
        away(server)
        machine.login(timeout=PATIENCE)
        wait_until("the node phoning home", lambda: server.reported_up(node), 600)
        check_running(machine, "dhcp")
        away(server)
        machine.run("echo 3 >/proc/sys/vm/drop_caches; cat /usr/bin/* >/dev/null; sync", timeout=600)
        machine.run("ifup --allow=hotplug ens3 enp0s3; ifup -a; true", timeout=120)
        machine.run("/etc/init.d/networking restart; /etc/init.d/iscsid restart; /etc/init.d/iscsid stop; "
                    "/etc/init.d/iscsid start; true", timeout=300)
        check_running(machine, "dhcp")

        machine.run("echo kept >/root/kept")  # not synced: shutdown has to do it
        here, begin = len(machine.console.text), machine.seconds()
        machine.start_command("reboot")
        machine.console.expect(r"Asking all remaining processes to terminate|Deconfiguring|Will now restart",
                               PATIENCE, here)
        away(server)
        machine.login(timeout=PATIENCE, start=here)
        restarted = machine.console.seconds_of(r"reboot: Restarting system", here) - begin
        assert machine.run("cat /root/kept").output == "kept"
        check_running(machine, "dhcp")
        begin, here = machine.seconds(), len(machine.console.text)
        machine.start_command("echo off >/root/kept; poweroff")
        machine.console.expect(r"Asking all remaining processes to terminate|Deconfiguring|Will now halt",
                               PATIENCE, here)
        away(server)
        off = machine.wait_off(PATIENCE) - begin
        print(f"\nsysvinit, the server away for {AWAY} s of each: restarted after {restarted:.0f} s, "
              f"off after {off:.0f} s")
        assert restarted < HANGS + AWAY and off < HANGS + AWAY
    server.stop()
    assert debugfs(node.disk, "cat /root/kept") == "off\n"
    assert "needs_recovery" not in debugfs(node.disk, "show_super_stats -h")
