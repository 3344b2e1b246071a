"""DHCP: real clients, and messages made by hand, against the real daemon."""

import json
import os
import re
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from daemon import need, sanitized, wait_until
from netlab import (ACK, DECLINE, DISCOVER, FAR, INFORM, NAK, OFFER, RELEASE, REQUEST, SERVER, SUBNET, Client,
                    LabDaemon, Message, NetLab, Wire, checksum, inside, mac_bytes)

NODE = "52:54:00:00:00:01"
NODE2 = "52:54:00:00:00:02"
STRANGER = "52:54:00:00:00:63"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")


@pytest.fixture
def daemon(lab):
    return lab.daemon()


@pytest.fixture
def wire(lab, daemon):
    wire = Wire(lab.client())
    yield wire
    wire.close()


def in_pool(address: str) -> bool:
    return 100 <= int(address.rsplit(".", 1)[1]) <= 199 and address.startswith("10.0.0.")


# --- real clients ---

SCRIPT = """#!/bin/sh
env > {where}.tmp; mv {where}.tmp {where}.$reason$1
case "$reason$1" in
BOUND|RENEW|REBIND|REBOOT) ip addr replace $new_ip_address/24 dev $interface;;
bound|renew) ip addr replace $ip/$mask dev $interface;;
deconfig|EXPIRE|FAIL|RELEASE|STOP) ip addr flush dev $interface;;
esac
"""


def script(tmp_path, name: str):
    """A client's script that writes down what it is told and sets the address."""
    path = tmp_path / name
    path.write_text(SCRIPT.format(where=path))
    path.chmod(0o755)
    return path


def told(path, reason: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.with_name(f"{path.name}.{reason}").read_text().splitlines()
                if "=" in line)


def dhclient(client, tmp_path, *words: object) -> list[object]:
    config = tmp_path / "dhclient.conf"
    if not config.exists():
        config.write_text("request subnet-mask, routers, domain-name, domain-name-servers, host-name;\n"
                          "initial-interval 1; timeout 15;\n")
    return ["dhclient", "-v", "-cf", config, "-lf", tmp_path / "leases", "-pf", tmp_path / "pid",
            "-sf", tmp_path / "dhclient-script", *words, "eth0"]


def test_dhclient_gets_renews_and_releases(lab, daemon, tmp_path):
    need("dhclient")
    client = lab.client(mac=NODE)
    path = script(tmp_path, "dhclient-script")
    daemon.ok("node", "add", "web1", "--mac", NODE, "--address", "10.0.0.11")
    client.run(*dhclient(client, tmp_path, "-1"))
    bound = told(path, "BOUND")
    assert bound["new_ip_address"] == "10.0.0.11"
    assert bound["new_host_name"] == "web1"
    assert bound["new_routers"] == "10.0.0.254"
    assert bound["new_domain_name"] == "lan.example"
    # two minutes if this machine's disk took longer than the server waits for it
    assert bound["new_dhcp_lease_time"] in ("3600", "120")
    client.run("dhclient", "-x", "-pf", tmp_path / "pid", "eth0", check=False)
    # a reboot: it asks for the address that it remembers
    client.run(*dhclient(client, tmp_path, "-1"))
    assert told(path, "REBOOT")["new_ip_address"] == "10.0.0.11"
    client.run(*dhclient(client, tmp_path, "-r"))
    leases = json.loads(daemon.ok("lease", "list", "--json"))
    assert [lease["state"] for lease in leases.get("leases", leases)] == ["released"]


def test_dhclient_moves_when_it_is_refused(lab, daemon, tmp_path):
    need("dhclient")
    client = lab.client(mac=STRANGER)
    path = script(tmp_path, "dhclient-script")
    client.run(*dhclient(client, tmp_path, "-1"))
    assert in_pool(told(path, "BOUND")["new_ip_address"])
    client.run("dhclient", "-x", "-pf", tmp_path / "pid", "eth0", check=False)
    client.run("ip", "addr", "flush", "dev", "eth0")
    daemon.ok("node", "add", "web9", "--mac", STRANGER, "--address", "10.0.0.19")
    client.run(*dhclient(client, tmp_path, "-1"))  # INIT-REBOOT, NAK, DISCOVER
    assert told(path, "BOUND")["new_ip_address"] == "10.0.0.19"


@pytest.mark.parametrize("program", [["udhcpc"], ["busybox", "udhcpc"]])
def test_udhcpc_gets_and_releases(lab, daemon, tmp_path, program):
    need(program[0])
    client = lab.client(mac=STRANGER)
    path = script(tmp_path, "udhcpc-script")
    process = client.start("udhcpc", *program, "-f", "-i", "eth0", "-s", path, "-R", "-t", "5", "-T", "1",
                           "-O", "hostname", "-x", "lease:60")
    deadline = time.monotonic() + 60
    while not path.with_name("udhcpc-script.bound").exists():
        assert time.monotonic() < deadline, process.output()
        time.sleep(0.05)
    bound = told(path, "bound")
    assert in_pool(bound["ip"]) and bound["serverid"] == SERVER
    assert bound["lease"] in ("60", "59")  # what is left of it if this machine's disk was slow
    process.child.send_signal(10)  # SIGUSR1: renew, by unicast
    while not path.with_name("udhcpc-script.renew").exists():
        assert time.monotonic() < deadline, process.output()
        time.sleep(0.05)
    assert told(path, "renew")["ip"] == bound["ip"]
    process.stop()  # -R: releases
    deadline = time.monotonic() + 60
    while "released" not in daemon.ok("lease", "list"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_for_file(path: Path, process, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, process.output()
        time.sleep(0.05)


def start_dhcpcd(client, tmp_path, path):
    """Its client id is a DUID with an IAID, not the MAC."""
    config = tmp_path / "dhcpcd.conf"
    config.write_text("duid\nrequire dhcp_server_identifier\noption routers, host_name, domain_name\nnoarp\nreboot 0\n")
    return client.start("dhcpcd", "unshare", "--mount", "sh", "-c",
                        "mount -t tmpfs none /run && mount -t tmpfs none /var/lib/dhcpcd && "
                        f"exec dhcpcd -4 -B --nohook resolv.conf -f {config} -c {path} eth0")


def test_dhcpcd_gets_and_renews(lab, daemon, tmp_path):
    need("dhcpcd", "unshare")
    client = lab.client(mac=NODE)
    path = script(tmp_path, "dhcpcd-script")
    daemon.ok("node", "add", "web1", "--mac", NODE, "--address", "10.0.0.11")
    process = start_dhcpcd(client, tmp_path, path)
    wait_for_file(path.with_name("dhcpcd-script.BOUND"), process)
    bound = told(path, "BOUND")
    assert bound["new_ip_address"] == "10.0.0.11" and bound["new_dhcp_server_identifier"] == SERVER
    assert bound["new_host_name"] == "web1" and bound["new_routers"] == "10.0.0.254"
    assert bound["new_domain_name"] == "lan.example"
    process.stop()
    assert "10.0.0.11" in daemon.ok("lease", "list")


# --- nodes ---

def test_a_node_has_its_address_and_name_in_every_stage(daemon, wire):
    daemon.ok("node", "add", "web1", "--mac", NODE, "--address", "10.0.0.11")
    node = Client(wire, NODE)
    stages = [
        # BIOS ROM, iPXE, Linux: each with its own client id
        {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0", 97: b"\0" + b"u" * 16, 61: b"\0" + b"u" * 16},
        {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0", 77: b"iPXE", 175: b"\x13\x01\x01",
         61: b"\x01" + mac_bytes(NODE)},
        {61: b"\xff\0\0\0\1\0\1duid", 12: b"localhost"},
    ]
    files = [b"undionly.kpxe", b"http://10.0.0.1/boot.ipxe?mac=52-54-00-00-00-01", b""]
    for extra, file in zip(stages, files):
        node.extra = extra
        assert node.lease() == "10.0.0.11"
        assert node.ack.file == file
        assert node.ack.options[12] == b"web1" if 55 not in extra else True
        assert node.ack.options[61] == extra[61]
        assert (175 in node.ack.options) == (77 in extra)
    assert node.ack.options[175] == b"\xb0\x01\x01" if 175 in node.ack.options else True
    node.extra = {60: b"PXEClient:Arch:00007:UNDI:003016", 93: b"\0\7"}
    assert node.lease() == "10.0.0.11" and node.ack.file == b"snponly.efi"
    assert node.ack.options[60] == b"PXEClient" and node.ack.siaddr == SERVER


def test_nodes_are_known_as_soon_as_they_are_registered(daemon, wire):
    node = Client(wire, NODE)
    address = node.lease()
    assert in_pool(address)
    daemon.ok("node", "add", "web1", "--mac", NODE, "--address", "10.0.0.11")
    assert node.init_reboot(address).kind == NAK
    assert node.lease() == "10.0.0.11"
    daemon.ok("node", "set", "web1", "--address", "10.0.0.12")
    assert node.init_reboot("10.0.0.11").kind == NAK
    assert node.lease() == "10.0.0.12"
    daemon.ok("node", "remove", "web1")
    assert node.rebind("10.0.0.12").kind == NAK
    assert in_pool(node.lease())


def test_a_running_node_keeps_its_address_until_it_boots_again(daemon, wire):
    """Its disk hangs on it: a change on the server waits, and nobody else gets the address."""
    node, other = Client(wire, NODE), Client(wire, NODE2)
    daemon.ok("node", "add", "web1", "--mac", NODE, "--address", "10.0.0.105")
    daemon.ok("node", "add", "web2", "--mac", NODE2)
    assert node.lease() == "10.0.0.105"
    daemon.ok("node", "set", "web1", "--address", "10.0.0.12")
    ack = node.rebind("10.0.0.105")
    assert ack.kind == ACK and ack.yiaddr == "10.0.0.105"
    assert "is leased to node 'web1' right now" in daemon.refused("node", "set", "web2", "--address", "10.0.0.105")
    wanted = other.message(DISCOVER).set(50, "10.0.0.105")
    assert other.ask(wanted).yiaddr != "10.0.0.105"
    assert node.lease() == "10.0.0.12"  # it boots


@pytest.mark.parametrize("address", ["10.0.0.254", "10.0.0.53"])
def test_routers_and_name_servers_keep_their_addresses(daemon, address):
    assert "by the configuration" in daemon.refused("node", "add", "web1", "--mac", NODE, "--address", address)


def test_a_subnet_that_is_off_for_a_while_keeps_its_leases(daemon, wire):
    node, stranger = Client(wire, NODE), Client(wire, STRANGER)
    daemon.ok("node", "add", "web1", "--mac", NODE)
    address = node.lease()
    daemon.write_config(SUBNET.replace("range", "mode = off\nrange"))
    daemon.reload()
    assert node.discover(wait=0.5) is None
    daemon.write_config(SUBNET)
    daemon.reload()
    assert stranger.ask(stranger.message(DISCOVER).set(50, address)).yiaddr != address
    assert node.rebind(address).kind == ACK


def test_firmware_without_a_loader_for_it_is_told(daemon, wire):
    arm = Client(wire, STRANGER)
    arm.extra = {60: b"PXEClient:Arch:00011:UNDI:003016", 93: b"\0\x0b"}
    offer = arm.discover()
    assert offer and offer.file == b"" and 67 not in offer.options
    daemon.wait_line("boots by PXE and is ARM64 UEFI (architecture 11), for which there is no loader: it gets nothing "
                     "to boot; put one into the loaders directory and name it by `loader-uefi-arm64` of [subnet lab]")
    assert daemon.get("/v1/status").json["counters"]["dhcp"]["odd"]["no_loader"] == 1


def test_each_architecture_gets_the_loader_that_is_named_for_it(lab, tmp_path):
    """By PXE the name, by HTTP boot a URL; nothing where the operator wants none."""
    loaders = tmp_path / "loaders"
    loaders.mkdir()
    for name in ("bios.kpxe", "x64.efi", "ia32.efi", "arm64.efi"):
        (loaders / name).write_bytes(b"x")
    lab.daemon(SUBNET + "loader-bios = bios.kpxe\nloader-uefi-x64 = x64.efi\nloader-uefi-ia32 = ia32.efi\n"
               "loader-uefi-arm64 = arm64.efi\nloader-uefi-riscv64 =\n", loaders=str(loaders))
    wire = Wire(lab.client())
    machine = Client(wire, STRANGER)
    url = b"http://10.0.0.1/loaders/"
    cases = [("PXE", 0, b"bios.kpxe"), ("PXE", 6, b"ia32.efi"), ("PXE", 7, b"x64.efi"), ("PXE", 9, b"x64.efi"),
             ("PXE", 11, b"arm64.efi"), ("PXE", 27, b""), ("HTTP", 15, url + b"ia32.efi"),
             ("HTTP", 16, url + b"x64.efi"), ("HTTP", 19, url + b"arm64.efi"), ("HTTP", 28, b""), ("HTTP", 18, b"")]
    for kind, code, file in cases:
        machine.extra = {60: f"{kind}Client:Arch:{code:05}:UNDI:003016".encode(), 93: struct.pack("!H", code)}
        offer = machine.discover()
        assert offer and offer.kind == OFFER and offer.file == file, (kind, code)
        assert offer.options.get(60) == (f"{kind}Client".encode() if file else None), (kind, code)
        assert (43 in offer.options) == (kind == "PXE" and bool(file))
    machine.extra[93] = struct.pack("!3H", 18, 15, 16)  # of a list the first that there is one for
    assert machine.discover().file == url + b"ia32.efi"
    wire.close()


def test_the_second_mac_gets_another_address_while_the_first_is_up(daemon, wire):
    daemon.ok("node", "add", "web1", "--mac", NODE, NODE2, "--address", "10.0.0.11")
    first, second = Client(wire, NODE), Client(wire, NODE2)
    assert first.lease() == "10.0.0.11"
    assert in_pool(second.lease())
    assert second.ack.options[12] == b"web1"
    release = first.message(RELEASE).set(54, SERVER)
    release.ciaddr = "10.0.0.11"
    first.tell(release, source="10.0.0.11")
    third = Client(wire, NODE2)
    third.tell(release_of(third, second.ack.yiaddr), source=second.ack.yiaddr)
    assert third.lease() == "10.0.0.11"


def release_of(client: Client, address: str) -> Message:
    message = client.message(RELEASE).set(54, SERVER)
    message.ciaddr = address
    return message


def test_a_reservation_of_a_leased_address_waits(daemon, wire):
    other = Client(wire, STRANGER)
    address = other.lease()
    daemon.ok("node", "add", "web1", "--mac", NODE, "--address", address)
    node = Client(wire, NODE)
    assert node.lease() != address
    daemon.wait_line(f"web1: dhcp: its address {address} is leased to {STRANGER}")
    assert other.rebind(address).kind == NAK
    node.tell(release_of(node, node.ack.yiaddr), source=node.ack.yiaddr)
    assert node.lease() == address


# --- RFC 2131 by hand ---

def test_renewal_rebinding_and_init_reboot(lab, daemon, wire):
    client = Client(wire, STRANGER)
    address = client.lease()
    while client.ack.number(51) == 120:  # this machine's disk took longer than the server waits for it
        assert client.lease() == address
    assert client.ack.number(51) == 3600 and client.ack.number(58) == 1800 and client.ack.number(59) == 3150
    bridge = lab.server.run("cat", "/sys/class/net/br0/address").stdout.strip()
    message = client.message(REQUEST)
    message.ciaddr = address
    wire.addresses[socket.inet_aton(address)] = STRANGER
    renewed = client.ask(message, source=address, target=SERVER, target_mac=bridge)
    assert renewed.kind == ACK and renewed.yiaddr == address and renewed.ciaddr == address
    assert client.frame[30:34] == socket.inet_aton(address)  # to its address, not to all
    assert client.rebind(address).kind == ACK
    assert client.init_reboot(address).kind == ACK
    assert client.init_reboot("192.168.7.7").kind == NAK
    assert client.frame[:6] == b"\xff" * 6 and client.frame[30:34] == b"\xff" * 4
    newcomer = Client(wire, NODE2)
    assert newcomer.init_reboot(address).kind == NAK
    assert newcomer.init_reboot("10.0.0.199" if address != "10.0.0.199" else "10.0.0.198", wait=0.3) is None


def test_answers_reach_who_has_no_address(wire):
    client = Client(wire, STRANGER)
    offer = client.discover()
    assert client.frame[:6] == mac_bytes(STRANGER)
    assert client.frame[26:30] == socket.inet_aton(SERVER)
    assert client.frame[30:34] == socket.inet_aton(offer.yiaddr)
    assert client.frame[34:38] == b"\0\x43\0\x44"
    udp = client.frame[34:34 + int.from_bytes(client.frame[38:40], "big")]
    assert checksum(client.frame[26:34] + udp, 17 + len(udp)) == 0
    message = client.message(DISCOVER)
    message.flags = 0x8000
    assert client.ask(message)
    assert client.frame[:6] == b"\xff" * 6 and client.frame[30:34] == b"\xff" * 4


def test_released_and_declined_addresses(daemon, wire):
    client = Client(wire, STRANGER)
    address = client.lease()
    client.tell(release_of(client, address), source=address)
    assert client.lease() == address
    client.tell(client.message(DECLINE).set(50, address).set(54, SERVER))
    daemon.wait_line("is in use by a machine that did not get it from here")
    assert client.lease() != address
    assert Client(wire, NODE2).select(address).kind == NAK
    assert "declined" in daemon.ok("lease", "list")


def test_inform(lab, daemon, wire):
    client = Client(wire, STRANGER)
    wire.addresses[socket.inet_aton("10.0.0.77")] = STRANGER
    message = client.message(INFORM)
    message.ciaddr = "10.0.0.77"
    answer = client.ask(message, source="10.0.0.77")
    assert answer.kind == ACK and answer.yiaddr == "0.0.0.0" and 51 not in answer.options
    assert answer.address(6) == "10.0.0.53"
    message.ciaddr = "192.0.2.1"
    client.tell(message, source="192.0.2.1")


def test_options_as_asked_for(daemon, wire):
    client = Client(wire, STRANGER)
    client.extra = {55: bytes([15, 6, 1]), 82: b"\x01\x04port\x02\x02sw", 61: b"\x00id"}
    offer = client.discover()
    assert offer.order.index(15) < offer.order.index(6) < offer.order.index(1)
    assert 3 not in offer.options
    assert offer.order[-1] == 82 and offer.options[82] == client.extra[82]
    client.extra = {57: struct.pack("!H", 576), 61: b"\x01" * 250}
    assert client.discover().kind == OFFER
    assert len(client.frame) <= 14 + 576


def test_another_server_is_noticed(daemon, wire):
    client = Client(wire, STRANGER)
    offer = client.discover()
    assert client.select(offer.yiaddr, server="10.0.0.66", wait=0.2) is None
    daemon.wait_line("another DHCP server, 10.0.0.66, answers machines of [subnet lab]")


# --- relays ---

def far_lab(lab: NetLab):
    """A relay with a network behind it; returns the relay and a machine there."""
    relay = lab.client("10.0.0.2/24")
    far = lab.client()  # joined to the bridge first, then moved behind the relay
    far.run("ip", "link", "del", "eth0")
    relay.run("ip", "link", "add", "far0", "type", "veth", "peer", "name", "eth0", "netns", far.name)
    relay.run("ip", "addr", "add", "10.9.0.2/24", "dev", "far0")
    relay.run("ip", "link", "set", "far0", "up")
    relay.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    far.run("ip", "link", "set", "eth0", "up")
    lab.server.run("ip", "route", "add", "10.9.0.0/24", "via", "10.0.0.2")
    return relay, far


def test_behind_a_relay(lab, tmp_path):
    need("dnsmasq", "udhcpc")
    daemon = lab.daemon(SUBNET + FAR)
    daemon.wait_line("[subnet far]: br0 has no address in it: served through relays only")
    relay, far = far_lab(lab)
    relay.start("dnsmasq", "dnsmasq", "-d", "--port=0", "--dhcp-relay=10.9.0.2,10.0.0.1", "--no-resolv",
                f"--pid-file={tmp_path}/dnsmasq.pid", "--conf-file=/dev/null")
    far.run("ip", "link", "set", "eth0", "address", NODE)
    daemon.ok("node", "add", "far1", "--mac", NODE, "--address", "10.9.0.11")
    path = script(tmp_path, "udhcpc-script")
    process = far.start("udhcpc", "udhcpc", "-f", "-i", "eth0", "-s", path, "-R", "-t", "10", "-T", "1")
    deadline = time.monotonic() + 60
    while not path.with_name("udhcpc-script.bound").exists():
        assert time.monotonic() < deadline, process.output()
        time.sleep(0.05)
    bound = told(path, "bound")
    assert bound["ip"] == "10.9.0.11" and bound["router"] == "10.9.0.2" and bound["serverid"] == SERVER
    far.run("ip", "route", "add", "default", "via", "10.9.0.2")
    process.child.send_signal(10)  # renews straight with the server, past the relay
    while not path.with_name("udhcpc-script.renew").exists():
        assert time.monotonic() < deadline, process.output()
        time.sleep(0.05)
    assert told(path, "renew")["ip"] == "10.9.0.11"


@pytest.mark.parametrize("option_82", [[], ["-a", "-m", "append"]], ids=["plain", "option 82"])
def test_behind_iscs_relay(lab, tmp_path, option_82):
    """dhcrelay across a router; with the option, it takes answers only that have it whole."""
    need("dhcrelay", "udhcpc")
    daemon = lab.daemon(SUBNET + FAR)
    relay, far = far_lab(lab)
    process = relay.start("dhcrelay", "dhcrelay", "-4", "-d", "--no-pid", *option_82, SERVER)
    wait_until(lambda: "Sending on   Socket" in process.output(), "the relay listens")
    far.run("ip", "link", "set", "eth0", "address", NODE)
    daemon.ok("node", "add", "far1", "--mac", NODE, "--address", "10.9.0.11")
    path = script(tmp_path, "udhcpc-script")
    client = far.start("udhcpc", "udhcpc", "-f", "-i", "eth0", "-s", path, "-t", "20", "-T", "1")
    wait_for_file(path.with_name("udhcpc-script.bound"), client)
    bound = told(path, "bound")
    assert bound["ip"] == "10.9.0.11" and bound["router"] == "10.9.0.2" and bound["serverid"] == SERVER
    far.run("ip", "route", "add", "default", "via", "10.9.0.2")
    client.child.send_signal(10)
    wait_for_file(path.with_name("udhcpc-script.renew"), client)
    assert told(path, "renew")["ip"] == "10.9.0.11"


def test_a_relay_hears_refusals_and_strange_networks(lab):
    daemon = lab.daemon(SUBNET + FAR)
    relay = lab.client("10.0.0.2/24")
    with inside(relay):
        relayed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        relayed.bind(("10.0.0.2", 67))
    relayed.settimeout(60)
    lab.server.run("ip", "route", "add", "10.9.0.0/24", "via", "10.0.0.2")
    relay.run("ip", "addr", "add", "10.9.0.2/32", "dev", "lo")
    with inside(relay):
        giaddr = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        giaddr.bind(("10.9.0.2", 67))
    giaddr.settimeout(60)
    message = Message(REQUEST, STRANGER).set(50, "10.0.0.150").set(82, b"\x01\x02p1")
    message.giaddr = "10.9.0.2"
    relayed.sendto(message.encode(), (SERVER, 67))
    answer = Message.decode(giaddr.recv(2000))
    assert answer.kind == NAK and answer.flags == 0x8000 and answer.options[82] == b"\x01\x02p1"
    assert answer.order[-1] == 82
    message.giaddr = "172.16.0.1"
    relayed.sendto(message.encode(), (SERVER, 67))
    daemon.wait_line("a relay asks for the network of 172.16.0.1")


# --- what must never be lost, and never wait ---

def test_leases_survive_a_crash(daemon, wire):
    daemon.ok("node", "add", "web1", "--mac", NODE, "--address", "10.0.0.11")
    clients = [Client(wire, f"52:54:00:00:01:{n:02x}") for n in range(20)]
    addresses = [client.lease() for client in clients]
    assert len(set(addresses)) == 20
    node = Client(wire, NODE)
    offer = node.discover()
    daemon.kill()
    daemon.start()
    assert node.select(offer.yiaddr).kind == ACK  # between OFFER and REQUEST
    for client, address in zip(clients, addresses):
        assert client.rebind(address).kind == ACK
    newcomer = Client(wire, STRANGER)
    assert newcomer.lease() not in addresses
    for address in addresses:
        assert newcomer.init_reboot(address).kind == NAK


def test_nobody_waits_for_a_locked_registry(daemon, wire):
    daemon.ok("node", "add", "web1", "--mac", NODE, "--address", "10.0.0.11")
    known = Client(wire, STRANGER)
    address = known.lease()
    database = sqlite3.connect(next(daemon.state.glob("*.db")), isolation_level=None)
    database.execute("BEGIN EXCLUSIVE")
    node = Client(wire, NODE)
    assert node.lease() == "10.0.0.11"  # a node's address needs no disk
    assert node.ack.number(51) == 3600
    assert known.rebind(address).number(51) == 3600  # nor does a renewal
    newcomer = Client(wire, "52:54:00:00:02:01")
    newcomer.lease()
    assert newcomer.ack.number(51) == 120  # not stored: a promise for two minutes
    daemon.wait_line("the registry is slow")
    assert node.lease() == "10.0.0.11"
    database.execute("ROLLBACK")
    database.close()
    wait_until(lambda: newcomer.rebind(newcomer.ack.yiaddr).number(51) == 3600, "the lease is stored")
    daemon.kill()
    daemon.start()
    assert newcomer.init_reboot(newcomer.ack.yiaddr).kind == ACK


def test_a_flood_of_machines_leaves_nodes_alone(daemon, wire):
    daemon.ok("node", "add", "web1", "--mac", NODE, "--address", "10.0.0.11")
    before = daemon.memory_kib()
    for n in range(3000):
        mac = "52:54:01:%02x:%02x:%02x" % (n >> 16, n >> 8 & 255, n & 255)
        wire.send_udp(mac, Message(DISCOVER, mac, xid=n).encode())
    node = Client(wire, NODE)
    wait_until(lambda: node.discover(wait=1), "an answer: the message may be lost among so many, it asks again")
    assert node.lease() == "10.0.0.11"
    daemon.wait_line("no address left for")
    assert len(daemon.lines("no address left for")) <= 61  # a minute's allowance
    if not sanitized():
        assert daemon.memory_kib() - before < 2048


def ask_again(ask):
    """What a client does whose message was lost, which a busy machine may do."""
    for _ in range(8):
        answer = ask()
        if answer:
            return answer
    raise AssertionError("no answer")


@pytest.mark.parametrize("how", [[], ["malformed"]])
def test_nodes_get_their_addresses_in_the_middle_of_a_flood(lab, daemon, how):
    """Also a node that has its address from the pool, which is full of offers."""
    daemon.ok("node", "add", "web1", "--mac", NODE, "--address", "10.0.0.11")
    daemon.ok("node", "add", "web2", "--mac", NODE2)
    wire = Wire(lab.client())
    wire.refuse_broadcasts()
    flooder = lab.client()
    before = daemon.memory_kib()
    flood = flooder.start("flood", sys.executable, Path(__file__).with_name("flood.py"), "eth0", "20000", *how)
    wait_until(lambda: "flooding" in flood.output(), "the flood has begun", 60)
    count = lambda: daemon.get("/v1/status").json["counters"]["dhcp"]  # noqa: E731
    wait_until(lambda: count()["odd"]["no_address"] > 0, "the pool is used up", 60)
    own, pooled = Client(wire, NODE), Client(wire, NODE2)
    for client, is_right in ((own, lambda a: a == "10.0.0.11"), (pooled, in_pool)):
        offer = ask_again(client.discover)
        assert offer.kind == OFFER and is_right(offer.yiaddr)
        ack = ask_again(lambda c=client, o=offer: c.select(o.yiaddr))
        assert ack.kind == ACK and ack.yiaddr == offer.yiaddr
    flood.child.send_signal(signal.SIGTERM)
    flood.child.wait(timeout=60)
    wire.close()
    assert "runtime error" not in daemon.output() and "Sanitizer" not in daemon.output()
    if not sanitized():
        assert daemon.memory_kib() - before < 16384


def test_released_by_the_operator(daemon, wire):
    daemon.ok("node", "add", "web1", "--mac", NODE, "--address", "10.0.0.11")
    node, stranger, other = Client(wire, NODE), Client(wire, STRANGER), Client(wire, NODE2)
    assert node.lease() == "10.0.0.11"
    address = stranger.lease()
    daemon.ok("lease", "release", address)
    assert address not in daemon.ok("lease", "list")
    assert other.ask(other.message(DISCOVER).set(50, address)).yiaddr == address
    assert "the lease of web1 is released" in daemon.ok("lease", "release", "web1")
    assert "10.0.0.11" not in daemon.ok("lease", "list")
    assert "there is no such lease" in daemon.refused("lease", "release", "web1")
    assert "there is no such lease" in daemon.refused("lease", "release", "10.77.0.1")
    assert "neither an address nor a node" in daemon.refused("lease", "release", "web9")
    # a declined address, which was never bound, is seen and can be used again
    offered = other.discover().yiaddr
    other.tell(other.message(DECLINE).set(50, offered).set(54, SERVER))
    [lease] = [lease for lease in json.loads(daemon.ok("lease", "list", "--json"))["leases"]
               if lease["address"] == offered]
    assert lease["state"] == "declined"
    assert other.ask(other.message(DISCOVER).set(50, offered)).yiaddr != offered
    daemon.ok("lease", "release", offered)
    assert stranger.ask(stranger.message(DISCOVER).set(50, offered)).yiaddr == offered


# --- what is malformed, and who else is there ---

def test_hostile_packets(daemon, wire):
    good = Message(DISCOVER, STRANGER).set(55, bytes([1, 3, 6])).set(12, b"x" * 60).encode()
    packets = [good[:n] for n in range(0, len(good), 3)]
    packets += [b"", b"\0", b"\xff" * 1472, os.urandom(1472), good + b"\0" * 1000]
    for at in range(236, len(good)):
        packets.append(good[:at] + b"\xff" + good[at + 1:])
        packets.append(good[:at] + b"\x00" + good[at + 1:])
    packets += [bytes([1, 1, 16, 0]) + good[4:], bytes([1, 32, 0, 0]) + good[4:], bytes([2]) + good[1:]]
    for packet in packets:
        wire.send_udp(STRANGER, packet, source="10.0.0.88")
    node = Client(wire, NODE2)
    wait_until(node.discover, "an answer, asked again as every client does: so many may fill a socket")
    assert in_pool(node.lease())
    assert 1 <= len(daemon.lines("malformed message from 10.0.0.88")) <= 2  # once per minute
    assert "runtime error" not in daemon.output() and "Sanitizer" not in daemon.output()


# --- router advertisements ---

ALL_ROUTERS, ALL_NODES = "ff02::2", "ff02::1"


def icmp6(source: str, target: str, body: bytes) -> bytes:
    addresses = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, target)
    total = checksum(addresses + struct.pack("!II", len(body), 58) + body)
    body = body[:2] + struct.pack("!H", total) + body[4:]
    return struct.pack("!IHBB", 0x60000000, len(body), 58, 255) + addresses + body


def solicit(wire: Wire, mac: str, source: str = "fe80::5054:ff:fe00:1", seconds: float = 60):
    """Sends a router solicitation; the first advertisement that comes back, as a frame."""
    wire.send(mac, "33:33:00:00:00:02", 0x86DD, icmp6(source, ALL_ROUTERS, bytes([133]) + bytes(7)))
    found = []
    for frame in wire.frames(seconds):
        if frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] == 134:
            found.append(frame)
            break
    return found


@pytest.fixture
def ra_lab(lab):
    """A daemon with a node, after the time in which it listens for routers."""
    daemon = lab.daemon()
    daemon.ok("node", "add", "web1", "--mac", NODE, "--address", "10.0.0.11")
    wire = Wire(lab.client())
    time.sleep(4.1)
    yield lab, daemon, wire
    wire.close()


def test_a_node_gets_a_router_advertisement_that_promises_nothing(ra_lab):
    _, _, wire = ra_lab
    [frame] = solicit(wire, NODE)
    assert frame[:6] == mac_bytes(NODE)
    assert frame[22:38][:2] == b"\xfe\x80"
    assert socket.inet_ntop(socket.AF_INET6, frame[38:54]) == "fe80::5054:ff:fe00:1"
    assert frame[21] == 255
    body = frame[54:54 + int.from_bytes(frame[18:20], "big")]
    assert body[:2] == b"\x86\0" and body[4:] == bytes(12)  # no lifetime, no flags, no options
    assert checksum(frame[22:54] + struct.pack("!II", len(body), 58) + body) == 0
    assert solicit(wire, STRANGER, seconds=0.5) == []
    assert solicit(wire, NODE, source="::", seconds=0.5) == []


def test_a_server_without_ipv6_answers_all_the_same(lab):
    lab.server.run("sysctl", "-qw", "net.ipv6.conf.br0.disable_ipv6=1")
    daemon = lab.daemon()
    daemon.ok("node", "add", "web1", "--mac", NODE, "--address", "10.0.0.11")
    wire = Wire(lab.client())
    time.sleep(4.1)
    [frame] = solicit(wire, NODE)
    assert frame[22:24] == b"\xfe\x80" and frame[54] == 134
    wire.close()


def test_no_router_advertisement_beside_a_router(ra_lab):
    lab, daemon, wire = ra_lab
    advert = bytes([134, 0, 0, 0, 64, 0, 0x07, 0x08]) + bytes(8)
    wire.send(STRANGER, "33:33:00:00:00:01", 0x86DD, icmp6("fe80::99", ALL_NODES, advert))
    assert solicit(wire, NODE, seconds=0.5) == []
    daemon.wait_line("br0: router fe80::99 advertises there")


def test_no_router_advertisement_where_this_host_routes(ra_lab):
    lab, daemon, wire = ra_lab
    assert solicit(wire, NODE)
    lab.server.run("sysctl", "-qw", "net.ipv6.conf.br0.forwarding=1")
    assert solicit(wire, NODE, seconds=0.5) == []
    daemon.wait_line("this server forwards IPv6 there")
    lab.server.run("sysctl", "-qw", "net.ipv6.conf.br0.forwarding=0")
    assert solicit(wire, NODE)


def test_no_router_advertisement_where_it_is_turned_off(ra_lab):
    _, daemon, wire = ra_lab
    assert solicit(wire, NODE)
    daemon.write_config(SUBNET + "router-advertisement = no\n")
    daemon.reload()
    assert solicit(wire, NODE, seconds=0.5) == []


def test_a_linux_node_takes_no_harm(ra_lab):
    """The kernel of a node that runs hears it: no route, no address, no more solicitations."""
    lab, _, _ = ra_lab
    client = lab.client(mac=NODE)
    client.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=2")
    client.run("ip", "link", "set", "eth0", "down")
    client.run("ip", "link", "set", "eth0", "up")
    time.sleep(4)
    assert "default" not in client.run("ip", "-6", "route").stdout
    addresses = client.run("ip", "-6", "addr", "show", "dev", "eth0").stdout
    assert addresses.count("inet6") == 1 and "scope link" in addresses


def test_rdisc6_sees_it(ra_lab):
    need("rdisc6")
    lab, _, _ = ra_lab
    client = lab.client(mac=NODE)
    time.sleep(2.5)
    said = client.run("rdisc6", "-1", "eth0").stdout
    assert re.search(r"Router lifetime\s+:\s+0 ", said)


# --- starting, reloading ---

def test_what_can_be_wrong_is_one_sentence(lab, tmp_path):
    loaders = tmp_path / "loaders"
    loaders.mkdir()
    (loaders / "out.kpxe").symlink_to("/usr/lib/ipxe/undionly.kpxe")
    cases = [
        (SUBNET.replace("br0", "eth7"), {}, "[subnet lab]: this server has no interface eth7"),
        (SUBNET.replace("br0", "lo"), {}, "interface lo is not Ethernet"),
        (SUBNET.replace("10.0.0.", "10.5.0."), {}, "[subnet lab]: br0 has no address in 10.5.0.0/24; give it one"),
        (SUBNET, {"loaders": "/nonexistent"}, "cannot open /nonexistent: No such file or directory; install the "
                                              "package ipxe"),
        (SUBNET + "loader-bios = out.kpxe\n", {"loaders": loaders},
         f"cannot serve the boot loader {loaders}/out.kpxe"),
        (SUBNET + "loader-bios = none.kpxe\n", {}, "cannot serve the boot loader /usr/lib/ipxe/none.kpxe: No such "
                                                   "file or directory; install the package ipxe"),
        (SUBNET, {"tftp": "10.77.0.1:69"}, "tftp: this server has no address 10.77.0.1:69"),
    ]
    for subnets, keys, sentence in cases:
        daemon = LabDaemon(tmp_path / "wrong", lab.server, subnets, **keys)
        said = daemon.fail_to_start()
        assert sentence in said
        assert len([line for line in said.splitlines() if line.startswith("error:")]) == 1, said


def test_a_port_in_use_is_told(lab, tmp_path):
    daemon = LabDaemon(tmp_path / "wrong", lab.server)
    with inside(lab.server):
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.bind(("0.0.0.0", 67))
    assert "another DHCP server" in daemon.fail_to_start()
    other.close()
    with inside(lab.server):
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        other.bind(("0.0.0.0", 69))
    assert "10.0.0.1:69 is in use" in daemon.fail_to_start()
    other.close()


def test_missing_rights_are_told(lab, tmp_path):
    need("setpriv")
    daemon = LabDaemon(tmp_path / "wrong", lab.server, tftp="127.0.0.1:0")
    daemon.log.unlink(missing_ok=True)
    daemon.launch("setpriv", "--bounding-set", "-net_raw,-net_admin", "--inh-caps", "-net_raw,-net_admin")
    assert daemon.process.wait(timeout=60) == 1
    daemon.wait_line("CAP_NET_RAW")
    daemon.process = None


def test_a_missing_uefi_loader_is_a_warning(lab, tmp_path):
    loaders = tmp_path / "loaders"
    loaders.mkdir()
    (loaders / "undionly.kpxe").write_bytes(b"x")
    daemon = lab.daemon(loaders=str(loaders))
    daemon.wait_line("UEFI machines cannot boot")


def test_reload_keeps_leases_and_takes_new_settings(daemon, wire):
    client = Client(wire, STRANGER)
    address = client.lease()
    daemon.write_config(SUBNET.replace("lan.example", "new.example") + "lease-time = 10m\n")
    daemon.reload()
    ack = client.rebind(address)
    assert ack.number(51) == 600 and ack.options[15] == b"new.example"
    daemon.write_config(SUBNET.replace("br0", "eth9"))  # a mistake changes nothing
    daemon.reload()
    daemon.wait_line("not reloaded, the old one stays in force: [subnet lab]: this server has no interface eth9")
    assert client.rebind(address).number(51) == 600
    daemon.write_config(SUBNET + "mode = off\n")
    daemon.reload()
    assert client.discover(wait=0.3) is None
    daemon.write_config(SUBNET)
    daemon.reload()
    assert client.rebind(address).number(51) == 3600


def test_two_interfaces_are_two_networks(lab):
    lab.server.run("ip", "link", "add", "br1", "type", "bridge", "forward_delay", "0")
    lab.server.run("ip", "addr", "add", "10.1.0.1/24", "dev", "br1")
    lab.server.run("ip", "link", "set", "br1", "up")
    lab.daemon(SUBNET + SUBNET.replace("10.0.0.", "10.1.0.").replace("lab", "two").replace("br0", "br1"))
    first = Wire(lab.client())
    namespace = lab.client()
    lab.server.run("ip", "link", "set", f"c{lab.count}", "master", "br1")
    second = Wire(namespace)
    assert Client(first, STRANGER).lease().startswith("10.0.0.")
    client = Client(second, STRANGER)
    offer = client.discover()
    assert offer.yiaddr.startswith("10.1.0.") and offer.address(54) == "10.1.0.1"
    assert client.select(offer.yiaddr, server="10.1.0.1").kind == ACK
    first.close()
    second.close()


def test_interfaces_come_and_go(lab, daemon, wire):
    client = Client(wire, STRANGER)
    address = client.lease()
    lab.server.run("ip", "link", "del", "br0")
    daemon.wait_line("cannot be served as configured for now: [subnet lab]: this server has no interface br0")
    lab.server.add_bridge(f"{SERVER}/24")
    lab.server.run("ip", "link", "set", f"c{lab.count}", "master", "br0", "up")
    daemon.wait_line("the interfaces have changed: serving them as they are now")
    assert client.init_reboot(address).kind == ACK
    lab.server.run("ip", "addr", "del", f"{SERVER}/24", "dev", "br0")
    lab.server.run("ip", "addr", "add", "10.0.0.2/24", "dev", "br0")
    wait_until(lambda: (offer := client.discover()) and offer.address(54) == "10.0.0.2", "the new address is served")


def test_a_missing_interface_keeps_only_its_own_machines_waiting(lab, tmp_path):
    """A server that starts while one of its cards is away serves the machines on the others."""
    away = SUBNET.replace("[subnet lab]", "[subnet away]").replace("br0", "br1").replace("10.0.0.", "10.1.0.")
    daemon = lab.daemon(away + SUBNET)
    daemon.wait_line("not served until that is mended: [subnet away]: this server has no interface br1")
    machine = lab.client()
    wire = Wire(machine)
    here = Client(wire, STRANGER).lease()
    lab.server.add_bridge("10.1.0.1/24", name="br1")
    daemon.wait_line("the interfaces have changed: serving them as they are now")
    # and the other way round: what goes away takes nobody with it
    lab.server.run("ip", "link", "del", "br1")
    daemon.wait_line("not served until that is mended: [subnet away]", times=2)
    assert Client(wire, STRANGER).init_reboot(here).kind == ACK
    wire.close()


def test_an_idle_daemon_does_nothing(daemon, wire):
    """No CPU time in two seconds in a row."""
    Client(wire, STRANGER).lease()
    pid = subprocess.run(["pgrep", "-P", str(daemon.process.pid)], capture_output=True, text=True).stdout.split()
    pid = pid[0] if pid else str(daemon.process.pid)

    def ticks() -> int:
        return sum(map(int, open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[11:13]))

    def sleeps() -> bool:
        before = ticks()
        time.sleep(2)
        return ticks() == before

    wait_until(sleeps, "two quiet seconds")


def test_an_offer_is_listed_as_one(daemon, wire):
    """Until it is asked for; and in the place of what became of the address before."""
    def listed() -> list[tuple[str, str, str]]:
        return [(lease["address"], lease["mac"], lease["state"])
                for lease in json.loads(daemon.ok("lease", "list", "--json"))["leases"]]

    client = Client(wire, STRANGER)
    offer = client.discover()
    assert listed() == [(offer.yiaddr, STRANGER, "offered")]
    assert " offered " in daemon.ok("lease", "list")
    assert client.select(offer.yiaddr).kind == ACK
    assert listed() == [(offer.yiaddr, STRANGER, "bound")]
    release = client.message(RELEASE).set(54, SERVER)
    release.ciaddr = offer.yiaddr
    client.tell(release)
    assert client.discover().yiaddr == offer.yiaddr
    assert listed() == [(offer.yiaddr, STRANGER, "offered")]


def test_an_interface_of_a_vlan(lab, tmp_path):
    """By its usual name, which has a dot. (That it is one: tests/boot/test_vlan_server.py.)"""
    lab.server.add_bridge("10.20.0.1/24", "fe80::1/64", name="eth1.20")
    vlan = SUBNET.replace("10.0.0.", "10.20.0.").replace("[subnet lab]", "[subnet vlan20]").replace("br0", "eth1.20")
    daemon = lab.daemon(SUBNET + vlan, http="0.0.0.0:80")
    daemon.ok("node", "add", "web1", "--mac", NODE, "--address", "10.20.0.11")
    machine = lab.client(mac=NODE)
    lab.server.run("ip", "link", "set", f"c{lab.count}", "master", "eth1.20")
    wire = Wire(machine)
    client = Client(wire, NODE)
    client.extra = {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0"}
    offer = client.discover(wait=60)
    ack = client.select(offer.yiaddr, server="10.20.0.1", wait=60)
    assert ack.kind == ACK and ack.yiaddr == "10.20.0.11" and ack.siaddr == "10.20.0.1"
    assert ack.file.rstrip(b"\0") == b"undionly.kpxe"
    wire.close()
    machine.run("ip", "addr", "add", "10.20.0.11/24", "dev", "eth0")
    script = machine.run("curl", "-fsS", f"http://10.20.0.1/boot.ipxe?mac={NODE.replace(':', '-')}", timeout=120).stdout
    assert "web1" in script
    assert 'iifname "eth1.20" ip saddr 10.20.0.0/24' in daemon.ok("export", "firewall")
    lab.server.run("ip", "link", "set", "eth1.20", "down")
    lab.server.run("ip", "link", "delete", "eth1.20")
    daemon.wait_line("eth1.20", "not served")
