"""UEFI boots over IPv6 alone, by PXE and by HTTP: address and URL by DHCPv6, the loader, and its script.

The node has no IPv4 address, and there is no pool to give it one: what comes, comes over IPv6.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.capture import capturing
from lab.netns import Namespace
from lab.nodisk import SERVER_CONFIG, Nodisk
from lab.qemu import Machine

NAME, MAC = "six1", "52:54:00:77:4e:66"
ADDRESS = "fd77::5054:ff:fe77:4e66"

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


@pytest.fixture
def daemon(namespace: Namespace) -> Iterator[Nodisk]:
    """A daemon that serves both, on a network whose routers say nothing."""
    nodisk = Nodisk(namespace, namespace.work / "nodisk", config=CONFIG)
    nodisk.start()
    nodisk.cli("node", "add", NAME, "--mac", MAC)
    yield nodisk
    nodisk.stop()


def stages(daemon: Nodisk) -> dict[str, str]:
    """Of the node's boot, with what is told of each."""
    return {stage["stage"]: stage["detail"] for stage in daemon.json("status")["nodes"][0]["boot"]["stages"]}


@pytest.mark.full
@pytest.mark.parametrize("way, options, loader", [("PXE", NO_IPV4_PXE, "snponly.efi"),
                                                  ("HTTP", NO_PXE, "snponly.efi by HTTP")])
def test_as_far_as_the_script(daemon: Nodisk, way: str, options: list[str], loader: str) -> None:
    """Firmware's DHCPv6, the loader by the URL of option 59, and iPXE's own DHCPv6 and script."""
    machine = Machine(daemon.namespace, NAME, MAC, firmware="uefi", extra=options)
    with capturing(daemon.namespace) as capture, machine:
        daemon.wait_stage(NAME, "script", 420)
    assert stages(daemon) == {"address": ADDRESS, "loader": loader, "script": ADDRESS}
    assert capture.summary(machine.power_on_epoch).dhcp  # it did try IPv4, in vain
    counters = daemon.json("status")["counters"]
    assert counters["dhcp"]["sent"]["ack"] == 0
    assert counters["dhcp6"]["sent"]["reply"] >= 1
