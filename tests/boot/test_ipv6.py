"""iPXE that knows no IPv4: address, script, kernel and initramfs over IPv6."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.netns import Namespace
from lab.nodisk import CONFIG, Nodisk
from lab.qemu import Machine

IPXE = Path("/boot/ipxe.lkrn")  # of the package ipxe
MAC, ADDRESS, ADDRESS6 = "52:54:00:77:4e:61", "10.77.0.61", "fd77::5054:ff:fe77:4e61"

SCRIPT = """#!ipxe
:again
ifopen net0 && ifconf --configurator ipv6 net0 || goto wait
echo addresses: ${net0/ip6} and [${net0/ip}]
chain --replace ${filename} ||
:wait
sleep 2
goto again
"""

pytestmark = pytest.mark.full


@pytest.fixture
def ipxe(namespace: Namespace) -> Machine:
    """iPXE, as from a USB stick, with a script that asks for no IPv4 address."""
    if not IPXE.exists():
        pytest.skip(f"{IPXE} is not installed")
    script = namespace.work / "boot.ipxe"
    script.write_text(SCRIPT)
    return Machine(namespace, "node0", MAC, card="virtio-net-pci,romfile=",
                   extra=["-kernel", str(IPXE), "-initrd", str(script)])


def daemon_of(namespace: Namespace, config: str) -> Iterator[Nodisk]:
    """One that serves IPv6, too."""
    nodisk = Nodisk(namespace, namespace.work / "nodisk", config=config + "network6 = fd77::/64\n")
    nodisk.start()
    yield nodisk
    nodisk.stop()


@pytest.fixture
def daemon6(namespace: Namespace) -> Iterator[Nodisk]:
    yield from daemon_of(namespace, CONFIG)


@pytest.fixture
def poolless(namespace: Namespace) -> Iterator[Nodisk]:
    """DHCP for IPv4 has addresses for nodes that have their own, and for nobody else."""
    yield from daemon_of(namespace, "".join(line for line in CONFIG.splitlines(True)
                                            if not line.startswith("range")))


def in_ibft(machine: Machine, *names: str) -> list[str]:
    """What the system finds there."""
    return machine.run("cd /sys/firmware/ibft; for f in " + " ".join(names)
                       + "; do echo $(cat $f); done").output.split()


TOLD = ("ethernet0/ip-addr", "ethernet0/subnet-mask", "target0/ip-addr")


def test_a_node_with_an_ipv4_address_boots_as_ever(ipxe: Machine, daemon6: Nodisk, golden: Path) -> None:
    """It sets that address itself, reaches its disk by it, and its system has it from the iBFT."""
    daemon6.add_overlay("node0", MAC, ADDRESS, golden)
    with ipxe:
        ipxe.console.expect(rf"addresses: {ADDRESS6} and \[\]", 600)
        ipxe.login(timeout=900)
        daemon6.wait_stage("node0", "up", 120)
        assert in_ibft(ipxe, *TOLD, "ethernet0/origin") == [ADDRESS, "255.255.255.0", "10.77.0.1", "1"]
    shown = daemon6.cli("node", "show", "node0").stdout
    assert f"address  {ADDRESS6}" in shown and f"script  {ADDRESS6}" in shown
    assert f"firmware  {ADDRESS}\n" in shown and "kernel" in shown
    assert ADDRESS not in daemon6.cli("lease", "list").stdout


def test_one_of_the_pool_asks_for_ipv4_before_its_disk(ipxe: Machine, daemon6: Nodisk, golden: Path) -> None:
    """The same with an address from DHCP."""
    daemon6.cli("node", "add", "node0", "--mac", MAC, "--image", daemon6.import_image(golden), timeout=600)
    with ipxe:
        ipxe.console.expect(rf"addresses: {ADDRESS6} and \[\]", 600)
        daemon6.wait_stage("node0", "kernel", 300)
        ipxe.login(timeout=900)
        address, *others = in_ibft(ipxe, *TOLD)
        assert others == ["255.255.255.0", "10.77.0.1"]
    assert f"firmware  {address}\n" in daemon6.cli("node", "show", "node0").stdout
    assert address in daemon6.cli("lease", "list").stdout


def test_without_ipv4_the_disk_is_read_over_ipv6_and_that_is_told(ipxe: Machine, poolless: Nodisk,
                                                                  golden: Path) -> None:
    """As far as the initramfs, which waits for the IPv4 address that it is to reach its disk by."""
    poolless.cli("node", "add", "node0", "--mac", MAC, "--image", poolless.import_image(golden), timeout=600)
    with ipxe:
        ipxe.console.expect(r"boots volume \S+ of \[fd77::1\]", 180)
        poolless.wait_stage("node0", "kernel", 300)
        shown = poolless.cli("node", "show", "node0").stdout
        assert f"firmware  {ADDRESS6}, over IPv6: the iBFT cannot say that" in shown
        assert "its iPXE reads the disk over IPv6" in poolless.log()
        ipxe.console.expect("nodisk: no DHCP server answers on", 300)
