"""A tagged network: what the golden image makes of the VLAN in the iBFT.

No loader of Debian 12 knows VLANs, so the table is made by hand, and kernel and initramfs of the
image are started with it as a loader would.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from test_golden_image import debugfs

from lab import vlan
from lab.ibft import Table
from lab.netns import BRIDGE
from lab.nodisk import Nodisk
from lab.peers import Node
from lab.process import wait_until
from lab.qemu import Machine

NAME, MAC, ADDRESS, PORTAL, VLAN = "tagged", "52:54:00:77:4e:61", "10.77.0.61", "10.77.0.1", 20
HERE, THERE = 7771, 7772


def extract(image: Path, name: str, to: Path) -> Path:
    """A file of the image, through a link."""
    link = debugfs(image, f"stat {name}").split('Fast link dest: "')[1].split('"')[0]
    debugfs(image, f"dump /{link} {to}")
    return to


def root_of(image: Path) -> str:
    """As the kernel is told of it."""
    return "root=UUID=" + re.search(r"Filesystem UUID:\s+(\S+)", debugfs(image, "show_super_stats -h"))[1]


@dataclass
class TaggedMachine(Machine):
    """Its card is at the port of a switch, which is vlan.py."""

    def command_line(self) -> list[object]:
        words = super().command_line()
        at = next(i for i, word in enumerate(words) if str(word).startswith("tap,id=net0"))
        words[at] = f"socket,id=net0,udp=127.0.0.1:{HERE},localaddr=127.0.0.1:{THERE}"
        return words


def add_machine(daemon: Nodisk, node: Node, work: Path) -> TaggedMachine:
    """Switched off, at the port of a switch."""
    namespace = daemon.namespace
    namespace.run("ip", "link", "set", "lo", "up")
    namespace.run("ip", "link", "add", "port", "type", "veth", "peer", "name", "inside")
    namespace.run("ip", "link", "set", "inside", "master", BRIDGE, "up")
    namespace.run("ip", "link", "set", "port", "up")
    # a frame that is sent on by hand must be whole: no checksum and no cutting up is left to a card
    namespace.run("ethtool", "-K", "inside", "tx", "off", "gso", "off", "tso", "off")
    switch = namespace.start("vlan", sys.executable, vlan.__file__, "port", VLAN, HERE, THERE)
    wait_until("the switch", lambda: "forwarding" in switch.output(), 300)
    table = work / "ibft"
    table.write_bytes(Table(node.mac, node.address, PORTAL, node.initiator, daemon.target_of(node), vlan=VLAN,
                            hostname=node.name).body())
    machine = TaggedMachine(namespace, node.name, node.mac)
    machine.extra = ["-acpitable", f"sig=iBFT,rev=1,oem_id=NODISK,oem_table_id=TABLE,data={table}",
                     "-kernel", extract(node.disk, "/vmlinuz", work / "vmlinuz"),
                     "-initrd", extract(node.disk, "/initrd.img", work / "initrd"),
                     "-append", f"{root_of(node.disk)} ro console=tty0 console=ttyS0,115200 loglevel=5"]
    return machine


@pytest.fixture
def machine(daemon: Nodisk, golden: Path, tmp_path: Path) -> Iterator[Machine]:
    daemon.add_overlay(NAME, MAC, ADDRESS, golden)
    machine = add_machine(daemon, Node(NAME, MAC, ADDRESS, golden), tmp_path)
    try:
        yield machine
    finally:
        machine.kill()


@pytest.mark.full
def test_a_node_in_a_vlan(machine: Machine, daemon: Nodisk) -> None:
    """Its disk, its address and all that it says are in that VLAN, and stay there."""
    machine.power_on()
    machine.login(timeout=900)
    assert machine.run("cat /sys/firmware/ibft/ethernet0/vlan").output == str(VLAN)
    card = machine.run("ip -o -4 addr show | grep -w 10.77.0.61/24").output.split()[1]
    assert card == "ibft-vlan"
    parent = machine.run(f"ip -o link show {card}").output.split()[1].partition("@")[2].rstrip(":")
    assert f"vlan protocol 802.1Q id {VLAN}" in machine.run(f"ip -d link show {card}").output
    assert parent and machine.run(f"ip -o -4 addr show dev {parent}").output == ""
    assert machine.run("hostname").output == NAME
    assert machine.run("systemctl is-system-running --wait", timeout=120).output == "running"
    wait_until("the node phoning home", lambda: daemon.stage(NAME) == "up", 300)
    machine.run("systemctl restart systemd-networkd; sleep 3; echo 3 >/proc/sys/vm/drop_caches; sync")
    assert f"inet {ADDRESS}/24" in machine.run(f"ip -4 addr show dev {card}").output
    machine.run("systemctl stop systemd-networkd; echo 3 >/proc/sys/vm/drop_caches; ls -R /usr >/dev/null; sync", timeout=300)
    assert f"inet {ADDRESS}/24" in machine.run(f"ip -4 addr show dev {card}").output
