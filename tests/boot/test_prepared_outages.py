"""A prepared Debian outlives its server's absence at each stage of its life, whoever makes its initramfs."""

import time
from pathlib import Path

import pytest
from test_golden_image import HANGS, debugfs

from lab.nodisk import Nodisk
from lab.process import wait_until
from lab.qemu import Machine

pytestmark = pytest.mark.full

PATIENCE = 1800  # seconds for a boot, beside others
AWAY = 15
NAME, ADDRESS = "outage", "10.77.0.71"
# systemd begins, but not that of dracut's initramfs ("(bookworm) dracut-059-4 (Initramfs)!").
BEGINS = r"Welcome to Debian GNU/Linux \S+ \(\w+\)!"
WAYS = {"bios": ("52:54:00:77:4e:d1", "manual"), "uefi": ("52:54:00:77:4e:d2", "dhcp")}


def away(server: Nodisk) -> None:
    """As if its power had failed."""
    server.kill()
    time.sleep(AWAY)
    server.start()


def check_well(machine: Machine) -> None:
    """Nothing has failed, nothing was lost, and nobody gives the disk up."""
    assert machine.run("systemctl is-system-running --wait", timeout=600).output == "running"
    assert machine.run("dmesg | grep -c 'I/O error' || true").output == "0"
    assert machine.run("cat /sys/class/iscsi_session/session*/recovery_tmo").output == "off"
    assert machine.run("cat /proc/[0-9]*/comm 2>/dev/null | grep -c iscsid").output in ("1", "2")  # with its logger
    machine.run("echo 3 >/proc/sys/vm/drop_caches; cat /usr/bin/* >/dev/null; sync", timeout=600)


@pytest.mark.parametrize("prepared", ["initramfs-tools", "dracut"], indirect=True)
@pytest.mark.parametrize("firmware", WAYS)
def test_away_at_each_stage(server: Nodisk, prepared: Path, firmware: str) -> None:
    """Between login and root, before and after the system's services, running, and while it shuts down."""
    mac, origin = WAYS[firmware]
    node = server.add_node(NAME, mac, ADDRESS, prepared)
    server.cli("node", "set", NAME, "--ibft-origin", origin)
    machine = Machine(server.namespace, NAME, mac, firmware=firmware)
    with machine:
        machine.console.expect(r"nodisk: logged in", PATIENCE)
        away(server)
        machine.login(timeout=PATIENCE)
        check_well(machine)

        machine.run("echo kept >/root/kept")  # not synced
        begin, here = machine.seconds(), len(machine.console.text)
        machine.start_command("systemctl reboot")
        machine.console.expect(r"Stopping|Stopped", PATIENCE, here)
        away(server)
        machine.console.expect(BEGINS, PATIENCE, here)
        restarted = machine.console.seconds_of(r"reboot: Restarting system", here) - begin
        away(server)
        machine.login(timeout=PATIENCE, start=here)
        assert machine.run("cat /root/kept").output == "kept"
        check_well(machine)

        machine.run("(while sleep 1; do date >>/root/dates; sync /root/dates; done) >/dev/null 2>&1 &")
        away(server)
        check_well(machine)
        wait_until("the node to be up", lambda: server.reported_up(node), 600)

        begin, here = machine.seconds(), len(machine.console.text)
        machine.start_command("echo off >/root/kept; systemctl poweroff")
        machine.console.expect(r"Stopping|Stopped", PATIENCE, here)
        away(server)
        off = machine.wait_off(PATIENCE) - begin
        print(f"\n{firmware}, the server away for {AWAY} s of each: "
              f"restarted after {restarted:.0f} s, off after {off:.0f} s")
        assert restarted < HANGS + AWAY and off < HANGS + AWAY
    server.stop()
    assert debugfs(node.disk, "cat /root/kept") == "off\n"
    assert "needs_recovery" not in debugfs(node.disk, "show_super_stats -h")
