"""A node with two cards in two networks, over both of which it has its disk."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.netns import BRIDGE, Namespace
from lab.nodisk import CONFIG, Nodisk
from lab.process import run, wait_until
from lab.qemu import Machine

NAME = "twopaths"
CARDS = ("52:54:00:77:4e:51", "52:54:00:77:4e:52")
ADDRESSES = ("10.77.0.51", "10.79.0.51")
PORTALS = ("10.77.0.1", "10.79.0.1")
TAPS = (f"tap-{NAME}"[:15], "tap-second")
IPXE_EFI = Path("/boot/ipxe.efi")  # with drivers of its own: it sees both cards
ROOT_OFFSET = 34 * 1024 * 1024
SECOND = """
[subnet second]
interface = br1
network = 10.79.0.0/24
[tftp]
loaders = {work}/loaders
"""


@pytest.fixture
def daemon(namespace: Namespace, golden: Path) -> Iterator[Nodisk]:
    """It serves both networks; the node's disk is an overlay."""
    namespace.add_bridge(f"{PORTALS[1]}/24", name="br1")
    work = namespace.work / "nodisk"
    loaders = work / "loaders"
    loaders.mkdir(parents=True)
    shutil.copyfile("/usr/lib/ipxe/undionly.kpxe", loaders / "undionly.kpxe")
    shutil.copyfile(IPXE_EFI, loaders / "ipxe.efi")
    nodisk = Nodisk(namespace, work, config=CONFIG + "loader-uefi-x64 = ipxe.efi\n" + SECOND)
    nodisk.start()
    nodisk.cli("node", "add", NAME, "--mac", CARDS[0], "--mac", CARDS[1], "--address", ADDRESSES[0],
               "--path", f"{CARDS[1]}={ADDRESSES[1]}", "--image", nodisk.import_image(golden), timeout=900)
    yield nodisk
    nodisk.stop()


@pytest.fixture
def machine(namespace: Namespace, daemon: Nodisk) -> Iterator[Machine]:
    """The second card is in a lower slot, so that it is net0 in iPXE and eth0 in Linux."""
    machine = Machine(namespace, NAME, CARDS[0], card="virtio-net-pci,addr=0x10")
    machine.extra = ["-netdev", f"tap,id=net1,ifname={TAPS[1]},script=no,downscript=no",
                     "-device", f"virtio-net-pci,netdev=net1,mac={CARDS[1]},addr=0x5"]
    namespace.add_tap(TAPS[1], "br1")
    try:
        yield machine
    finally:
        machine.kill()


def sources(daemon: Nodisk) -> set[str]:
    """From where the node is logged in."""
    return {session["source"].split(":")[0] for session in daemon.json("session", "list")["sessions"]
            if session["node"] == NAME}


def active(machine: Machine) -> int:
    """Paths that are in use."""
    return len(re.findall(r"active ready +running", machine.run("multipath -ll").output))


def ibft(machine: Machine) -> dict[str, str]:
    """What firmware has left."""
    lines = machine.run("cd /sys/firmware/ibft && grep -r . ethernet* target*").output.splitlines()
    return dict(line.split(":", 1) for line in lines)


@pytest.mark.full
def test_a_path_is_cut_while_it_runs(machine: Machine, daemon: Nodisk, namespace: Namespace) -> None:
    """Firmware leaves both paths, Linux goes on with what is left of them, and gets it back."""
    machine.power_on()
    machine.login(timeout=900)
    said = ibft(machine)
    assert {said[f"target{i}/ip-addr"] for i in (0, 1)} == set(PORTALS)
    assert said["target0/target-name"] == said["target1/target-name"]
    assert {said[f"ethernet{i}/mac"]: said[f"ethernet{i}/ip-addr"] for i in (0, 1)} == dict(
        zip(CARDS, ADDRESSES, strict=True))
    for i in (0, 1):  # each target through the card in its network
        card = said[f"ethernet{said[f'target{i}/nic-assoc']}/ip-addr"]
        assert card.rpartition(".")[0] == said[f"target{i}/ip-addr"].rpartition(".")[0]

    assert machine.run("findmnt -no SOURCE /").output.startswith("/dev/mapper/")
    assert sources(daemon) == set(ADDRESSES)
    assert active(machine) == 2
    assert machine.run("systemctl --failed --no-legend").output == ""
    assert machine.run("systemctl is-system-running --wait", timeout=120).output == "running"
    wait_until("the node phoning home", lambda: daemon.stage(NAME) == "up", 300)

    machine.run("(while sleep 0.2; do date +%s.%N >>/root/dates; sync /root/dates; done) >/dev/null 2>&1 &")
    for tap in TAPS:
        namespace.run("ip", "link", "set", tap, "nomaster")
        wait_until("the path to be given up", lambda: active(machine) == 1, 90, 2)
        machine.run("echo 3 >/proc/sys/vm/drop_caches; cat /usr/bin/* >/dev/null; sync", timeout=120)
        before = int(machine.run("wc -l </root/dates").output)
        wait_until("more writes", lambda: int(machine.run("wc -l </root/dates").output) > before + 5, 300, 1)
        namespace.run("ip", "link", "set", tap, "master", "br1" if tap == TAPS[1] else BRIDGE)
        wait_until("the path to be back", lambda: active(machine) == 2, 120, 2)
    assert machine.run("dmesg | grep -ciE 'EXT4-fs error|remounting|I/O error, dev dm' || true").output == "0"
    assert daemon.json("status")["duplicates"] == []


@pytest.mark.full
def test_uefi_leaves_both_paths(machine: Machine, daemon: Nodisk) -> None:
    """With iPXE's own drivers, which know both cards; snponly.efi knows one."""
    machine.firmware = "uefi"
    machine.extra[-1] += ",romfile="  # the driver in it would keep the card from the loader
    machine.power_on()
    machine.login(timeout=900)
    said = ibft(machine)
    assert {said[f"target{i}/ip-addr"] for i in (0, 1)} == set(PORTALS)
    assert sources(daemon) == set(ADDRESSES)
    assert active(machine) == 2


@pytest.mark.full
def test_it_boots_with_one_cable_alone(machine: Machine, daemon: Nodisk, namespace: Namespace,
                                       golden: Path) -> None:
    """The path that is not there is waited for by nobody, and is there when it comes."""
    machine.power_on()
    machine.console.expect(r"boots volume", 600)
    namespace.run("ip", "link", "set", TAPS[1], "nomaster")
    machine.login(timeout=900)
    assert sources(daemon) == {ADDRESSES[0]}
    assert machine.run("findmnt -no SOURCE /").output.startswith("/dev/mapper/")
    namespace.run("ip", "link", "set", TAPS[1], "master", "br1")
    wait_until("the second path", lambda: active(machine) == 2, 180, 3)
    assert sources(daemon) == set(ADDRESSES)

    # what its loader boots, the system says as the image does that has no paths
    machine.run("systemctl restart nodisk-boot-record")
    image = run("debugfs", "-R", "cat /boot/nodisk-boot", f"{golden}?offset={ROOT_OFFSET}").stdout
    assert machine.run("cat /boot/nodisk-boot").output.split("\n") == image.strip().split("\n")


@pytest.mark.full
def test_a_card_that_is_not_seen_is_no_path(daemon: Nodisk, namespace: Namespace) -> None:
    """It is not there; undionly and snponly do not see it either, if they were loaded through another one."""
    alone = Machine(namespace, NAME, CARDS[0])
    try:
        alone.power_on()
        alone.login(timeout=900)
        assert sources(daemon) == {ADDRESSES[0]}
        said = ibft(alone)
        assert said["target0/ip-addr"] == PORTALS[0] and "target1/ip-addr" not in said
    finally:
        alone.kill()
