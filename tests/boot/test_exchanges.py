"""How often a boot asks DHCP: once, where the loader lets it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import plain_rom
from lab.capture import capturing
from lab.netns import BRIDGE, Namespace
from lab.nodisk import CONFIG, Nodisk
from lab.process import wait_until
from lab.qemu import Machine

MAC = "52:54:00:77:4e:41"
ADDRESS, ROUTER = "10.78.0.41", "10.78.0.1"
MANUAL, FROM_DHCP = "1", "3"  # iBFT 1.03, NIC structure, origin
NETWORK = "cat /run/systemd/network/05-nodisk-boot.network"
LEASES = "cat /run/systemd/netif/leases/* 2>/dev/null || true"

BEHIND = f"""
[subnet behind]
interface = {BRIDGE}
network = 10.78.0.0/24
router = {ROUTER}
"""


@pytest.fixture
def rack(namespace: Namespace, tmp_path: Path) -> Iterator[Namespace]:
    """The machine's network, behind a router that relays DHCP."""
    with Namespace(tmp_path / "rack", "rack") as rack:
        rack.add_bridge(f"{ROUTER}/24")
        namespace.join(rack, "up0", "10.77.0.2/24")
        rack.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        rack.run("ip", "route", "add", "default", "via", "10.77.0.1")
        namespace.run("ip", "route", "add", "10.78.0.0/24", "via", "10.77.0.2")
        yield rack


@pytest.fixture
def behind(namespace: Namespace, rack: Namespace) -> Iterator[Nodisk]:
    """A daemon that serves that network through the relay."""
    daemon = Nodisk(namespace, namespace.work / "nodisk", config=CONFIG + BEHIND)
    daemon.start()
    relay = rack.start("relay", sys.executable, plain_rom.__file__, BRIDGE, ROUTER, "10.77.0.1")
    wait_until("the relay", lambda: "relaying" in relay.output(), 300)
    yield daemon
    daemon.stop()


def origin(machine: Machine) -> str:
    """What the firmware's table says."""
    return machine.run("cat /sys/firmware/ibft/ethernet0/origin").output


def test_a_rom_and_its_loader_ask_once(behind: Nodisk, rack: Namespace, golden: Path) -> None:
    """undionly.kpxe takes over what the ROM got, and neither it nor Linux asks again."""
    behind.add_overlay("node0", MAC, ADDRESS, golden)
    machine = Machine(rack, "node0", MAC)
    with capturing(rack) as capture, machine:
        machine.login()
        behind.wait_stage("node0", "up", 300)
        assert origin(machine) == MANUAL
        assert machine.run("hostname").output == "node0"
        assert ADDRESS in machine.run("ip -4 addr show").output
        assert f"default via {ROUTER}" in machine.run("ip route").output
        assert f"Address={ADDRESS}/24" in machine.run(NETWORK).output.split()
        assert machine.run("journalctl -b -u systemd-networkd -p warning -q --no-pager").output == ""
        assert machine.run("systemctl restart systemd-networkd; systemctl is-system-running --wait"
                           ).output == "running"
        assert ADDRESS in machine.run("ip -4 addr show").output
        assert machine.run(LEASES).output == ""
    wire = capture.summary(machine.power_on_epoch)
    assert [fetch.name for fetch in wire.tftp] == ["undionly.kpxe"]
    assert [exchange.messages for exchange in wire.dhcp] == [["DISCOVER", "OFFER", "REQUEST", "ACK"]]


@pytest.mark.full
@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_a_node_whose_address_is_of_dhcp_renews_it(daemon: Nodisk, namespace: Namespace, golden: Path,
                                                   firmware: str) -> None:
    """As it is wanted for this node alone; changed back, the next boot keeps it by hand."""
    daemon.add_overlay("node0", MAC, "10.77.0.41", golden)
    daemon.cli("node", "set", "node0", "--ibft-origin", "dhcp")
    machine = Machine(namespace, "node0", MAC, firmware=firmware)
    with machine:
        machine.login(timeout=900)
        assert origin(machine) == FROM_DHCP
        wait_until("the lease", lambda: "10.77.0.41" in machine.run(LEASES).output, 300)
        daemon.cli("node", "set", "node0", "--ibft-origin", "default")
        here = len(machine.console.text)
        machine.start_command("systemctl reboot")
        with capturing(namespace) as capture:
            machine.login(timeout=900, start=here)
            daemon.wait_stage("node0", "up", 300)
        assert origin(machine) == MANUAL
        assert machine.run(LEASES).output == ""
    # Debian 12's loader for UEFI asks again, since it cannot take over what the firmware got
    assert len(capture.summary().dhcp) == (1 if firmware == "bios" else 2)
