"""A node with two cards in two networks: its addresses, its script, and its two ways to one disk.

    br0 (10.0.0.1) ── eth0 ┐        br0 ── clones, and others
                           ├ node
    br1 (10.1.0.1) ── eth1 ┘
"""

import json
import os
import re
import shutil
import struct
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import BASE_IQN, mounted, wait_until
from iscsilab import loop_device
from lab.iscsi import CHECK_CONDITION, FIRMWARE, SYNCHRONIZE_CACHE, LoginRefused, Session, write_cdb
from lab.reservations import CONFLICT, REGISTER, RESERVE, WE_RO, full_status, out
from netlab import SUBNET, Client, LabDaemon, NetLab, Wire, inside

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")

CARDS = ("52:54:00:4e:10:01", "52:54:00:4e:10:02")
ADDRESSES = ("10.0.0.11", "10.1.0.11")
PORTALS = ("10.0.0.1", "10.1.0.1")
CLONE = "10.0.0.66"
SECOND = SUBNET.replace("10.0.0.", "10.1.0.").replace("lab", "second").replace("br0", "br1")
IPXE = {77: b"iPXE", 60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0"}
MIB = 1 << 20
LOST = "03/0c/00"
UNAVAILABLE, FORBIDDEN = 0x0301, 0x0202


class TwoPaths:
    """The daemon, and the node."""

    def __init__(self, lab: NetLab) -> None:
        self.lab = lab
        lab.server.add_bridge("10.1.0.1/24", name="br1")
        self.daemon: LabDaemon = lab.daemon(SUBNET + SECOND, http="0.0.0.0:80", iscsi="0.0.0.0:3260")
        self.namespace = lab.client(mac=CARDS[0])
        lab.server.run("ip", "link", "add", "second", "type", "veth", "peer", "name", "eth1",
                       "netns", self.namespace.name)
        lab.server.run("ip", "link", "set", "second", "master", "br1", "up")
        self.namespace.run("ip", "link", "set", "eth1", "address", CARDS[1], "up")
        self.wires = tuple(Wire(self.namespace, name) for name in ("eth0", "eth1"))
        for wire in self.wires:
            lab.stack.callback(wire.close)
        self.daemon.ok("volume", "create", "disk", "--size", "16M")
        self.add()

    def add(self, *more: str) -> None:
        self.daemon.ok("node", "add", "web1", "--mac", CARDS[0], "--mac", CARDS[1], "--address", ADDRESSES[0],
                       "--path", f"{CARDS[1]}={ADDRESSES[1]}", "--volume", "disk", *more)

    def lease(self, card: int) -> str:
        client = Client(self.wires[card], CARDS[card])
        client.extra = dict(IPXE)
        offer = client.discover()
        assert offer and client.select(offer.yiaddr, server=PORTALS[card])
        return offer.yiaddr

    def use_addresses(self) -> None:
        for name, address in zip(("eth0", "eth1"), ADDRESSES, strict=True):
            self.namespace.run("ip", "addr", "add", f"{address}/24", "dev", name)

    def script(self, card: int) -> list[str]:
        """What iPXE is told that asks through this card."""
        with inside(self.namespace):
            url = f"http://{PORTALS[card]}/boot.ipxe?mac={CARDS[card].replace(':', '-')}"
            return urllib.request.urlopen(url, timeout=60).read().decode().splitlines()

    def session(self, portal: int, namespace: object = None, initiator: str = "web1", **how: object) -> Session:
        with inside(namespace or self.namespace):
            session = Session((PORTALS[portal], 3260), f"{BASE_IQN}:disk", f"{BASE_IQN}:{initiator}", **how)
        return session.login()

    def duplicates(self) -> list[dict]:
        return json.loads(self.daemon.ok("status", "--json"))["duplicates"]

    def refused(self, portal: int, namespace: object, initiator: str = "web1", **how: object) -> int:
        with pytest.raises(LoginRefused) as refusal:
            self.session(portal, namespace, initiator, **how)
        return refusal.value.status


@pytest.fixture
def paths(lab) -> Iterator[TwoPaths]:
    yield TwoPaths(lab)


def test_each_card_has_its_address(paths):
    assert paths.lease(0) == ADDRESSES[0]
    assert paths.lease(1) == ADDRESSES[1]
    shown = json.loads(paths.daemon.ok("node", "show", "web1", "--json"))
    assert shown["address"] == ADDRESSES[0] and shown["paths"] == [f"{CARDS[1]}={ADDRESSES[1]}"]
    assert f"paths:        {CARDS[1]}={ADDRESSES[1]}" in paths.daemon.ok("node", "show", "web1")
    paths.daemon.ok("node", "set", "web1", "--path", "none")
    assert json.loads(paths.daemon.ok("node", "show", "web1", "--json"))["paths"] == []


def test_what_is_no_path_is_refused(paths):
    refused = paths.daemon.refused
    assert "in no configured subnet" in refused("node", "set", "web1", "--path", f"{CARDS[1]}=10.2.0.11")
    assert "none of the node's macs" in refused("node", "set", "web1", "--path", "52:54:00:4e:10:03=10.1.0.12")
    assert "needs an address of its own" in refused("node", "set", "web1", "--address", "none")
    assert "is not a card's MAC and its address" in paths.daemon.usage("node", "set", "web1", "--path", CARDS[1])
    answer = paths.daemon.patch("/v1/nodes/web1", paths=[CARDS[1]])
    assert answer.status == 400 and "is not a path" in answer.error


@pytest.mark.parametrize("card", [0, 1])
def test_the_script_names_both_targets(paths, card):
    """Whichever card the machine boots through."""
    assert paths.lease(card) == ADDRESSES[card]
    paths.use_addresses()
    script = paths.script(card)
    here, there = PORTALS[card], PORTALS[1 - card]
    assert f"sanhook --drive 0x80 iscsi:{here}::3260:0:{BASE_IQN}:disk ${{path1}} || goto failed" in script
    assert f"sanhook --drive 0x80 iscsi:{here}::3260:0:{BASE_IQN}:disk || goto failed" in script
    assert (f"iseq ${{net1/mac}} {CARDS[1 - card]} && set net1/ip {ADDRESSES[1 - card]} && set net1/netmask "
            f"255.255.255.0 && ifopen net1 && inc paths && set path${{paths}} iscsi:{there}::3260:0:{BASE_IQN}:disk ||") in script
    paths.daemon.ok("node", "set", "web1", "--path", "none")
    if card == 0:
        assert not any("path1" in line for line in paths.script(card))


def test_both_paths_reach_one_disk(paths):
    """What is written through one is read through the other; both say that it is the same LU."""
    paths.use_addresses()
    with paths.session(0) as first, paths.session(1) as second:
        first.write(8, b"\x5a" * 4096)
        assert second.read(8, 8) == b"\x5a" * 4096
        for page in (0x80, 0x83, 0x88):
            cdb = struct.pack(">BBBHB", 0x12, 1, page, 255, 0)
            assert first.command(cdb, read=255).data == second.command(cdb, read=255).data
        groups = struct.pack(">BB4xIBB", 0xa3, 0x0a, 255, 0, 0)
        assert first.command(groups, read=255).data == second.command(groups, read=255).data
        listed = json.loads(paths.daemon.ok("session", "list", "--json"))["sessions"]
        assert {s["source"].split(":")[0] for s in listed} == set(ADDRESSES)
        assert {s["node"] for s in listed} == {"web1"}
    assert paths.duplicates() == []


def test_a_clone_stays_outside(paths):
    """Everybody who comes from another address, or calls himself otherwise, whatever he came to."""
    paths.use_addresses()
    clone = paths.lab.client(f"{CLONE}/24")
    neighbour = paths.lab.client("10.0.0.12/24")
    clone.run("ip", "route", "add", "10.1.0.0/24", "via", PORTALS[0])
    paths.daemon.ok("node", "add", "web2", "--mac", "52:54:00:4e:10:09", "--address", "10.0.0.12")
    with paths.session(0) as first, paths.session(1) as second:
        for portal in (0, 1):
            assert paths.refused(portal, clone) == UNAVAILABLE
            assert paths.refused(portal, clone, keys=FIRMWARE) == UNAVAILABLE
        assert paths.refused(0, neighbour) == UNAVAILABLE
        assert paths.refused(1, paths.namespace, "web2") == FORBIDDEN
        assert first.read(0, 1) and second.read(0, 1)
    wait_until(paths.duplicates, "the clone being told of")
    assert {f["kind"] for f in paths.duplicates()} == {"initiator"}
    assert {f["other_address"] for f in paths.duplicates()} <= set(ADDRESSES)


def test_without_the_path_its_address_is_a_clones(paths):
    paths.use_addresses()
    paths.daemon.ok("node", "set", "web1", "--path", "none")
    with paths.session(0) as first:
        assert paths.refused(1, paths.namespace) == UNAVAILABLE
        paths.daemon.ok("node", "set", "web1", "--path", f"{CARDS[1]}={ADDRESSES[1]}")
        with paths.session(1) as second:
            assert second.read(0, 1) == first.read(0, 1)


def test_a_node_that_is_up_keeps_the_addresses_of_its_paths(paths):
    """It comes back from where it was, as its kernel does after a loss or the daemon's restart."""
    paths.use_addresses()
    daemon = paths.daemon
    first, second = paths.session(0), paths.session(1)
    for change in (["--address", "10.0.0.12"], ["--path", "none"], ["--path", f"{CARDS[1]}=10.1.0.12"]):
        refused = daemon.refused("node", "set", "web1", *change)
        assert "node 'web1' is up" in refused and "shut it down first" in refused
    daemon.ok("node", "set", "web1", "--address", ADDRESSES[0], "--path", f"{CARDS[1]}={ADDRESSES[1]}")
    first.close()
    with paths.session(0) as again:
        assert again.read(0, 1) == second.read(0, 1)
        assert again.logout() == 0 and second.logout() == 0
    second.close()
    wait_until(lambda: daemon.cli("node", "set", "web1", "--path", "none").returncode == 0, "the node being down")


def test_a_node_that_is_up_keeps_the_address_that_a_disk_is_bound_to(paths):
    """Be it what it boots from, or a further one, without which it would come back."""
    paths.use_addresses()
    daemon = paths.daemon
    daemon.ok("node", "set", "web1", "--path", "none")
    daemon.ok("volume", "create", "data", "--size", "1M")
    daemon.ok("volume", "attach", "data", "web1")
    with paths.session(0) as session:
        for bound in ("disk", "data"):
            daemon.ok("volume", "set", bound, "--allow-from", "node")
            assert "is bound to 'node'" in daemon.refused("node", "set", "web1", "--address", "10.0.0.12")
            assert "is bound to 'node'" in daemon.refused("node", "set", "web1", "--address", "none")
            daemon.ok("volume", "set", bound, "--allow-from", "any")
        daemon.ok("node", "set", "web1", "--address", "10.0.0.12")
        assert session.read(0, 1)
    with paths.session(0) as again:  # nobody asks where it comes from
        assert again.read(0, 1)


def test_a_disk_that_is_bound_to_its_node_is_bound_to_both_addresses(paths):
    paths.use_addresses()
    paths.daemon.ok("volume", "set", "disk", "--allow-from", "node")
    clone = paths.lab.client(f"{CLONE}/24")
    assert paths.refused(0, clone) == FORBIDDEN
    with paths.session(0) as first, paths.session(1) as second:
        assert first.read(0, 1) == second.read(0, 1)
    rules = paths.daemon.ok("export", "firewall")
    assert all(f"ip saddr {address} accept" in rules for address in ADDRESSES)


def test_the_clone_of_a_path_that_is_alone(paths):
    """The first card is down: the node is at the address of its second one, and nobody else is."""
    paths.use_addresses()
    clone = paths.lab.client(f"{CLONE}/24")
    with paths.session(1) as second:
        assert paths.refused(0, clone) == UNAVAILABLE
        with paths.session(0) as first:
            assert first.read(0, 1) == second.read(0, 1)


def make_ephemeral(paths: TwoPaths, image: Path) -> None:
    """The node's disk is new at each boot."""
    image.write_bytes(os.urandom(2 * MIB))
    paths.daemon.ok("image", "import", image, "--name", "plain")
    paths.daemon.ok("node", "set", "web1", "--volume", "none")
    paths.daemon.ok("volume", "remove", "disk")
    paths.daemon.ok("volume", "create", "disk", "--image", "plain", "--ephemeral")
    paths.daemon.ok("node", "set", "web1", "--volume", "disk")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_firmware_with_two_paths_begins_once(paths, order, tmp_path):
    """A disk that is new at each boot is made anew once, not again by the login of the second path."""
    paths.use_addresses()
    image = tmp_path / "image.raw"
    make_ephemeral(paths, image)
    with paths.session(order[0], keys=FIRMWARE) as first:
        first.write(0, b"new" + bytes(509))
        with paths.session(order[1], keys=FIRMWARE) as second:
            assert second.read(0, 1)[:3] == b"new"
            assert first.read(0, 1)[:3] == b"new"
    with paths.session(order[0], keys=FIRMWARE) as again:  # its machine was started anew
        assert again.read(0, 1) == image.read_bytes()[:512]


def test_a_path_that_comes_late_begins_nothing(paths, tmp_path):
    """On a slow link the second login of firmware comes when it has long begun to read through the first."""
    paths.use_addresses()
    make_ephemeral(paths, tmp_path / "image.raw")
    with paths.session(0, keys=FIRMWARE) as first:
        first.write(0, b"new" + bytes(509))
        time.sleep(6)
        with paths.session(1, keys=FIRMWARE) as second:
            assert second.read(0, 1)[:3] == b"new"
            assert first.read(0, 1)[:3] == b"new"


@pytest.mark.parametrize("with_path", [True, False])
def test_the_clone_of_a_node_whose_disk_is_new_at_each_boot(paths, tmp_path, with_path):
    """Its firmware is refused as everybody is, and throws away nothing of the machine that runs."""
    paths.use_addresses()
    make_ephemeral(paths, tmp_path / "image.raw")
    if not with_path:
        paths.daemon.ok("node", "set", "web1", "--path", "none")
    clone = paths.lab.client(f"{CLONE}/24")
    paths.session(0, keys=FIRMWARE).close()
    paths.daemon.stop()
    paths.daemon.start()  # it knows nothing of that beginning, nor does one long after it
    with paths.session(0) as running:
        running.write(0, b"mine" + bytes(508))
        assert paths.refused(0, clone, keys=FIRMWARE) == UNAVAILABLE
        assert running.read(0, 1)[:4] == b"mine"


@pytest.fixture
def overcommitted(tmp_path) -> Iterator[str]:
    """A block device that says it has 64 MiB, on a file system that has 8."""
    with mounted("-t", "tmpfs", "-o", "size=8m", "tmpfs", place=tmp_path / "small") as small:
        file = small / "file"
        file.touch()
        os.truncate(file, 64 * MIB)
        with loop_device(file) as device:
            yield device


def test_the_clone_of_a_node_whose_further_disk_has_failed(paths, overcommitted):
    """It is refused at the disk that it boots from; until then it has the further one opened for nobody anew."""
    paths.use_addresses()
    paths.daemon.ok("volume", "create", "data", "--device", overcommitted)
    paths.daemon.ok("volume", "attach", "data", "web1")
    clone = paths.lab.client(f"{CLONE}/24")
    further = {"lun": 1 << 48}
    with paths.session(0) as running:
        for i in range(32):
            running.write(i * MIB // 512, os.urandom(MIB), **further)
        assert running.command(SYNCHRONIZE_CACHE, **further).sense == LOST
        assert paths.refused(0, clone, keys=FIRMWARE) == UNAVAILABLE
        assert running.command(SYNCHRONIZE_CACHE, **further).sense == LOST
        assert running.read(0, 1)
    with paths.session(0, keys=FIRMWARE) as again:  # the machine itself
        assert again.command(SYNCHRONIZE_CACHE, **further).good


def test_a_reservation_is_of_a_path(paths):
    """Each path is an I_T nexus of its own, and registers for itself (SPC-4 5.13)."""
    paths.use_addresses()
    block = bytes(512)
    with paths.session(0) as first, paths.session(1) as second:
        assert out(first, REGISTER, 0, 0x11).good
        assert out(first, RESERVE, 0x11, kind=WE_RO).good
        first.write(0, block)
        while not (refused := second.command(write_cdb(0, 1), write=block)).status == CONFLICT:
            assert refused.status == CHECK_CONDITION, refused  # a unit attention comes first
        assert out(second, REGISTER, 0, 0x11).good
        second.write(0, block)
        assert len(full_status(first)) == 2


@pytest.mark.skipif(not shutil.which("iscsi-test-cu"), reason="libiscsi-bin is not installed")
def test_libiscsi_is_content_with_the_two_paths(paths):
    """Its own tests of a LUN with two paths. What it calls another initiator is another name of the node."""
    paths.use_addresses()
    urls = [f"iscsi://{portal}:3260/{BASE_IQN}:disk/0" for portal in PORTALS]
    said = paths.namespace.run("iscsi-test-cu", "--dataloss", "--initiator-name", f"{BASE_IQN}:web1",
                               "--initiator-name-2", f"{BASE_IQN}:{CARDS[0].replace(':', '-')}", "--verbose", "--test",
                               "ALL.MultipathIO", *urls, timeout=300, check=False).stdout
    passed = re.findall(r"Test: (\w+) \.\.\.(?:(?!Test:).)*?passed", said, re.DOTALL)
    assert set(passed) >= {"Simple", "Reset", "CompareAndWrite"}, said
    assert "FAILED" not in said and "SKIPPED" not in said, said


@pytest.mark.parametrize("format", ["dnsmasq", "kea", "isc"])
def test_exported_configurations_have_both_addresses(paths, format):
    said = paths.daemon.ok("export", "dhcp", "--format", format)
    for mac, address in zip(CARDS, ADDRESSES, strict=True):
        if format == "dnsmasq":
            [line] = [line for line in said.splitlines() if line.startswith("dhcp-host=") and mac in line]
            assert address in line and ADDRESSES[address == ADDRESSES[0]] not in line
        elif format == "kea":
            found = [r["ip-address"] for subnet in json.loads(said)["Dhcp4"]["subnet4"]
                     for r in subnet.get("reservations", ()) if r["hw-address"] == mac and "ip-address" in r]
            assert found == [address]
        else:
            block = said.split(f"hardware ethernet {mac};")[1].split("}")[0]
            assert f"fixed-address {address};" in block
