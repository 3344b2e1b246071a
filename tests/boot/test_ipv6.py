"""iPXE that knows no IPv4: its script, kernel and initramfs over IPv6."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.netns import Namespace
from lab.nodisk import CONFIG, Nodisk
from lab.process import wait_until
from lab.qemu import Machine

IPXE = Path("/boot/ipxe.lkrn")  # of the package ipxe
MAC, ADDRESS, ADDRESS6 = "52:54:00:77:4e:61", "10.77.0.61", "fd77::5054:ff:fe77:4e61"

SCRIPT = """#!ipxe
:again
ifopen net0 && ifconf --configurator ipv6 net0 || goto wait
echo addresses: ${net0/ip6} and [${net0/ip}]
chain --replace http://[fd77::1]/boot.ipxe?mac=${net0/mac:hexhyp} || goto wait
:wait
sleep 2
goto again
"""

pytestmark = pytest.mark.full


@pytest.fixture
def daemon(namespace: Namespace) -> Iterator[Nodisk]:
    """It serves IPv6, too; another machine is the router."""
    if not IPXE.exists():
        pytest.skip(f"{IPXE} is not installed")
    with Namespace(namespace.work / "router", "router") as router:
        namespace.join(router, "eth0", "fd77::2/64")
        dnsmasq = router.start("dnsmasq", "dnsmasq", "-d", "--port=0", "--interface=eth0", "--enable-ra",
                               "--dhcp-range=fd77::,ra-only", f"--dhcp-leasefile={router.work}/leases",
                               f"--pid-file={router.work}/dnsmasq.pid")
        wait_until("the router", lambda: "router advertisement" in dnsmasq.output(), 30)
        nodisk = Nodisk(namespace, namespace.work / "nodisk", config=CONFIG + "network6 = fd77::/64\n")
        nodisk.start()
        yield nodisk
        nodisk.stop()


def machine(namespace: Namespace) -> Machine:
    """iPXE, as from a USB stick, with a script that asks for no IPv4 address."""
    script = namespace.work / "boot.ipxe"
    script.write_text(SCRIPT)
    return Machine(namespace, "node0", MAC, card="virtio-net-pci,romfile=",
                   extra=["-kernel", str(IPXE), "-initrd", str(script)])


def test_a_node_with_an_ipv4_address_boots_as_ever(namespace: Namespace, daemon: Nodisk, golden: Path) -> None:
    """It sets that address itself, reaches its disk by it, and its system has it from the iBFT."""
    daemon.add_overlay("node0", MAC, ADDRESS, golden)
    with machine(namespace) as node:
        node.console.expect(rf"addresses: {ADDRESS6} and \[\]", 120)
        node.login(timeout=900)
        daemon.wait_stage("node0", "up", 120)
        said = node.run("cat /sys/firmware/ibft/ethernet0/ip-addr /sys/firmware/ibft/ethernet0/subnet-mask "
                        "/sys/firmware/ibft/target0/ip-addr /sys/firmware/ibft/ethernet0/origin").output.split()
        assert said == [ADDRESS, "255.255.255.0", "10.77.0.1", "1"]
        shown = daemon.cli("node", "show", "node0").stdout
        assert f"script  {ADDRESS6}" in shown and f"firmware  {ADDRESS}" in shown and "kernel" in shown
        assert daemon.cli("lease", "list").stdout.count(ADDRESS) == 0


def test_without_ipv4_the_disk_is_read_over_ipv6_and_that_is_told(namespace: Namespace, daemon: Nodisk,
                                                                  golden: Path) -> None:
    """As far as the kernel: the iBFT names no target that it could find."""
    daemon.start()
    daemon.cli("node", "add", "node0", "--mac", MAC, "--image", daemon.import_image(golden), timeout=600)
    with machine(namespace) as node:
        node.console.expect(r"boots volume \S+ of \[fd77::1\]", 180)
        daemon.wait_stage("node0", "kernel", 300)
        assert f"firmware  {ADDRESS6}, over IPv6: the iBFT cannot say that" in daemon.cli("node", "show", "node0").stdout
        assert "its iPXE reads the disk over IPv6" in daemon.log()
        node.console.expect(r"Linux version", 300)
