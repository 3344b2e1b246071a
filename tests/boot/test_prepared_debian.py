"""A plain Debian that `nodisk prepare` has prepared boots whatever the machine: two nodes of one image at once,
which differ in firmware, origin of the iBFT, CHAP and cards. By pairs: each two of these values meet once.

The same for who makes the initramfs: initramfs-tools and dracut.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest
from test_golden_image import HANGS, debugfs

from lab.nodisk import Nodisk
from lab.peers import Node
from lab.prepared import MACHINE_ID
from lab.process import wait_until
from lab.qemu import Machine

pytestmark = pytest.mark.full

PATIENCE = 1800  # seconds for a boot, beside others
# The boot card's slot where there is another one, of another make and in a lower slot.
SLOT, OTHER_SLOT = 8, 4
OTHER_MAC = "52:54:00:77:4e:c9"


@dataclass(frozen=True)
class Way:
    """How one machine boots."""

    firmware: str
    origin: str  # of the iBFT: does the system ask DHCP itself (dhcp), or nobody (manual)?
    chap: str
    other_card: bool = False

    def __str__(self) -> str:
        return "-".join([self.firmware, self.origin, self.chap] + ["second-card"] * self.other_card)


# Firmware, origin and CHAP: test_prepare.py (bios, default, none) and test_prepared_outages.py (uefi and
# bios without CHAP) are the others.
PAIRS = [
    (Way("bios", "dhcp", "one-way", other_card=True), Way("uefi", "manual", "mutual", other_card=True)),
    (Way("bios", "manual", "mutual", other_card=True), Way("uefi", "dhcp", "one-way", other_card=True)),
]
# What is in the image, and who boots it.
BOOTS = [(system, pair) for system in ("initramfs-tools", "dracut") for pair in PAIRS] + [("dracut-trixie", PAIRS[1])]


def add(server: Nodisk, image: Path, number: int, way: Way) -> tuple[Node, Machine]:
    """A node that boots this way, switched off."""
    name, mac, address = f"node{number}", f"52:54:00:77:4e:c{number}", f"10.77.0.{60 + number}"
    node = server.add_node(name, mac, address, image)
    server.cli("node", "set", name, "--ibft-origin", way.origin, "--chap", way.chap)
    machine = Machine(server.namespace, name, mac, firmware=way.firmware)
    if way.other_card:
        machine.card = f"virtio-net-pci,addr={SLOT:#x}"
        machine.extra = ["-netdev", "user,id=net1,restrict=on",
                         "-device", f"vmxnet3,addr={OTHER_SLOT:#x},netdev=net1,mac={OTHER_MAC},romfile="]
    return node, machine


def check_itself(machine: Machine, node: Node, way: Way) -> None:
    """It is who the server says it is, by the card that the firmware booted from, as it was to boot."""
    def ask(command: str) -> str:
        return machine.run(command, timeout=300).output

    assert ask("systemctl is-system-running --wait") == "running"
    assert ask("hostname") == node.name
    assert ask("sed s/.*=// /etc/iscsi/initiatorname.iscsi") == node.initiator
    assert ask("cat /sys/class/iscsi_session/session*/initiatorname") == node.initiator
    assert ask("cat /sys/firmware/ibft/ethernet0/mac") == node.mac
    card = ask(f"basename $(dirname $(grep -l {node.mac} /sys/class/net/*/address))")
    assert f"inet {node.address}/24" in ask(f"ip -4 addr show dev {card}")
    assert card in ask("ls /run/nodisk/boot-card").split()
    assert ask("test -d /sys/firmware/efi && echo uefi || echo bios") == way.firmware
    assert ask("cat /sys/firmware/ibft/ethernet0/origin") == ("1" if way.origin == "manual" else "3")
    has_dhcp = "DHCP=ipv4" in ask("cat /run/systemd/network/05-nodisk-boot.network")
    assert has_dhcp == (way.origin == "dhcp")
    assert ask("cat /sys/class/iscsi_session/session*/username") == (node.name if way.chap != "none" else "<NULL>")
    mutual = ask("cat /sys/class/iscsi_session/session*/username_in")
    assert (mutual not in ("", "<NULL>", "(null)")) == (way.chap == "mutual"), mutual
    assert ask("findmnt -no SOURCE /").startswith("/dev/sda")
    assert ask("cat /sys/class/iscsi_session/session*/recovery_tmo") == "off"


def check_other_card(machine: Machine) -> None:
    """The other one comes first, and ifupdown has set it up: nobody is kept from what is not the boot card."""
    name = machine.run(f"basename $(dirname $(grep -l {OTHER_MAC} /sys/class/net/*/address))").output
    assert name.endswith(f"s{OTHER_SLOT}")
    assert machine.run(f"basename $(readlink /sys/class/net/{name}/device/driver)").output == "vmxnet3"
    assert name not in machine.run("ls /run/nodisk/boot-card").output.split()
    wait_until("its address", lambda: "inet 10.0.2." in machine.run(f"ip -4 addr show dev {name}").output, 300, 2)


def identity(machine: Machine) -> dict[str, str]:
    """What no two nodes may share."""
    return {what: machine.run(command, timeout=300).output for what, command in {
        "machine-id": "cat /etc/machine-id",
        "host key": "cut -d ' ' -f 2 /etc/ssh/ssh_host_ed25519_key.pub",
        "host name": "hostname",
        "initiator": "sed s/.*=// /etc/iscsi/initiatorname.iscsi",
        "mac": "cat /sys/firmware/ibft/ethernet0/mac",
    }.items()}


def reboot(machine: Machine) -> float:
    """By itself; returns after how many seconds it had restarted."""
    here, begin = len(machine.console.text), machine.seconds()
    machine.start_command("systemctl reboot")
    machine.login(timeout=PATIENCE, start=here)
    return machine.console.seconds_of(r"reboot: Restarting system", here) - begin


def switch_off(machine: Machine) -> float:
    """By itself; returns after how many seconds it was off."""
    begin = machine.seconds()
    machine.start_command("systemctl poweroff")
    return machine.wait_off(PATIENCE) - begin


@pytest.mark.parametrize(("prepared", "pair"), BOOTS, indirect=["prepared"],
                         ids=["-".join((system, "+".join(map(str, pair)))) for system, pair in BOOTS])
def test_two_nodes_at_once(server: Nodisk, prepared: Path, pair: tuple[Way, Way]) -> None:
    """Each comes up as itself, stays itself after a reboot, and shuts down in good order."""
    nodes = [add(server, prepared, number, way) for number, way in enumerate(pair)]
    try:
        for _, machine in nodes:
            machine.power_on()
        for (node, machine), way in zip(nodes, pair, strict=True):
            machine.login(timeout=PATIENCE)
            check_itself(machine, node, way)
            if way.other_card:
                check_other_card(machine)
            wait_until(f"{node.name} phoning home", lambda node=node: server.reported_up(node), 300)
        first, second = (identity(machine) for _, machine in nodes)
        assert {what for what in first if first[what] == second[what]} == set()
        assert len(first["machine-id"]) == len(second["machine-id"]) == 32
        assert MACHINE_ID not in (first["machine-id"], second["machine-id"])

        for (node, machine), way, before in zip(nodes, pair, (first, second), strict=True):
            machine.run("echo kept >/root/kept")  # not synced: shutdown has to do it
            seconds = reboot(machine)
            assert machine.run("cat /root/kept").output == "kept"
            assert identity(machine) == before
            off = switch_off(machine)
            print(f"\n{way}: restarted after {seconds:.0f} s, off after {off:.0f} s")
            assert seconds < HANGS and off < HANGS
    finally:
        for _, machine in nodes:
            machine.kill()
    server.stop()
    for node, _ in nodes:
        assert "needs_recovery" not in debugfs(node.disk, "show_super_stats -h")
