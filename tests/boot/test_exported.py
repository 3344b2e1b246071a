"""Another server gives out the addresses, by the configuration that we print for it; nodisk has all the rest."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.netns import BRIDGE, Namespace
from lab.nodisk import CONFIG, Nodisk
from lab.process import require, wait_until
from lab.qemu import Machine

NAME, MAC, ADDRESS = "export1", "52:54:00:77:4e:c1", "10.77.0.93"
IBFT = "cat /sys/firmware/ibft/target0/target-name /sys/firmware/ibft/initiator/initiator-name"


def start_dnsmasq(namespace: Namespace, daemon: Nodisk) -> None:
    """With an empty configuration but for ours."""
    require({"dnsmasq": "dnsmasq-base"})
    config = namespace.work / "exported.conf"
    config.write_text(daemon.cli("export", "dhcp", "--format", "dnsmasq").stdout)
    process = namespace.start("dnsmasq", "dnsmasq", "-d", "--port=0", "-C", config, f"--interface={BRIDGE}",
                              "--bind-interfaces", "--user=root", f"--dhcp-leasefile={namespace.work}/leases",
                              f"--pid-file={namespace.work}/dnsmasq.pid")
    wait_until("dnsmasq", lambda: "DHCP" in process.output(), 300)


def start_kea(namespace: Namespace, daemon: Nodisk) -> None:
    """As it was printed; only its leases are kept nowhere."""
    require({"kea-dhcp4": "kea-dhcp4-server"})
    whole = json.loads(daemon.cli("export", "dhcp", "--format", "kea").stdout)
    whole["Dhcp4"]["lease-database"] = {"type": "memfile", "persist": False}
    config = namespace.work / "kea.json"
    config.write_text(json.dumps(whole))
    process = namespace.start("kea", "env", f"KEA_PIDFILE_DIR={namespace.work}", f"KEA_LOCKFILE_DIR={namespace.work}",
                              "kea-dhcp4", "-c", config)
    wait_until("Kea", lambda: "DHCP4_STARTED" in process.output(), 300)


@pytest.mark.full
@pytest.mark.parametrize("start", [start_dnsmasq, start_kea], ids=["dnsmasq", "kea"])
def test_a_node_boots_by_what_was_exported(namespace: Namespace, golden: Path,
                                           start: Callable[[Namespace, Nodisk], None]) -> None:
    """UEFI's PXE client, then iPXE: as itself, with its address, from its disk."""
    daemon = Nodisk(namespace, namespace.work / "nodisk", config=CONFIG + "mode = off\n")
    daemon.add_overlay(NAME, MAC, ADDRESS, golden)
    start(namespace, daemon)
    machine = Machine(namespace, NAME, MAC, firmware="uefi")
    try:
        with machine:
            machine.login(timeout=900)
            assert machine.run("hostname", timeout=300).output == NAME
            assert f"inet {ADDRESS}/24" in machine.run("ip -4 addr show", timeout=300).output
            assert machine.run(IBFT, timeout=300).output.split() == [f"iqn.2026-11.lan.example:{NAME}"] * 2
            daemon.wait_stage(NAME, "up", 300)
        assert not any(daemon.json("status")["counters"]["dhcp"]["sent"].values())
    finally:
        daemon.stop()
