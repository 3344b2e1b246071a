"""What `nodisk ibft --format` prints for systemd-networkd and NetworkManager: they take it, configure the
card by it, and leave it its address when they end. The tables are real ones, changed where it is said."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from daemon import NODISK, wait_until
from test_dhcp_options import NETWORKD, need
from test_ibft import LAB, MAC, TABLES

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")

ORIGIN_AT, DHCP = 23, 3  # in the structure of a card
NIC_POINTER = 58

NETWORKD_START = """set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp /run/systemd/network
chown -R systemd-network: /run/systemd/netif
cp {files}/* /run/systemd/network
mount -o remount,ro /sys
exec {networkd}
"""

# As dracut runs it. It takes a veth for none of its business unless it is told otherwise.
NM_CONFIG = """[main]
plugins=keyfile
dhcp=internal
rc-manager=unmanaged
[device]
match-device=*
managed=1
"""
NM_START = """set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/NetworkManager/system-connections
cp -p {files}/* /run/NetworkManager/system-connections
mount -o remount,ro /sys
exec NetworkManager --configure-and-quit=initrd --debug --config={config} --state-file=/run/state
"""


def from_dhcp(table: bytes) -> bytes:
    """The same with an address that DHCP gave."""
    data = bytearray(table)
    nic = int.from_bytes(data[NIC_POINTER:NIC_POINTER + 2], "little")
    data[9] = (data[9] + data[nic + ORIGIN_AT] - DHCP) % 256
    data[nic + ORIGIN_AT] = DHCP
    return bytes(data)


def written(format_: str, table: bytes, directory: Path) -> Path:
    directory.mkdir()
    subprocess.run([NODISK, "ibft", "--format", format_, "--output", directory, "-"], input=table, check=True)
    return directory


@pytest.fixture
def daemon(lab):
    lab.server.run("ip", "address", "add", "10.77.0.1/24", "dev", "br0")
    daemon = lab.daemon(LAB)
    daemon.ok("node", "add", "web1", "--mac", MAC, "--address", "10.77.0.91")
    return daemon


@pytest.mark.parametrize("origin", ["manual", "dhcp"])
def test_systemd_networkd(lab, daemon, tmp_path, origin: str) -> None:
    """A veth has no permanent MAC, so that its other one has to do here; the boot tests have a real card."""
    need("systemd-networkd")
    table = (TABLES / "ipxe-bios").read_bytes()
    files = written("networkd", from_dhcp(table) if origin == "dhcp" else table, tmp_path / "network")
    (file,) = files.iterdir()
    file.write_text(file.read_text().replace("PermanentMACAddress=", "MACAddress="))
    client = lab.client(mac=MAC)
    start = NETWORKD_START.format(files=shlex.quote(str(files)), networkd=shlex.quote(NETWORKD))
    process = client.start("networkd", "sh", "-c", start)
    shown = lambda *words: client.run("ip", *words).stdout  # noqa: E731
    wait_until(lambda: "10.77.0.91/24" in shown("-4", "addr", "show", "dev", "eth0"), "networkd has the address", 60)
    wait_until(lambda: "default via 10.77.0.1" in shown("route"), "networkd has the route", 60)
    leases = Path(f"/proc/{process.child.pid}/root/run/systemd/netif/leases")
    if origin == "dhcp":
        wait_until(lambda: list(leases.iterdir()), "networkd writes its lease down", 60)
        assert f"CLIENTID=01{MAC.replace(':', '')}" in next(leases.iterdir()).read_text()
    else:
        assert list(leases.iterdir()) == []
    assert process.stop() == 0
    assert "10.77.0.91/24" in shown("-4", "addr", "show", "dev", "eth0")
    assert "default via 10.77.0.1" in shown("route")


@pytest.mark.parametrize("origin", ["manual", "dhcp"])
def test_network_manager(lab, daemon, tmp_path, origin: str) -> None:
    """In no list of packages: installed, it would take the cards of whoever runs these tests."""
    need("NetworkManager")
    table = (TABLES / "ipxe-bios").read_bytes()
    files = written("networkmanager", from_dhcp(table) if origin == "dhcp" else table, tmp_path / "connections")
    config = tmp_path / "nm.conf"
    config.write_text(NM_CONFIG)
    client = lab.client(mac=MAC)
    process = client.start("nm", "sh", "-c", NM_START.format(files=shlex.quote(str(files)), config=config))
    wait_until(lambda: not process.alive(), "NetworkManager has configured the card", 60)
    assert "exiting (success)" in process.output()
    assert "starting connection 'iBFT'" in process.output()
    assert "10.77.0.91/24" in client.run("ip", "-4", "addr", "show", "dev", "eth0").stdout
    assert "default via 10.77.0.1" in client.run("ip", "route").stdout
