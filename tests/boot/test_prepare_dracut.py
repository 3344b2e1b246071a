"""A plain Debian with dracut, prepared by `nodisk prepare` and nothing else, is one that boots diskless.

It has all of dracut's own modules for networks; the running system has NetworkManager beside ifupdown.
The same of Debian 13, whose dracut is newer.
"""

import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_golden_image import ADDRESS, HANGS, MAC, NAME, Setup, check_running, debugfs

from lab.nodisk import Nodisk
from lab.prepared import SYSTEMS, make_image, plain_tar, prepare, snapshot, unpack
from lab.process import run, wait_until
from lab.qemu import Machine

pytestmark = pytest.mark.full

AWAY = 15
PATIENCE = 1800  # seconds for a boot, beside others
# With what each needs.
NETWORKS = {"iscsi": ("network-manager",), "systemd-networkd": (), "network-manager": (), "network-legacy": ()}
OTHER = "qx7other", "52:54:00:77:4e:12", "10.77.0.12"


@pytest.fixture(scope="module", params=["dracut", "dracut-trixie"])
def plain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root, system = tmp_path_factory.mktemp("plain") / "root", SYSTEMS[request.param]
    unpack(plain_tar(system.packages, system.suite), root)
    yield root
    shutil.rmtree(root)


debian_12 = pytest.mark.parametrize("plain", ["dracut"], indirect=True)


@pytest.fixture(scope="module")
def image(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk of it, prepared."""
    work = tmp_path_factory.mktemp("disk")
    yield make_image(plain, work)
    shutil.rmtree(work)


def test_a_real_debian(plain: Path) -> None:
    """The doctor finds that nobody logs in, then nothing; a second run does nothing; undo gives all back."""
    before = snapshot(plain)
    assert "error: initramfs-no-script" in prepare(plain, "--check", code=1)
    prepare(plain, "--root-uuid", str(uuid.uuid4()))
    assert prepare(plain, "--check") == "nothing found\n"
    assert prepare(plain) == "nothing to do: it is prepared\n"
    prepare(plain, "--undo")
    assert snapshot(plain) == before


def check_card_is_left_alone(machine: Machine) -> None:
    """By all that are there, also when they are started again."""
    services = "networking.service systemd-networkd.service NetworkManager.service"
    machine.run(f"systemctl restart {services}", timeout=600)
    assert "dhclient" not in machine.run("cat /proc/[0-9]*/comm || true").output
    assert ":unmanaged" in machine.run("nmcli -t -f DEVICE,STATE device | grep -v ^lo:", timeout=300).output
    assert f"inet {ADDRESS}/24" in machine.run("ip -4 addr show").output


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_boot(server: Nodisk, image: Path, firmware: str) -> None:
    """Comes up as itself, outlives its server, reboots and switches off in good order."""
    node = server.add_node(NAME, MAC, ADDRESS, image)
    server.start()
    machine = Machine(server.namespace, NAME, MAC)
    machine.firmware = firmware
    with machine:
        # it makes its SSH host keys, which takes long without hardware acceleration
        machine.login(timeout=PATIENCE)
        assert machine.run("systemctl is-system-running --wait", timeout=900).output == "running"
        check_running(Setup(machine, node, server))
        wait_until("the node phoning home", lambda: server.reported_up(node), 120)
        # in no unit's hands but those of systemd itself
        assert machine.run("cat /proc/$(cat /run/iscsid.pid)/cgroup").output == "0::/init.scope"
        check_card_is_left_alone(machine)
        server.kill()
        time.sleep(AWAY)
        server.start()
        machine.run("echo kept >/root/kept", timeout=300)  # not synced: shutdown has to do it
        here = len(machine.console.text)
        begin = machine.seconds()
        machine.start_command("systemctl reboot")
        machine.login(timeout=PATIENCE, start=here)
        print("rebooted after", machine.console.seconds_of(r"reboot: Restarting system", here) - begin)
        assert machine.console.seconds_of(r"reboot: Restarting system", here) - begin < HANGS
        assert machine.run("cat /root/kept").output == "kept"
        begin = machine.seconds()
        machine.start_command("systemctl poweroff")
        off = machine.wait_off(HANGS)
        print("off after", off - begin)
        assert off - begin < HANGS
    server.stop()
    assert "needs_recovery" not in debugfs(node.disk, "show_super_stats -h")


@debian_12
def test_two_nodes(server: Nodisk, image: Path) -> None:
    """At once, of one image: each is itself. Their server is away when they log in."""
    nodes = [server.add_node(*who, image) for who in ((NAME, MAC, ADDRESS), OTHER)]
    server.start()
    machines = [Machine(server.namespace, node.name, node.mac) for node in nodes]
    try:
        for machine in machines:
            machine.power_on()
        machines[0].console.expect(r"nodisk: logging in to", 900)
        server.kill()
        time.sleep(AWAY)
        server.start()
        identities = []
        for node, machine in zip(nodes, machines):
            machine.login(timeout=PATIENCE)
            check_running_name(machine, node.name)
            identities.append(machine.run("cat /etc/machine-id /etc/iscsi/initiatorname.iscsi").output.split())
        assert not set(identities[0]) & set(identities[1])
    finally:
        for machine in machines:
            machine.kill()


def forget_initramfs(root: Path) -> None:
    """The next preparation makes it anew."""
    for initramfs in root.glob("boot/initrd.img-*"):
        initramfs.unlink()


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest, plain: Path) -> Iterator[str]:
    """Somebody insists on this one of dracut's own modules beside ours, in the initramfs that is made from here on."""
    own = plain / "etc/dracut.conf.d/95-own.conf"
    omitted = " ".join({*NETWORKS} - {request.param, *NETWORKS[request.param]})
    own.write_text(f'omit_dracutmodules=" {omitted} resume shutdown "\n'
                   f'add_dracutmodules+=" network {request.param} "\n')
    forget_initramfs(plain)
    yield request.param
    own.unlink()
    forget_initramfs(plain)


@debian_12
def test_beside_dracuts_own(server: Nodisk, plain: Path, network: str, tmp_path: Path) -> None:
    """Whoever insists on one of dracut's own modules for networks and iSCSI is told, and boots all the same."""
    disk = make_image(plain, tmp_path)
    said = prepare(plain, "--check")
    assert said.startswith("warning: dracut-conf") and "95-own.conf sets omit_dracutmodules anew" in said
    made = next(plain.glob("boot/initrd.img-*"))
    assert f"\n{network}\n" in run("chroot", plain, "lsinitrd", "--mod", f"/boot/{made.name}", timeout=300).stdout
    node = server.add_node(NAME, MAC, ADDRESS, disk)
    server.start()
    with Machine(server.namespace, NAME, MAC) as machine:
        machine.console.expect(r"nodisk: logged in", PATIENCE)
        server.kill()
        time.sleep(AWAY)
        server.start()
        machine.login(timeout=PATIENCE)
        check_running(Setup(machine, node, server))
        begin = machine.seconds()
        machine.start_command("systemctl poweroff")
        off = machine.wait_off(HANGS) - begin
        print(f"\n{network}: off after {off:.0f} s")
    server.stop()
    assert "needs_recovery" not in debugfs(node.disk, "show_super_stats -h")


def check_running_name(machine: Machine, name: str) -> None:
    assert machine.run("hostname").output == name
    assert machine.run("findmnt -no SOURCE /").output.startswith("/dev/sda")
