"""Addresses that machines use without having got them: found by ARP, and answered by Linux's own."""

import os
import shutil

import pytest
from netlab import ACK, NAK, SUBNET, Client, Wire
from test_duplicates import ask, duplicates

NODE = "52:54:00:00:00:01"
STRANGER = "52:54:00:00:00:63"
INTRUDER = "52:54:00:00:00:66"
TWO = SUBNET.replace("10.0.0.199", "10.0.0.101")

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces"),
    pytest.mark.skipif(not shutil.which("dhclient", path="/usr/sbin:/sbin:/usr/bin:/bin"),
                       reason="dhclient is not installed"),
]


def test_an_address_of_the_pool_that_is_in_use_is_never_offered(lab, tmp_path):
    lab.client("10.0.0.100/24", mac=INTRUDER)
    daemon = lab.daemon(TWO)
    daemon.wait_line(INTRUDER, "uses address 10.0.0.100 of [subnet lab] without a lease")
    assert "declined" in daemon.ok("lease", "list")
    [found] = duplicates(daemon)
    assert found["kind"] == "address" and found["mac"] == INTRUDER and found["address"] == "10.0.0.100"
    client = lab.client(mac=STRANGER)
    ask(client, tmp_path / "client")
    assert "10.0.0.101" in (tmp_path / "client/leases").read_text()
    assert len(daemon.lines("without a lease")) == 1


def test_an_address_that_is_taken_while_it_is_offered(lab):
    """It was asked for before, and nobody had it. The offer did not wait; its request is refused."""
    daemon = lab.daemon(TWO)
    intruder = lab.client(mac=INTRUDER)
    wire = Wire(lab.client())
    client = Client(wire, STRANGER)
    client.extra = {50: bytes([10, 0, 0, 100])}
    client.discover(wait=60)
    intruder.run("ip", "addr", "add", "10.0.0.100/24", "dev", "eth0")
    offer = client.discover(wait=60)
    assert offer.yiaddr == "10.0.0.100"
    daemon.wait_line(INTRUDER, "uses address 10.0.0.100")
    client.extra = {}
    assert client.select(offer.yiaddr).kind == NAK
    offer = client.discover(wait=60)
    assert offer.yiaddr == "10.0.0.101" and client.select(offer.yiaddr).kind == ACK
    wire.close()


def test_a_nodes_address_stays_its_own(lab, tmp_path):
    daemon = lab.daemon(TWO)
    daemon.ok("node", "add", "web1", "--mac", NODE, "--address", "10.0.0.11")
    lab.client("10.0.0.11/24", mac=INTRUDER)
    daemon.reload()  # a round from the beginning
    daemon.wait_line(INTRUDER, "uses address 10.0.0.11 of node 'web1', and is none of its MACs")
    ask(lab.client(mac=NODE), tmp_path / "node")
    assert "10.0.0.11;" in (tmp_path / "node/leases").read_text()


def test_a_node_that_looks_for_a_rival_does_not_take_the_server_for_one(lab):
    """RFC 5227 2.1.1: to whoever probes for an address, another's probe for it is a conflict."""
    daemon = lab.daemon(TWO)
    daemon.ok("node", "add", "web1", "--mac", NODE, "--address", "10.0.0.11")
    wire = Wire(lab.client())
    daemon.reload()  # a round from the beginning
    senders = {}
    for frame in wire.frames(10):
        if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\x00\x01":
            senders[frame[38:42]] = frame[28:32]
        if len(senders) == 3:
            break
    assert senders == {bytes([10, 0, 0, 11]): bytes([10, 0, 0, 1]),
                       bytes([10, 0, 0, 100]): bytes(4), bytes([10, 0, 0, 101]): bytes(4)}
    wire.close()


def test_it_can_be_switched_off(lab):
    lab.client("10.0.0.100/24", mac=INTRUDER)
    daemon = lab.daemon(TWO + "conflict-detection = no\n")
    wire = Wire(lab.client())
    client = Client(wire, STRANGER)
    client.extra = {50: bytes([10, 0, 0, 100])}
    for _ in range(3):
        offer = client.discover(wait=60)
        assert offer.yiaddr == "10.0.0.100"
    assert client.select(offer.yiaddr).kind == ACK and not daemon.lines(INTRUDER)
    wire.close()
