"""DHCP options by name and number, at their three levels: real clients get them."""

import json
import os
import shlex
import struct
import subprocess
from pathlib import Path

import pytest
from daemon import need, wait_until
from netlab import DISCOVER, SERVER, SUBNET, Client, Wire

NODE = "52:54:00:00:00:01"
OTHER = "52:54:00:00:00:02"
NETWORKD = "/lib/systemd/systemd-networkd"

OPTIONS = SUBNET + """mtu = 1400
ntp = 10.0.0.5 10.0.0.6
domain-search = lan.example, example
routes = 10.7.0.0/16:10.0.0.2
option = tzdb-timezone=Europe/Berlin
option = 224=hex:0a0b0c
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")


@pytest.fixture
def daemon(lab):
    daemon = lab.daemon(OPTIONS)
    daemon.ok("group", "add", "rack1")
    daemon.ok("node", "add", "web1", "--mac", NODE, "--address", "10.0.0.11", "--group", "rack1")
    daemon.ok("group", "set", "rack1", "--option", "ntp-servers=10.0.0.7", "--option", "mtu=1300")
    daemon.ok("node", "set", "web1", "--option", "mtu=1200")
    return daemon


def script(tmp_path: Path) -> Path:
    """A client's script that writes down what it is told."""
    path = tmp_path / "script"
    path.write_text(f"#!/bin/sh\nenv > {path}.tmp; mv {path}.tmp {path}.$reason$1\n")
    path.chmod(0o755)
    return path


def told(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)


# --- real clients ---

def test_dhclient(lab, daemon, tmp_path):
    need("dhclient")
    client, path, config = lab.client(mac=NODE), script(tmp_path), tmp_path / "dhclient.conf"
    config.write_text("option rfc3442-classless-static-routes code 121 = array of unsigned integer 8;\n"
                      "option raw code 224 = string;\noption tzdb code 101 = text;\n"
                      "request subnet-mask, routers, interface-mtu, ntp-servers, domain-search, tzdb, raw,\n"
                      "  rfc3442-classless-static-routes;\ninitial-interval 1; timeout 60;\n")
    client.run("dhclient", "-1", "-cf", config, "-lf", tmp_path / "leases", "-pf", tmp_path / "pid", "-sf", path,
               "eth0", timeout=120)
    bound = told(tmp_path / "script.BOUND")
    assert bound["new_interface_mtu"] == "1200"  # the node's
    assert bound["new_ntp_servers"] == "10.0.0.7"  # its group's
    assert bound["new_domain_search"] in ("lan.example. example.", "lan.example example")
    assert bound["new_tzdb"] == "Europe/Berlin"
    assert bound["new_raw"] in ("a:b:c", "\\n\\v\\f", "\\012\\013\\014")
    assert bound["new_rfc3442_classless_static_routes"] == "16 10 7 10 0 0 2 0 10 0 0 254"
    assert "new_routers" not in bound  # the routes have it


@pytest.mark.parametrize("program", [["udhcpc"], ["busybox", "udhcpc"]])
def test_udhcpc(lab, daemon, tmp_path, program):
    need(program[0])
    client, path = lab.client(mac=OTHER), script(tmp_path)
    wanted = [word for name in ("mtu", "ntpsrv", "search", "staticroutes", "224") for word in ("-O", name)]
    process = client.start("udhcpc", *program, "-f", "-i", "eth0", "-s", path, "-t", "20", "-T", "2", *wanted)
    wait_until((tmp_path / "script.bound").exists, "udhcpc is bound", 60)
    process.stop()
    bound = told(tmp_path / "script.bound")
    assert bound["mtu"] == "1400" and bound["ntpsrv"] == "10.0.0.5 10.0.0.6"
    assert bound["search"] == "lan.example example"
    assert bound["staticroutes"] == "10.7.0.0/16 10.0.0.2 0.0.0.0/0 10.0.0.254"
    assert bound["opt224"] == "0a0b0c"


NETWORKD_START = """set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp /run/systemd/network
chown -R systemd-network: /run/systemd/netif
printf '[Match]\\nName=eth0\\n[Network]\\nDHCP=ipv4\\nLinkLocalAddressing=no\\n[DHCPv4]\\nUseMTU=yes\\n\
UseDomains=yes\\n' > /run/systemd/network/10-eth0.network
mount -o remount,ro /sys
exec {networkd}
"""


def test_systemd_networkd(lab, daemon, tmp_path):
    need("systemd-networkd")
    client = lab.client(mac=NODE)
    process = client.start("networkd", "sh", "-c", NETWORKD_START.format(networkd=shlex.quote(NETWORKD)))
    shown = lambda *words: client.run("ip", *words, check=False).stdout  # noqa: E731
    wait_until(lambda: "10.0.0.11/24" in shown("addr", "show", "dev", "eth0"), "networkd has an address", 60)
    wait_until(lambda: "10.7.0.0/16 via 10.0.0.2" in shown("route"), "networkd has the routes", 60)
    assert "default via 10.0.0.254" in shown("route")
    wait_until(lambda: "mtu 1200" in shown("link", "show", "dev", "eth0"), "networkd has set the MTU", 60)
    leases = Path(f"/proc/{process.child.pid}/root/run/systemd/netif/leases")
    wait_until(lambda: list(leases.iterdir()), "networkd writes its lease down", 60)
    [lease] = [told(path) for path in leases.iterdir()]
    assert lease["NTP"] == "10.0.0.7"
    assert lease["DOMAIN_SEARCH_LIST"] == "lan.example example"


# --- the bytes ---

def write_capture(path: Path, frames: list[bytes]) -> None:
    data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for frame in frames:
        data += struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame
    path.write_bytes(data)


def test_tshark_finds_nothing_malformed(lab, daemon, tmp_path):
    need("tshark")
    daemon.ok("node", "set", "web1", "--option", "always:225=text:" + "x" * 300, "--option", "43=0104aabbccdd",
              "--option", "captive-portal=https://portal.lan.example/", "--option", "time-offset=-3600",
              "--option", "ip-forwarding=no", "--option", "ipv6-only-preferred=0")
    wire = Wire(lab.client())
    frames = []
    for extra in ({55: bytes(range(1, 255)), 57: struct.pack("!H", 1500)}, {}, {55: bytes([121, 249, 119])},
                  {55: bytes([249]), 60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0"}):
        client = Client(wire, NODE)
        client.extra = extra
        assert client.discover(wait=60)
        frames.append(client.frame)
    wire.close()
    write_capture(tmp_path / "capture.pcap", frames)
    shown = subprocess.run(["tshark", "-r", tmp_path / "capture.pcap", "-V", "-O", "dhcp"], capture_output=True,
                           text=True, check=True, timeout=120).stdout
    assert shown.count("Dynamic Host Configuration Protocol (Offer)") == 4
    assert "Malformed" not in shown and "Expert Info (Error" not in shown, shown
    assert "FQDN: lan.example" in shown and "FQDN: example" in shown
    assert "10.7.0.0/16-10.0.0.2" in shown and "default-10.0.0.254" in shown


def test_what_does_not_fit_is_left_out_and_told_once(lab, daemon):
    daemon.ok("node", "set", "web1", "--option", "225=text:" + "x" * 300)
    wire = Wire(lab.client())
    client = Client(wire, NODE)
    client.extra = {55: bytes([225, 1, 3, 6, 26]), 57: struct.pack("!H", 576)}
    for _ in range(3):
        offer = client.discover(wait=60)
        assert 225 not in offer.options and {1, 3, 6, 26} <= set(offer.options)
    daemon.wait_line("option 225 does not fit into the answer")
    assert len(daemon.lines("does not fit into the answer")) == 1
    client.extra[57] = struct.pack("!H", 1500)
    assert client.discover(wait=60).options[225] == b"x" * 300
    wire.close()


# --- what operators see ---

def test_they_are_shown(daemon):
    assert json.loads(daemon.ok("node", "show", "web1", "--json"))["options"] == ["mtu=1200"]
    group = json.loads(daemon.ok("group", "show", "rack1", "--json"))
    assert group["options"] == ["mtu=1300", "ntp-servers=10.0.0.7"] and group["nodes"] == ["web1"]
    assert "mtu=1200" in daemon.ok("node", "show", "web1")
    assert "ntp-servers=10.0.0.7" in daemon.ok("group", "show", "rack1")
    daemon.ok("node", "set", "web1", "--no-option", "interface-mtu", "--option", "always:42=10.0.0.8,10.0.0.9")
    assert json.loads(daemon.ok("node", "show", "web1", "--json"))["options"] == \
        ["always:ntp-servers=10.0.0.8,10.0.0.9"]
    daemon.kill()
    daemon.start()
    assert "always:ntp-servers=10.0.0.8,10.0.0.9" in daemon.ok("node", "show", "web1")
    daemon.ok("node", "add", "web2", "--mac", OTHER, "--option", "root-path=/srv, and more")
    assert "root-path=/srv, and more" in daemon.ok("node", "show", "web2")


def test_what_is_wrong_is_said(daemon):
    for option, sentence in [
            ("mtu=60", "option 'mtu=60' must be a number from 68 to 65535"),
            ("host-name=x", "option 'host-name=x' is the node's name"),
            ("67=x", "option '67=x' says how a machine boots"),
            ("dhcp-lease-time=60", "is no option known here"),
            ("224=1", "say what it is"),
            ("mtu", "must be NAME=VALUE")]:
        assert sentence in daemon.refused("node", "set", "web1", "--option", option)
        assert sentence in daemon.refused("group", "set", "rack1", "--option", option)
    assert "option 'wpad' is not set here" in daemon.refused("group", "set", "rack1", "--no-option", "wpad")
    assert "there is no group 'none'" in daemon.refused("group", "set", "none", "--option", "mtu=1500")
    assert "there is no group 'none'" in daemon.refused("group", "show", "none")
    assert "say what to change" in daemon.usage("group", "set", "rack1")


def test_a_reload_brings_others(lab, daemon):
    wire = Wire(lab.client())
    client = Client(wire, OTHER)
    client.extra = {55: bytes([26])}
    assert client.discover(wait=60).number(26) == 1400
    daemon.write_config(OPTIONS.replace("mtu = 1400", "mtu = 1500"))
    daemon.reload()
    assert client.discover(wait=60).number(26) == 1500
    message = client.message(DISCOVER)
    message.options[55] = bytes([1])
    assert 26 not in client.ask(message, wait=60).options
    assert client.frame[26:30] == bytes(map(int, SERVER.split(".")))
    wire.close()
