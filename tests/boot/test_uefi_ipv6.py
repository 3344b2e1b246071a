"""UEFI boots over IPv6, by PXE and by HTTP: address and URL by DHCPv6, the loader, and its script."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.netns import Namespace
from lab.nodisk import SERVER_CONFIG, Nodisk
from lab.process import wait_until
from lab.qemu import Machine

NAME, MAC = "six1", "52:54:00:77:4e:66"
ADDRESS, ADDRESS6 = "10.77.0.66", "fd77::5054:ff:fe77:4e66"

# No pool: a node without an IPv4 address gets none.
CONFIG = SERVER_CONFIG + """\
log-level = debug

[iscsi]
threads = {threads}

[subnet lab]
interface = {interface}
network = {net}.0/24
network6 = fd77::/64
lease-time = {lease_seconds}s
"""

# What firmware then does not try.
NO_IPV4_PXE = ["-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=no"]
NO_PXE = [*NO_IPV4_PXE, "-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=no"]

pytestmark = pytest.mark.full


@pytest.fixture
def daemon(namespace: Namespace) -> Iterator[Nodisk]:
    """A daemon that serves both, on a network whose routers say nothing."""
    nodisk = Nodisk(namespace, namespace.work / "nodisk", config=CONFIG)
    nodisk.start()
    yield nodisk
    nodisk.stop()


def stages(daemon: Nodisk) -> dict[str, str]:
    """Of the node's boot, with what is told of each."""
    return {stage["stage"]: stage["detail"] for stage in daemon.json("status")["nodes"][0]["boot"]["stages"]}


@pytest.mark.parametrize("options, loader", [(NO_IPV4_PXE, "snponly.efi"), (NO_PXE, "snponly.efi by HTTP")],
                         ids=["PXE", "HTTP"])
def test_as_far_as_the_script(daemon: Nodisk, options: list[str], loader: str) -> None:
    """A node without any IPv4 address: what comes, comes over IPv6. (HTTP over IPv4 is tried first, in vain.)"""
    daemon.cli("node", "add", NAME, "--mac", MAC)
    machine = Machine(daemon.namespace, NAME, MAC, firmware="uefi", extra=options)
    with machine:
        daemon.wait_stage(NAME, "script", 420)
    assert stages(daemon) == {"address": ADDRESS6, "loader": loader, "script": ADDRESS6}
    counters = daemon.json("status")["counters"]
    assert counters["dhcp"]["sent"]["ack"] == 0
    assert counters["dhcp6"]["sent"]["reply"] >= 2  # to firmware and to iPXE


def test_as_far_as_the_login(daemon: Nodisk, golden: Path) -> None:
    """A node with an IPv4 address, whose firmware boots over IPv6: its system is up as ever."""
    node = daemon.add_node(NAME, MAC, ADDRESS, golden)
    machine = Machine(daemon.namespace, NAME, MAC, firmware="uefi", extra=NO_IPV4_PXE)
    with machine:
        machine.login(timeout=900)
        assert machine.run("hostname", timeout=300).output == NAME
        daemon.wait_stage(NAME, "up", 300)
    reached = stages(daemon)
    assert reached["address"] == ADDRESS6 and reached["loader"] == "snponly.efi"
    assert list(reached) == ["address", "loader", "script", "firmware", "kernel", "initramfs", "up"]
    assert daemon.reported_up(node)


def test_http_boot_beside_another_server(namespace: Namespace) -> None:
    """dnsmasq gives out addresses and is the router; firmware takes from us what it boots."""
    with Namespace(namespace.work / "other", "other") as other:
        namespace.join(other, "eth0", "10.77.0.2/24")
        other.run("ip", "addr", "add", "fd77::2/64", "dev", "eth0", "nodad")
        dnsmasq = other.start("dnsmasq", "dnsmasq", "-d", "--port=0", "--no-resolv", "--conf-file=/dev/null",
                              "--interface=eth0", "--bind-interfaces", "--enable-ra", "--log-dhcp",
                              "--dhcp-range=fd77::100,fd77::1ff,64,1h", f"--dhcp-leasefile={other.work}/leases",
                              f"--pid-file={other.work}/pid")
        wait_until("dnsmasq serving DHCPv6", lambda: ":547 " in other.run("ss", "-Hlun").stdout, 300)
        nodisk = Nodisk(namespace, namespace.work / "nodisk", config=CONFIG + "mode = proxy\n")
        nodisk.start()
        nodisk.cli("node", "add", NAME, "--mac", MAC)
        with Machine(namespace, NAME, MAC, firmware="uefi", extra=NO_PXE):
            nodisk.wait_stage(NAME, "loader", 420)
        assert stages(nodisk) == {"address": "from another server", "loader": "snponly.efi by HTTP"}
        assert "DHCPREPLY(eth0) fd77::1" in dnsmasq.output()
        assert nodisk.json("status")["counters"]["dhcp6"]["sent"]["reply"] == 0
        nodisk.stop()
