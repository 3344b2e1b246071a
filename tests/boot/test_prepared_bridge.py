"""A prepared Debian whose boot card is below a bridge or a bond, as a hypervisor's is, and its root on the other
side of it: nothing that the running system does there takes the disk away, and guests reach the network."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from test_golden_image import HANGS, debugfs

from lab.nodisk import Nodisk
from lab.peers import Node
from lab.prepared import make_image, plain_tar, unpack
from lab.process import wait_until
from lab.qemu import Machine

pytestmark = pytest.mark.full

PATIENCE = 1800  # seconds for a boot, beside others
AWAY = 15
NAME, MAC, ADDRESS = "above", "52:54:00:77:4e:e1", "10.77.0.81"
SECOND_MAC, GUEST_MAC, GUEST = "52:54:00:77:4e:e2", "52:54:00:77:4e:e9", "10.77.0.89"
# The boot card's slot, and the other one's; each has two names there.
SLOT, SECOND_SLOT = 8, 9


@dataclass(frozen=True)
class Way:
    """What is above the boot card, and who boots it."""

    firmware: str
    bridge: str = ""
    bond: str = ""
    cards: int = 1

    def __str__(self) -> str:
        return "-".join(filter(None, [self.firmware, self.bridge, self.bond, f"{self.cards}cards"]))

    @property
    def arguments(self) -> list[str]:
        """What `nodisk prepare` is told."""
        bond = ["--bond", self.bond, "--bond-cards", f"ens{SECOND_SLOT} enp0s{SECOND_SLOT}"] if self.bond else []
        return (["--bridge", self.bridge] if self.bridge else []) + bond

    @property
    def top(self) -> str:
        """Who has the address."""
        return self.bridge or self.bond


WAYS = [Way("bios", bridge="vmbr0"), Way("uefi", bond="bond0", cards=2), Way("bios", bridge="br0", bond="bond0")]


@pytest.fixture(params=WAYS, ids=str)
def way(request: pytest.FixtureRequest) -> Way:
    return request.param


@pytest.fixture
def image(way: Way, tmp_path: Path) -> Iterator[Path]:
    """A disk of a Debian 12 in which ifupdown would set up every card by DHCP, prepared."""
    root = tmp_path / "root"
    unpack(plain_tar(), root)
    with (root / "etc/network/interfaces").open("a") as file:
        for card in (f"ens{SLOT}", f"enp0s{SLOT}", f"ens{SECOND_SLOT}", f"enp0s{SECOND_SLOT}"):
            file.write(f"allow-hotplug {card}\niface {card} inet dhcp\n")
    made = make_image(root, tmp_path, *way.arguments)
    shutil.rmtree(root)
    yield made
    made.unlink()


def make_machine(server: Nodisk, way: Way) -> Machine:
    """Switched off; a second card is in the same network, and has no ROM."""
    machine = Machine(server.namespace, NAME, MAC, firmware=way.firmware)
    machine.card = f"virtio-net-pci,addr={SLOT:#x}"
    if way.cards > 1:
        server.namespace.add_tap("tap-second")
        machine.extra = ["-netdev", "tap,id=net1,ifname=tap-second,script=no,downscript=no", "-device",
                         f"virtio-net-pci,addr={SECOND_SLOT:#x},netdev=net1,mac={SECOND_MAC},romfile="]
    return machine


def read(machine: Machine, path: str) -> list[str]:
    return machine.run(f"cat /sys/class/net/{path}").output.split()


def check_networks(machine: Machine, way: Way) -> None:
    """The bridge and the bond are as the initramfs has made them, and have the address and the card's MAC."""
    assert f"inet {ADDRESS}/24" in machine.run(f"ip -4 addr show dev {way.top}").output
    assert machine.run("ip -4 -o addr show scope global | wc -l").output == "1"  # and nobody has another one
    assert read(machine, f"{way.top}/address") == [MAC]
    if way.bridge:
        assert read(machine, f"{way.bridge}/bridge/stp_state") == read(machine, f"{way.bridge}/bridge/forward_delay") == ["0"]
        assert way.bridge in machine.run(f"readlink /sys/class/net/{way.bond or 'enboot'}/master").output
    if way.bond:
        slaves = read(machine, f"{way.bond}/bonding/slaves")
        assert slaves[0] == "enboot" and len(slaves) == way.cards, slaves
        assert read(machine, f"{way.bond}/bonding/mode")[0] == "active-backup"
    assert machine.run("cat /proc/[0-9]*/comm 2>/dev/null | grep -c dhclient || true").output == "0"


def check_well(machine: Machine, way: Way) -> None:
    """Nothing has failed, the disk was never given up, and there is one session, of the initramfs."""
    assert machine.run("systemctl is-system-running --wait", timeout=600).output == "running"
    check_networks(machine, way)
    assert machine.run("dmesg | grep -c 'I/O error' || true").output == "0"
    assert machine.run("findmnt -no SOURCE /").output.startswith("/dev/sda")
    assert machine.run("ls /sys/class/iscsi_session").output == "session1"
    machine.run("echo 3 >/proc/sys/vm/drop_caches; cat /usr/bin/* >/dev/null; sync", timeout=600)


def check_guest(machine: Machine, server: Nodisk, way: Way) -> None:
    """Who is on the bridge is in the node's network, by a MAC of its own, and the server answers it."""
    machine.run("ip netns add guest; ip link add tap100i0 type veth peer name eth0 netns guest")
    machine.run(f"ip link set tap100i0 master {way.bridge} up")
    machine.run(f"ip -n guest link set eth0 address {GUEST_MAC} up; ip -n guest addr add {GUEST}/24 dev eth0")
    reach_server(machine, server)
    assert GUEST_MAC in server.namespace.run("ip", "neigh", "show", GUEST).stdout


def reach_server(machine: Machine, server: Nodisk) -> None:
    machine.run(f"ip netns exec guest timeout 60 bash -c ': </dev/tcp/{server.address}/80'")


def restart_networking(machine: Machine, way: Way) -> None:
    """By all who have a hand in it, with what udev does for a card that comes."""
    machine.run("systemctl restart networking.service systemd-networkd.service", timeout=600)
    machine.run("udevadm trigger --action=add --subsystem-match=net && udevadm settle", timeout=300)
    machine.run(f"networkctl reload && networkctl reconfigure {way.top}", timeout=300)
    check_well(machine, way)


def pull_each_cable(machine: Machine, way: Way) -> None:
    """The other one takes over, within the second that nobody notices."""
    for pulled, active in (("net0", f"s{SECOND_SLOT}"), ("net1", "enboot")):
        machine.monitor.command("set_link", name=pulled, up=False)
        wait_until(f"{active} to take over", lambda active=active: read(machine, f"{way.bond}/bonding/active_slave")[0]
                   .endswith(active), 120, 1)
        check_well(machine, way)
        machine.monitor.command("set_link", name=pulled, up=True)
        wait_until("both to have a link", lambda: machine.run(
            f"grep -c 'MII Status: up' /proc/net/bonding/{way.bond}").output == "3", 120, 1)


def check_outage(machine: Machine, server: Nodisk, node: Node, way: Way) -> None:
    """As if the server's power had failed."""
    wait_until("the node phoning home", lambda: server.reported_up(node), 300)
    server.kill()
    time.sleep(AWAY)
    server.start()
    check_well(machine, way)


def test_boot_card_below(server: Nodisk, image: Path, way: Way) -> None:
    """Boots, keeps its root, serves a guest, outlives its server, restarts and switches off in good order."""
    node = server.add_node(NAME, MAC, ADDRESS, image)
    server.start()
    with make_machine(server, way) as machine:
        machine.login(timeout=PATIENCE)
        check_well(machine, way)
        if way.bridge:
            check_guest(machine, server, way)
        restart_networking(machine, way)
        if way.bridge:
            reach_server(machine, server)
        if way.cards > 1:
            pull_each_cable(machine, way)
        check_outage(machine, server, node, way)

        machine.run("echo kept >/root/kept")  # not synced: shutdown has to do it
        begin, here = machine.seconds(), len(machine.console.text)
        machine.start_command("systemctl reboot")
        machine.login(timeout=PATIENCE, start=here)
        restarted = machine.console.seconds_of(r"reboot: Restarting system", here) - begin
        assert machine.run("cat /root/kept").output == "kept"
        check_well(machine, way)
        begin = machine.seconds()
        machine.start_command("systemctl poweroff")
        off = machine.wait_off(PATIENCE) - begin
        print(f"\n{way}: restarted after {restarted:.0f} s, off after {off:.0f} s")
        assert restarted < HANGS and off < HANGS
    server.stop()
    assert "needs_recovery" not in debugfs(node.disk, "show_super_stats -h")
