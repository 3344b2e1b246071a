"""DHCPv6: real clients, and messages made by hand, against the real daemon."""

import os
import shlex
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest
from daemon import need, wait_until
from dhcp6lab import (ADVERTISE, BOOT_URL, CLIENT_ID, CONFIRM, DECLINE, DNS, DOMAINS, IA_PD, IA_TA,
                      INFORMATION_REQUEST, INTERFACE_ID, IPXE, PREFERENCE, RAPID_COMMIT, REBIND, RELAY_MESSAGE,
                      RELAY_REPLY, RELEASE, RENEW, REPLY, REQUEST, SERVER_ID, SOLICIT, STATUS, VENDOR_CLASS, Answer,
                      Client6, duid_uuid, firmware, hardware, ia, option, options_of, relayed)
from netlab import SUBNET, NetLab, inside

NODE, ADDRESS = "52:54:00:00:00:01", "2001:db8:1:0:5054:ff:fe00:1"
STRANGER, STRANGERS = "52:54:00:00:00:63", "2001:db8:1:0:5054:ff:fe00:63"
SERVER6 = "2001:db8:1::1"
IPV6 = """network6 = 2001:db8:1::/64
dns6 = 2001:db8:1::53 2001:db8:1::54
"""
LISTEN = {"http": f"10.0.0.1:80 [{SERVER6}]:80", "tftp": f"10.0.0.1:69 [{SERVER6}]:69"}
NETWORKD = "/lib/systemd/systemd-networkd"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")


def start(lab: NetLab, more: str = "", subnets: str = SUBNET):
    """The daemon, with a node."""
    lab.server.run("ip", "addr", "add", f"{SERVER6}/64", "dev", "br0", "nodad")
    daemon = lab.daemon(subnets + IPV6 + more, **LISTEN)
    daemon.ok("node", "add", "web1", "--mac", NODE, "--address", "10.0.0.11")
    return daemon


@pytest.fixture
def daemon(lab):
    return start(lab)


def machine(lab: NetLab, mac: str = NODE):
    """One whose link-local address can be used."""
    client = lab.client(mac=mac)
    wait_until(lambda: "fe80::" in client.run("ip", "-6", "addr", "show", "dev", "eth0", "-tentative").stdout,
               "the machine has its link-local address", 20)
    return client


def counters(daemon) -> dict:
    return daemon.get("/v1/status").json["counters"]["dhcp6"]


def node_of(daemon) -> dict:
    return daemon.get("/v1/status").json["nodes"][0]


# --- real clients ---

def shown(client) -> str:
    return client.run("ip", "-6", "addr", "show", "dev", "eth0", check=False).stdout


def test_dhclient_gets_renews_and_releases(lab, daemon, tmp_path):
    need("dhclient")
    client = machine(lab)
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\nenv > {script}.tmp; mv {script}.tmp {script}.$reason\n")
    script.chmod(0o755)
    words = ["dhclient", "-6", "-v", "-lf", tmp_path / "leases", "-pf", tmp_path / "pid", "-sf", script]
    client.run(*words, "-1", "eth0", timeout=60)
    bound = dict(line.split("=", 1) for line in script.with_name("script.BOUND6").read_text().splitlines())
    assert bound["new_ip6_address"] == ADDRESS
    assert bound["new_dhcp6_name_servers"] == "2001:db8:1::53 2001:db8:1::54"
    assert bound["new_dhcp6_domain_search"] == "lan.example."
    client.run("dhclient", "-6", "-x", "-pf", tmp_path / "pid", "eth0", check=False)
    client.run(*words, "-1", "eth0", timeout=60)  # a reboot: CONFIRM
    client.run(*words, "-r", "eth0", timeout=60)  # which waits for no answer
    wait_until(lambda: counters(daemon)["received"]["release"] >= 1, "the RELEASE")
    seen = counters(daemon)
    assert seen["received"]["confirm"] >= 1
    assert seen["odd"]["malformed"] == 0


def test_dhcpcd_gets_its_address(lab, daemon, tmp_path):
    need("dhcpcd")
    client = machine(lab)
    config = tmp_path / "dhcpcd.conf"
    config.write_text("duid\nnohook resolv.conf\nnoipv4\nipv6only\ninterface eth0\nia_na 1\n")
    process = client.start("dhcpcd", "unshare", "-m", "sh", "-c",
                           "mount -t tmpfs none /run; mkdir -p /run/dhcpcd; mount -t tmpfs none /var/lib/dhcpcd; "
                           f"exec dhcpcd -B -d -f {config} eth0")
    wait_until(lambda: ADDRESS in shown(client), "dhcpcd has the address", 60)
    process.stop()


NETWORKD_START = """set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp /run/systemd/network
chown -R systemd-network: /run/systemd/netif
printf '[Match]\\nName=eth0\\n[Network]\\nDHCP=ipv6\\nIPv6AcceptRA=yes\\n' > /run/systemd/network/10-eth0.network
mount -o remount,ro /sys
exec {networkd}
"""


def test_systemd_networkd_asks_as_our_advertisement_says(lab, daemon):
    need("systemd-networkd")
    time.sleep(4)  # ROUTER_LISTEN_TIME: before, no advertisement is answered
    client = machine(lab)
    client.start("networkd", "sh", "-c", NETWORKD_START.format(networkd=shlex.quote(NETWORKD)))
    wait_until(lambda: ADDRESS in shown(client), "networkd has the address", 60)
    routes = client.run("ip", "-6", "route").stdout
    assert "2001:db8:1::/64 dev eth0" in routes and "default" not in routes


def test_tshark_finds_nothing_malformed(lab, daemon, tmp_path):
    need("tshark", "tcpdump")
    namespace = machine(lab)
    client = Client6(namespace)
    process = namespace.start("tcpdump", "tcpdump", "-i", "eth0", "-U", "-w", tmp_path / "capture.pcap", "udp")
    wait_until(lambda: "listening on" in process.output(), "tcpdump listens")
    for options in (firmware("PXE", 7), firmware("HTTP", 16), IPXE, ia(code=IA_TA) + ia(code=IA_PD)):
        client.lease(options)
    assert client.ask(SOLICIT, ia(), option(RAPID_COMMIT, b""))
    assert client.ask(CONFIRM, ia("2001:db8:9::1"))
    assert client.ask(INFORMATION_REQUEST, IPXE)
    reply = client.ask(REBIND, ia(ADDRESS, "2001:db8:9::1"))
    assert client.ask(RELEASE, option(SERVER_ID, reply.options[SERVER_ID]), ia(ADDRESS))
    wait_until(lambda: decode(tmp_path).count("Message type: Reply (7)") >= 8, "the capture is whole")
    process.stop()
    told = decode(tmp_path)
    assert "Malformed" not in told and "Expert Info" not in told, told
    assert told.count("Boot File URL\n") == 7


def decode(where: Path) -> str:
    return subprocess.run(["tshark", "-r", where / "capture.pcap", "-V", "-O", "dhcpv6", "udp.srcport == 547"],
                          capture_output=True, text=True, check=True, timeout=120).stdout


# --- who boots what ---

def test_one_address_in_every_stage(lab, daemon):
    """Firmware, iPXE and the system, each with a DUID of its own."""
    client = Client6(machine(lab))
    stages = [(duid_uuid(1), firmware("PXE", 7), f"tftp://[{SERVER6}]/snponly.efi"),
              (duid_uuid(2), firmware("HTTP", 16), f"http://[{SERVER6}]/loaders/snponly.efi"),
              (duid_uuid(3), IPXE, f"http://[{SERVER6}]/boot.ipxe?mac=52-54-00-00-00-01"),
              (b"\0\1\0\1" + bytes(4) + bytes.fromhex("5254000000ff"), b"", None)]
    for duid, options, url in stages:
        client.duid = duid
        reply = client.lease(options)
        assert reply.addresses() == {ADDRESS: 3600} and reply.url == url
        assert reply.options[CLIENT_ID] == duid
    assert node_of(daemon)["boot"]["stages"][0]["stage"] == "address"


def test_firmware_that_boots_by_http_hears_its_class(lab, daemon):
    client = Client6(machine(lab))
    http, pxe = client.lease(firmware("HTTP", 16)), client.lease(firmware("PXE", 7))
    assert http.options[VENDOR_CLASS][6:16] == b"HTTPClient"
    assert VENDOR_CLASS not in pxe.options  # EDK2 would ask again, on port 4011
    assert http.order[-1][0] != BOOT_URL  # EDK2 reads on to a zero
    offer = client.ask(SOLICIT, ia(), IPXE)
    assert offer.options[PREFERENCE] == b"\xff"


def test_firmware_without_a_loader_is_told(lab, daemon):
    client = Client6(machine(lab))
    reply = client.lease(firmware("PXE", 11))
    assert reply.url is None
    daemon.wait_line("boots by PXE and is ARM64 UEFI (architecture 11), for which there is no loader")


@pytest.mark.parametrize("unknown, answered", [("local", True), ("register", True), ("ignore", False)])
def test_strangers_are_answered_when_they_boot(lab, unknown, answered):
    daemon = start(lab, f"unknown = {unknown}\n")
    client = Client6(machine(lab, STRANGER))
    assert client.ask(SOLICIT, ia(), wait=0.5) is None  # a system of somebody else's
    offer = client.ask(SOLICIT, ia(), firmware("PXE", 7), wait=60 if answered else 0.5)
    assert (offer.addresses() == {STRANGERS: 3600}) if answered else offer is None
    wait_until(lambda: counters(daemon)["odd"]["stranger"] == 1, "the system to be counted")
    wait_until(lambda: counters(daemon)["odd"]["ignored"] == (0 if answered else 1), "firmware to be counted")


def test_a_machine_without_its_mac_in_its_address_is_told(lab, daemon):
    namespace = lab.client(mac=NODE)
    namespace.run("ip", "-6", "addr", "flush", "dev", "eth0")
    namespace.run("ip", "addr", "add", "fe80::4711/64", "dev", "eth0", "nodad")
    client = Client6(namespace)
    told = "fe80::4711 asks, and which machine that is cannot be told"
    assert client.ask(SOLICIT, ia(), wait=0.5) is None  # a system, as there are many
    assert not daemon.lines(told)
    assert client.ask(SOLICIT, ia(), IPXE, wait=0.5) is None
    daemon.wait_line(told)
    wait_until(lambda: counters(daemon)["odd"]["no_mac"] == 2, "both to be counted")


# --- RFC 8415 by hand ---

def test_each_kind_of_message(lab, daemon):
    client = Client6(machine(lab))
    reply = client.lease()
    server = option(SERVER_ID, reply.options[SERVER_ID])
    rapid = client.ask(SOLICIT, ia(), option(RAPID_COMMIT, b""))
    assert rapid.kind == REPLY and RAPID_COMMIT in rapid.options and rapid.addresses() == {ADDRESS: 3600}
    assert client.ask(CONFIRM, ia(ADDRESS)).status() == 0
    assert client.ask(CONFIRM, ia("2001:db8:9::1")).status() == 4
    assert client.ask(CONFIRM, ia(), wait=0.3) is None
    for kind, options in ((RENEW, server), (REBIND, b"")):
        renewed = client.ask(kind, options, ia(ADDRESS, "2001:db8:1::7"))
        assert renewed.addresses() == {ADDRESS: 3600, "2001:db8:1::7": 0}
    assert client.ask(RELEASE, server, ia(ADDRESS)).status() == 0
    assert client.ask(DECLINE, server, ia(ADDRESS)).status() == 0
    daemon.wait_line(f"finds its address {ADDRESS} in use")
    told = client.ask(INFORMATION_REQUEST)
    assert told.kind == REPLY and {DNS, DOMAINS} <= set(told.options) and 3 not in told.options
    assert counters(daemon)["odd"]["malformed"] == 0


def test_what_is_not_for_us_has_no_answer(lab, daemon):
    client = Client6(machine(lab))
    other = option(SERVER_ID, b"\0\3\0\1\2\0\0\0\0\1")
    for kind, options in ((SOLICIT, other), (REQUEST, b""), (REQUEST, other), (RENEW, other), (REBIND, other),
                          (ADVERTISE, other), (REPLY, b""), (77, b""), (INFORMATION_REQUEST, other)):
        assert client.ask(kind, options, ia() if kind != INFORMATION_REQUEST else b"", wait=0.2) is None
    assert client.ask(SOLICIT, ia(), to="fe80::1", wait=0.2) is None  # nobody told it to
    daemon.wait_line("another DHCPv6 server answers machines of [subnet lab]")


def test_only_one_address_and_no_prefix(lab, daemon):
    reply = Client6(machine(lab)).ask(SOLICIT, ia(number=5), ia(number=6, code=IA_TA), ia(number=7, code=IA_PD))
    assert reply.addresses() == {ADDRESS: 3600}
    assert [int.from_bytes(dict(reply.ia_options(code))[STATUS][:2], "big") for code in (IA_TA, IA_PD)] == [2, 6]
    assert reply.options[IA_PD][:4] == struct.pack("!I", 7)


def test_a_stage_of_a_boot_needs_a_port_that_firmware_has(lab, daemon):
    """A program of the running node, from any port, does not begin a boot."""
    client = Client6(machine(lab), port=5460)
    message = bytes([SOLICIT]) + b"abc" + option(CLIENT_ID, client.duid) + ia() + option(RAPID_COMMIT, b"") + IPXE
    client.socket.sendto(message, ("ff02::1:2", 547, 0, client.index))
    wait_until(lambda: counters(daemon)["sent"]["reply"] == 1, "it is answered")
    assert not node_of(daemon).get("boot")


# --- relays ---

FAR6 = """[subnet far]
interface = br0
network = 10.9.0.0/24
network6 = 2001:db8:9::/64
"""
FAR_ADDRESS = "2001:db8:9:0:5054:ff:fe00:1"


def test_relays_are_answered_as_they_asked(lab):
    start(lab, FAR6)
    relay = machine(lab, "52:54:00:00:00:77")
    relay.run("ip", "addr", "add", "2001:db8:1::77/64", "dev", "eth0", "nodad")
    with inside(relay):
        link = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        link.bind(("2001:db8:1::77", 547))
    link.settimeout(60)
    message = bytes([SOLICIT]) + b"abc" + option(CLIENT_ID, duid_uuid(1)) + ia() + IPXE
    inner = relayed(message, "::", "fe80::4711", option(INTERFACE_ID, b"port 7"), hardware(NODE))
    outer = relayed(inner, "2001:db8:9::1", "fe80::2", option(INTERFACE_ID, b"vlan9"), hops=1)
    link.sendto(outer, (SERVER6, 547))
    data = link.recv(4096)
    for sent, interface in ((outer, b"vlan9"), (inner, b"port 7")):
        assert data[0] == RELAY_REPLY and data[1:34] == sent[1:34]
        options = dict(options_of(data[34:]))
        assert options[INTERFACE_ID] == interface
        data = options[RELAY_MESSAGE]
    answer = Answer(data)
    assert answer.kind == ADVERTISE and answer.addresses() == {FAR_ADDRESS: 3600}
    assert answer.url == f"http://[{SERVER6}]/boot.ipxe?mac=52-54-00-00-00-01"


def test_a_strange_network_behind_a_relay_is_told(lab, daemon):
    relay = machine(lab, "52:54:00:00:00:77")
    with inside(relay):
        link = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        link.bind(("::", 547))
        index = socket.if_nametoindex("eth0")
    message = relayed(bytes([SOLICIT]) + b"abc" + option(CLIENT_ID, duid_uuid(1)) + ia(), "2001:db8:77::1", "fe80::2",
                      hardware(NODE))
    link.sendto(message, ("ff02::1:2", 547, 0, index))
    daemon.wait_line("a relay asks for the network of 2001:db8:77::1")


def test_behind_dnsmasq_as_a_relay(lab, tmp_path):
    need("dnsmasq", "dhclient")
    start(lab, FAR6)
    relay = machine(lab, "52:54:00:00:00:77")
    relay.run("ip", "addr", "add", "2001:db8:1::77/64", "dev", "eth0", "nodad")
    far = lab.client()
    far.run("ip", "link", "del", "eth0")
    relay.run("ip", "link", "add", "far0", "type", "veth", "peer", "name", "eth0", "netns", far.name)
    relay.run("ip", "addr", "add", "2001:db8:9::1/64", "dev", "far0", "nodad")
    relay.run("ip", "link", "set", "far0", "up")
    relay.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
    lab.server.run("ip", "-6", "route", "add", "2001:db8:9::/64", "via", "2001:db8:1::77")
    far.run("ip", "link", "set", "eth0", "address", NODE)
    far.run("ip", "link", "set", "eth0", "up")
    wait_until(lambda: "fe80::" in far.run("ip", "-6", "addr", "show", "dev", "eth0", "-tentative").stdout,
               "the machine has its link-local address", 20)
    relay.start("dnsmasq", "dnsmasq", "-d", "--port=0", f"--dhcp-relay=2001:db8:9::1,{SERVER6}", "--no-resolv",
                f"--pid-file={tmp_path}/dnsmasq.pid", "--conf-file=/dev/null", "--log-dhcp")
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\nenv > {script}.tmp; mv {script}.tmp {script}.$reason\n")
    script.chmod(0o755)
    far.run("dhclient", "-6", "-1", "-v", "-lf", tmp_path / "leases", "-pf", tmp_path / "pid", "-sf", script, "eth0",
            timeout=60)
    assert f"new_ip6_address={FAR_ADDRESS}\n" in script.with_name("script.BOUND6").read_text()


# --- a firewall ---

def test_the_exported_firewall_lets_network6_in(lab, daemon, tmp_path):
    need("nft", "curl")
    node = machine(lab)
    node.run("ip", "addr", "add", f"{ADDRESS}/64", "dev", "eth0", "nodad")
    node.run("ip", "addr", "add", "2001:db8:7::2/64", "dev", "eth0", "nodad")
    lab.server.run("ip", "addr", "add", "2001:db8:7::1/64", "dev", "br0", "nodad")
    rules = tmp_path / "rules.nft"
    rules.write_text(daemon.ok("export", "firewall"))
    lab.server.run("nft", "-f", rules)
    assert Client6(node).lease(IPXE).addresses() == {ADDRESS: 3600}
    fetch = ["curl", "-sm", "5", "-o", "/dev/null", f"http://[{SERVER6}]/boot.ipxe?mac=52-54-00-00-00-01"]
    assert node.run(*fetch).returncode == 0
    assert node.run(*fetch, "--interface", "2001:db8:7::2", check=False).returncode == 28


# --- beside others ---

def test_a_proxy_tells_what_to_boot_and_nothing_else(lab):
    daemon = start(lab, "mode = proxy\n")
    client = Client6(machine(lab))
    assert client.ask(SOLICIT, ia(), wait=0.3) is None
    assert client.ask(SOLICIT, ia(), firmware("PXE", 7), wait=0.3) is None
    assert client.ask(INFORMATION_REQUEST, wait=0.3) is None
    told = client.ask(INFORMATION_REQUEST, IPXE)
    assert set(told.options) == {CLIENT_ID, SERVER_ID, BOOT_URL}
    offer = client.ask(SOLICIT, ia(), firmware("HTTP", 16))
    assert offer.kind == ADVERTISE and set(offer.options) == {CLIENT_ID, SERVER_ID, BOOT_URL, VENDOR_CLASS}
    stage = node_of(daemon)["boot"]["stages"][0]
    assert stage["stage"] == "address" and stage["detail"] == "from another server"


@pytest.mark.parametrize("how, told", [("ra-only", True), ("ra-stateless", False)])
def test_a_router_that_keeps_machines_from_dhcpv6_is_told(lab, daemon, tmp_path, how, told):
    """ra-only: neither M nor O; ra-stateless: O."""
    need("dnsmasq")
    router = machine(lab, "52:54:00:00:00:77")
    router.run("ip", "addr", "add", "2001:db8:1::77/64", "dev", "eth0", "nodad")
    router.start("dnsmasq", "dnsmasq", "-d", "--port=0", "--enable-ra", f"--dhcp-range=2001:db8:1::,{how}",
                 "--no-resolv", f"--pid-file={tmp_path}/dnsmasq.pid", "--conf-file=/dev/null", "--interface=eth0",
                 f"--dhcp-leasefile={tmp_path}/leases")
    daemon.wait_line("advertises there: leaving router solicitations to it")
    assert bool(daemon.lines("tells machines to do without DHCPv6 (neither M nor O")) == told


def test_off_without_network6_or_without_an_address(lab):
    """Then nothing listens; and once there is an address, it does."""
    daemon = lab.daemon(SUBNET + IPV6, http="[::]:80", tftp="[::]:69")
    daemon.wait_line("br0 has no address in 2001:db8:1::/64: nothing boots over IPv6 there")
    daemon.ok("node", "add", "web1", "--mac", NODE)
    client = Client6(machine(lab))
    assert client.ask(SOLICIT, ia(), IPXE, wait=0.3) is None
    lab.server.run("ip", "addr", "add", f"{SERVER6}/64", "dev", "br0", "nodad")
    wait_until(lambda: client.ask(SOLICIT, ia(), IPXE, wait=0.3), "it is served")
    daemon.write_config(SUBNET)
    daemon.reload()
    assert client.ask(SOLICIT, ia(), IPXE, wait=0.3) is None


def test_a_network6_that_comes_with_a_reload_waits_for_a_restart(lab):
    """The sockets that were opened are for IPv4."""
    lab.server.run("ip", "addr", "add", f"{SERVER6}/64", "dev", "br0", "nodad")
    daemon = lab.daemon(SUBNET, http="0.0.0.0:80", tftp="0.0.0.0:69")
    daemon.ok("node", "add", "web1", "--mac", NODE)
    client = Client6(machine(lab))
    daemon.keys.update(http="[::]:80", tftp="[::]:69")  # as the defaults do
    daemon.write_config(SUBNET + IPV6)
    daemon.reload()
    daemon.wait_line(f"nothing of [http] listens at {SERVER6}: nothing boots over IPv6 there")
    assert client.ask(SOLICIT, ia(), IPXE, wait=0.3) is None
    daemon.stop()
    daemon.start()
    assert client.ask(SOLICIT, ia(), IPXE).url.startswith(f"http://[{SERVER6}]/")


def test_what_listens_is_what_was_opened(lab):
    lab.server.run("ip", "addr", "add", f"{SERVER6}/64", "dev", "br0", "nodad")
    daemon = lab.daemon(SUBNET + IPV6, http="[::]:80", tftp="0.0.0.0:69")
    told = f"its machines know this server as {SERVER6}, where nothing of [tftp] listens"
    daemon.keys["tftp"] = "[::]:69"
    daemon.write_config(SUBNET + IPV6)
    for times in (1, 2, 3):
        daemon.wait_line(told, times=times)
        assert daemon.output().count(told) == times
        daemon.reload()


def test_another_server_on_the_port_is_told(lab, tmp_path):
    need("dnsmasq")
    lab.server.run("ip", "addr", "add", f"{SERVER6}/64", "dev", "br0", "nodad")
    lab.server.start("dnsmasq", "dnsmasq", "-d", "--port=0", "--dhcp-range=2001:db8:1::,static", "--no-resolv",
                     f"--pid-file={tmp_path}/dnsmasq.pid", "--conf-file=/dev/null", "--bind-interfaces",
                     "--interface=br0", f"--dhcp-leasefile={tmp_path}/leases")
    wait_until(lambda: ":547" in lab.server.run("ss", "-Huln").stdout, "dnsmasq listens")
    from netlab import LabDaemon
    daemon = LabDaemon(lab.work / "daemon", lab.server, SUBNET + IPV6, **LISTEN)
    assert "another DHCPv6 server (dnsmasq, isc-dhcp-server, kea, nodisk?) listens on port 547" in \
        daemon.fail_to_start()
