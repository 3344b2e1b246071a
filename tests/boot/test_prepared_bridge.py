"""A prepared Debian whose boot card is below a bridge or a bond, as a hypervisor's is, and its root on the other
side of it: nothing that the running system does there takes the disk away, and guests reach the network. Nor does
whoever configured that bridge before: ifupdown2 as Proxmox has it, NetworkManager, systemd-networkd. The same
where dracut makes the initramfs."""

import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from test_golden_image import HANGS, debugfs
from test_vlan import VLAN, add_machine

from lab.nodisk import Nodisk
from lab.peers import Node
from lab.prepared import DRACUT, SYSTEMD, make_image, plain_tar, prepare, unpack
from lab.process import wait_until
from lab.qemu import Machine

pytestmark = pytest.mark.full

PATIENCE = 1800  # seconds for a boot, beside others
AWAY = 15
NAME, MAC, ADDRESS = "above", "52:54:00:77:4e:e1", "10.77.0.81"
SECOND_MAC, GUEST_MAC, GUEST = "52:54:00:77:4e:e2", "52:54:00:77:4e:e9", "10.77.0.89"
# The boot card's slot, and the other one's; each has two names there.
SLOT, SECOND_SLOT = 8, 9
# A bridge of the system's own, for guests that nobody else is to see.
INNER, INNER_ADDRESS = "br1", "192.0.2.1/24"


def put(root: Path, path: str, text: str, mode: int = 0o644) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)


def by_ifupdown(root: Path, _: str) -> None:
    """It would set up every card by DHCP."""
    with (root / "etc/network/interfaces").open("a") as file:
        for card in (f"ens{SLOT}", f"enp0s{SLOT}", f"ens{SECOND_SLOT}", f"enp0s{SECOND_SLOT}"):
            file.write(f"allow-hotplug {card}\niface {card} inet dhcp\n")


def by_ifupdown2(root: Path, bridge: str) -> None:
    """As Proxmox writes it, with the address of the machine that it was."""
    put(root, "etc/network/interfaces", f"""auto lo
iface lo inet loopback

iface ens{SLOT} inet manual

auto {bridge}
iface {bridge} inet static
	address 10.77.0.7/24
	gateway 10.77.0.254
	bridge-ports ens{SLOT}
	bridge-stp off
	bridge-fd 0
	bridge-vlan-aware yes
	bridge-vids 2-4094

auto {bridge}.100
iface {bridge}.100 inet manual

auto {INNER}
iface {INNER} inet static
	address {INNER_ADDRESS}
	bridge-ports none
	bridge-stp off
	bridge-fd 0
""")


def by_networkd(root: Path, bridge: str) -> None:
    """A bridge that asks DHCP, with a spanning tree, of every card."""
    place = "etc/systemd/network"
    put(root, f"{place}/20-{bridge}.netdev", f"[NetDev]\nName={bridge}\nKind=bridge\n[Bridge]\nSTP=yes\n")
    put(root, f"{place}/20-{bridge}.network", f"[Match]\nName={bridge}\n[Network]\nDHCP=ipv4\n")
    put(root, f"{place}/20-cards.network", f"[Match]\nName=en* eth*\n[Network]\nBridge={bridge}\n")
    put(root, f"{place}/30-{INNER}.netdev", f"[NetDev]\nName={INNER}\nKind=bridge\n")
    put(root, f"{place}/30-{INNER}.network", f"[Match]\nName={INNER}\n[Link]\nRequiredForOnline=no\n[Network]\n"
        f"Address={INNER_ADDRESS}\nConfigureWithoutCarrier=yes\n")


def by_network_manager(root: Path, bridge: str) -> None:
    """The same, as nmcli writes it."""
    def connection(name: str, kind: str, ipv4: str, more: str = "") -> None:
        device = f"interface-name={name}\n" if kind == "bridge" else ""
        put(root, f"etc/NetworkManager/system-connections/{name}.nmconnection",
            f"[connection]\nid={name}\nuuid={uuid.uuid4()}\ntype={kind}\n{device}{more}\n[{kind}]\n\n"
            f"[ipv4]\n{ipv4}\n\n[ipv6]\nmethod=disabled\n", 0o600)

    connection(bridge, "bridge", "method=auto")
    connection("port", "ethernet", "method=disabled", f"master={bridge}\nslave-type=bridge\n")
    connection(INNER, "bridge", f"method=manual\naddress1={INNER_ADDRESS}")


@dataclass(frozen=True)
class Manager:
    """Who configures networks, with how its configuration is written and how it is told to begin anew."""

    packages: tuple[str, ...]
    configure: Callable[[Path, str], None]
    begins_anew: str
    findings: tuple[str, ...] = ("fixed-address",)  # the doctor's: the inner bridge's, which all nodes may have


OTHERS = tuple(package for package in SYSTEMD if package not in ("ifupdown", "isc-dhcp-client"))
MANAGERS = {
    "ifupdown": Manager(SYSTEMD, by_ifupdown, "systemctl restart networking", ()),
    "ifupdown2": Manager((*OTHERS, "ifupdown2", "isc-dhcp-client"), by_ifupdown2,
                         "systemctl restart networking; ifreload -a; ifup -a"),
    "networkd": Manager(OTHERS, by_networkd, "systemctl restart systemd-networkd", ("fixed-address", "networkd-netdev")),
    "NetworkManager": Manager((*OTHERS, "network-manager"), by_network_manager,
                              "systemctl restart NetworkManager; nmcli connection reload; nmcli networking off; "
                              "nmcli networking on; nmcli connection up port"),
    # whose initramfs another program makes
    "dracut": Manager(DRACUT, by_ifupdown, "systemctl restart networking NetworkManager", ()),
}


@dataclass(frozen=True)
class Way:
    """What is above the boot card, and who boots it."""

    firmware: str
    bridge: str = ""
    bond: str = ""
    cards: int = 1
    by: str = "ifupdown"
    vlan: int = 0  # of the boot network

    def __str__(self) -> str:
        return "-".join(filter(None, [self.firmware, self.bridge, self.bond, f"{self.cards}cards", self.by,
                                      self.vlan and "tagged"]))

    @property
    def manager(self) -> Manager:
        return MANAGERS[self.by]

    @property
    def arguments(self) -> list[str]:
        """What `nodisk prepare` is told."""
        bond = ["--bond", self.bond, "--bond-cards", f"ens{SECOND_SLOT} enp0s{SECOND_SLOT}"] if self.bond else []
        return (["--bridge", self.bridge] if self.bridge else []) + bond

    @property
    def top(self) -> str:
        """Who has the address."""
        return "ibft-vlan" if self.vlan else self.bridge or self.bond


WAYS = [Way("bios", bridge="vmbr0"), Way("uefi", bond="bond0", cards=2),
        Way("bios", bridge="br0", bond="bond0", cards=2, by="NetworkManager"),
        Way("bios", bridge="vmbr0", by="ifupdown2", vlan=VLAN), Way("uefi", bridge="br0", by="networkd"),
        Way("bios", bridge="vmbr0", by="dracut", vlan=VLAN), Way("uefi", bridge="br0", bond="bond0", cards=2, by="dracut")]


@pytest.fixture(params=WAYS, ids=str)
def way(request: pytest.FixtureRequest) -> Way:
    return request.param


@pytest.fixture
def image(way: Way, tmp_path: Path) -> Iterator[Path]:
    """A disk of a Debian 12 that somebody configures networks of, prepared."""
    root = tmp_path / "root"
    unpack(plain_tar(way.manager.packages), root)
    way.manager.configure(root, way.bridge)
    made = make_image(root, tmp_path, *way.arguments)
    found = prepare(root, "--check")
    assert tuple(sorted(line.split()[1] for line in found.splitlines() if line.startswith(("error", "warning")))) == \
        way.manager.findings, found
    shutil.rmtree(root)
    yield made
    made.unlink()


def make_machine(server: Nodisk, node: Node, way: Way, work: Path) -> Machine:
    """Switched off; a second card is in the same network, and has no ROM."""
    if way.vlan:
        return add_machine(server, node, work)
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
    addresses = machine.run("ip -4 -o addr show scope global").output.splitlines()
    assert len([line for line in addresses if INNER not in line.split()]) == 1, addresses  # and nobody has another one
    if way.by != "ifupdown":
        wait_until("the system's own bridge", lambda: INNER_ADDRESS in machine.run(f"ip -4 addr show dev {INNER}").output,
                   300, 2)
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
    """Who is on the bridge is in the node's network, by a MAC of its own, and the server answers it. Where the
    network is tagged, the guest's frames are, too."""
    card = f"eth0.{way.vlan}" if way.vlan else "eth0"
    machine.run("ip netns add guest; ip link add tap100i0 type veth peer name eth0 netns guest")
    machine.run(f"ip link set tap100i0 master {way.bridge} up")
    machine.run(f"ip -n guest link set eth0 address {GUEST_MAC} up")
    if way.vlan:
        machine.run(f"bridge vlan add vid {way.vlan} dev tap100i0")  # where the bridge is aware of VLANs
        machine.run(f"ip -n guest link add link eth0 name {card} type vlan id {way.vlan}; ip -n guest link set {card} up")
    machine.run(f"ip -n guest addr add {GUEST}/24 dev {card}")
    reach_server(machine, server)
    assert GUEST_MAC in server.namespace.run("ip", "neigh", "show", GUEST).stdout


def reach_server(machine: Machine, server: Nodisk) -> None:
    machine.run(f"ip netns exec guest timeout 60 bash -c ': </dev/tcp/{server.address}/80'")


def restart_networking(machine: Machine, way: Way) -> None:
    """By all who have a hand in it, with what udev does for a card that comes."""
    machine.run(f"systemctl restart systemd-networkd; {way.manager.begins_anew}; true", timeout=600)
    machine.run("udevadm trigger --action=add --subsystem-match=net && udevadm settle", timeout=300)
    machine.run(f"networkctl reload && networkctl reconfigure {way.top}", timeout=300)
    check_well(machine, way)
    if way.by == "ifupdown2":  # it has done all that it was told to
        assert read(machine, f"{way.bridge}/bridge/vlan_filtering") == ["1"]


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


def test_boot_card_below(server: Nodisk, image: Path, way: Way, tmp_path: Path) -> None:
    """Boots, keeps its root, serves a guest, outlives its server, restarts and switches off in good order."""
    node = server.add_node(NAME, MAC, ADDRESS, image)
    server.start()
    with make_machine(server, node, way, tmp_path) as machine:
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
