"""UEFI boots by HTTP, with its own stack: the loader comes without PXE and without TFTP."""

from pathlib import Path

import pytest

from lab.capture import capturing
from lab.nodisk import Nodisk
from lab.qemu import Machine

NAME, MAC, ADDRESS = "http1", "52:54:00:77:4e:61", "10.77.0.61"

# What firmware then does not try.
NO_PXE = ["-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=no",
          "-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=no"]


def stages(daemon: Nodisk) -> dict[str, str]:
    """Of the node's boot, with what is told of each."""
    return {stage["stage"]: stage["detail"] for stage in daemon.json("status")["nodes"][0]["boot"]["stages"]}


def test_as_far_as_the_script(daemon: Nodisk) -> None:
    """Firmware asks DHCP as a client of HTTP boot, fetches the loader and starts it; that asks for its script."""
    daemon.cli("node", "add", NAME, "--mac", MAC, "--address", ADDRESS)
    machine = Machine(daemon.namespace, NAME, MAC, firmware="uefi", extra=NO_PXE)
    with machine:
        daemon.wait_stage(NAME, "script", 300)
    assert stages(daemon) == {"address": ADDRESS, "loader": "snponly.efi by HTTP", "script": ADDRESS}
    counters = daemon.json("status")["counters"]
    assert counters["tftp"]["requests"] == 0
    assert counters["http"]["loaders"] == 1 and counters["http"]["refused"] == 0


@pytest.mark.full
def test_as_far_as_the_login(daemon: Nodisk, golden: Path) -> None:
    """And further on as everybody does."""
    node = daemon.add_node(NAME, MAC, ADDRESS, golden)
    machine = Machine(daemon.namespace, NAME, MAC, firmware="uefi", extra=NO_PXE)
    with capturing(daemon.namespace) as capture, machine:
        machine.login(timeout=900)
        assert machine.run("hostname", timeout=300).output == NAME
        daemon.wait_stage(NAME, "up", 300)
    assert capture.summary(machine.power_on_epoch).tftp == []
    assert list(stages(daemon)) == ["address", "loader", "script", "firmware", "initramfs", "up"]
    assert daemon.reported_up(node)
