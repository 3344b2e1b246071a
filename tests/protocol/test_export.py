"""Configuration for other DHCP servers: they take it, and hand out what we would."""

import json
import os
import subprocess

import pytest
from daemon import wait_until
from netlab import ACK, SERVER, SUBNET, Client, LabDaemon, Wire
from test_dhcp_options import need, script, told

NODE = "52:54:00:00:00:01"
NODE_B = "52:54:00:00:00:11"
MEMBER = "52:54:00:00:00:02"
POOLED = "52:54:00:00:00:03"
STRANGER = "52:54:00:00:00:63"

OFF = SUBNET + """mode = off
mtu = 1400
ntp = 10.0.0.5 10.0.0.6
domain-search = lan.example, example
routes = 10.7.0.0/16:10.0.0.2 default:10.0.0.254
option = always:224=hex:0a0b0c
option = default-ip-ttl=64
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")


@pytest.fixture
def daemon(lab):
    daemon = lab.daemon(OFF)
    daemon.ok("group", "add", "rack1")
    daemon.ok("group", "set", "rack1", "--option", "ntp-servers=10.0.0.7", "--option", "mtu=1300")
    daemon.ok("node", "add", "web1", "--mac", NODE, NODE_B, "--address", "10.0.0.11", "--group", "rack1")
    daemon.ok("node", "set", "web1", "--option", "mtu=1200")
    daemon.ok("node", "add", "web2", "--mac", MEMBER, "--address", "10.0.0.12", "--group", "rack1")
    daemon.ok("node", "add", "web3", "--mac", POOLED)
    return daemon


def start_dnsmasq(lab, daemon, work) -> None:
    config = work / "exported.conf"
    config.write_text(daemon.ok("export", "dhcp", "--format", "dnsmasq"))
    tested = subprocess.run(["dnsmasq", "--test", "-C", config], capture_output=True, text=True, timeout=60)
    assert tested.returncode == 0, tested.stderr
    process = lab.server.start("dnsmasq", "dnsmasq", "-d", "--port=0", "-C", config, "--interface=br0",
                               "--bind-interfaces", f"--dhcp-leasefile={work}/leases",
                               f"--pid-file={work}/dnsmasq.pid")
    wait_until(lambda: "DHCP" in process.output(), "dnsmasq serves", 60)


def start_kea(lab, daemon, work) -> None:
    """Kea takes what we have exported as it is; that its leases are kept nowhere is of this test."""
    exported, config = work / "exported.json", work / "kea.json"
    exported.write_text(daemon.ok("export", "dhcp", "--format", "kea"))
    kea = ["env", f"KEA_PIDFILE_DIR={work}", f"KEA_LOCKFILE_DIR={work}", "kea-dhcp4"]
    tested = lab.server.run(*kea, "-t", exported, check=False, timeout=60)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    whole = json.loads(exported.read_text())
    whole["Dhcp4"]["lease-database"] = {"type": "memfile", "persist": False}
    config.write_text(json.dumps(whole))
    process = lab.server.start("kea", *kea, "-c", config)
    wait_until(lambda: "DHCP4_STARTED" in process.output(), "Kea serves", 60)


def start_dhcpd(lab, daemon, work) -> None:
    config, leases = work / "dhcpd.conf", work / "dhcpd.leases"
    config.write_text(daemon.ok("export", "dhcp", "--format", "isc"))
    leases.touch()
    tested = lab.server.run("dhcpd", "-t", "-cf", config, "-lf", leases, check=False, timeout=60)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    process = lab.server.start("dhcpd", "dhcpd", "-d", "-f", "-cf", config, "-lf", leases,
                               "-pf", work / "dhcpd.pid", "br0")
    wait_until(lambda: "Server starting service" in process.output(), "dhcpd serves", 60)


SERVERS = {"dnsmasq": ("dnsmasq", start_dnsmasq), "kea": ("kea-dhcp4", start_kea), "isc": ("dhcpd", start_dhcpd)}


@pytest.fixture(params=SERVERS)
def other(request, lab, daemon, tmp_path) -> str:
    """It serves with what we have exported."""
    program, start = SERVERS[request.param]
    need(program)
    start(lab, daemon, tmp_path)
    return request.param


def test_nodes_get_the_same_there(lab, other):
    wire = Wire(lab.client())
    wanted = {55: bytes([1, 3, 6, 12, 15, 23, 26, 42, 119, 121])}
    expected = {
        NODE: ("10.0.0.11", b"web1", 1200, "10.0.0.7"),
        MEMBER: ("10.0.0.12", b"web2", 1300, "10.0.0.7"),
        POOLED: (None, b"web3", 1400, "10.0.0.5"),
        STRANGER: (None, None, 1400, "10.0.0.5"),
    }
    for mac, (address, name, mtu, ntp) in expected.items():
        client = Client(wire, mac)
        client.extra = wanted
        offer = client.discover(wait=60)
        ack = client.select(offer.yiaddr, server=offer.address(54), wait=60)
        assert ack.kind == ACK and ack.yiaddr == (address or ack.yiaddr)
        assert address or 100 <= int(ack.yiaddr.split(".")[3]) <= 199
        assert ack.options.get(12) == name
        assert ack.number(26) == mtu
        assert ack.options[42][:4] == bytes(map(int, ntp.split(".")))
        assert ack.address(3) == "10.0.0.254" and ack.address(6) == "10.0.0.53"
        assert ack.options[15] == b"lan.example" and ack.options[23] == b"\x40"
        assert ack.options[121] == bytes([16, 10, 7, 10, 0, 0, 2, 0, 10, 0, 0, 254])
        assert ack.options[119].startswith(b"\x03lan\x07example\x00")
        assert ack.options[224] == b"\x0a\x0b\x0c"
    second = Client(wire, NODE_B)
    offer = second.discover(wait=60)
    assert offer.options[12] == b"web1"
    wire.close()


def boot_file(offer) -> bytes:
    """A server puts it into option 67 for those who ask for that, else into its field."""
    return offer.options.get(67, offer.file).rstrip(b"\0")


def test_firmware_and_ipxe_get_their_files_there(lab, other):
    wire = Wire(lab.client())
    client = Client(wire, NODE)
    pxe = {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0", 97: b"\0" + b"u" * 16,
           55: bytes([1, 3, 43, 60, 66, 67])}
    client.extra = pxe
    offer = client.discover(wait=60)
    assert boot_file(offer) == b"undionly.kpxe" and offer.siaddr == "10.0.0.1" and offer.yiaddr == "10.0.0.11"
    client.extra = {**pxe, 60: b"PXEClient:Arch:00007:UNDI:003016", 93: b"\0\7"}
    assert boot_file(client.discover(wait=60)) == b"snponly.efi"
    for says_so in ({77: b"iPXE"}, {175: b"\x13\x01\x01"}):
        client.extra = {**pxe, 55: bytes([1, 3, 67, 175]), **says_so}
        offer = client.discover(wait=60)
        assert boot_file(offer) == b"http://10.0.0.1/boot.ipxe?mac=${netX/mac:hexhyp}"
        assert b"\xb0\x01\x01" in offer.options[175]
    if other != "dnsmasq":
        client.extra = {60: b"HTTPClient:Arch:00016:UNDI:003001", 93: b"\0\x10", 55: bytes([1, 3, 60, 67])}
        offer = client.discover(wait=60)
        assert boot_file(offer) == b"http://10.0.0.1/loaders/snponly.efi" and offer.options[60] == b"HTTPClient"
    wire.close()


def test_dhclient_through_it(lab, other, tmp_path):
    need("dhclient")
    client, path, config = lab.client(mac=NODE), script(tmp_path), tmp_path / "dhclient.conf"
    config.write_text("request subnet-mask, routers, interface-mtu, ntp-servers, domain-search, host-name;\n"
                      "initial-interval 1; timeout 60;\n")
    client.run("dhclient", "-1", "-cf", config, "-lf", tmp_path / "client-leases", "-pf", tmp_path / "pid",
               "-sf", path, "eth0", timeout=120)
    bound = told(tmp_path / "script.BOUND")
    assert bound["new_ip_address"] == "10.0.0.11" and bound["new_host_name"] == "web1"
    assert bound["new_interface_mtu"] == "1200" and bound["new_ntp_servers"] == "10.0.0.7"
    assert bound["new_domain_search"] in ("lan.example. example.", "lan.example example")


NETWORKD = "/lib/systemd/systemd-networkd"
NETWORKD_START = """set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp /run/systemd/network
chown -R systemd-network: /run/systemd/netif
cp {config} /run/systemd/network/50-nodisk-br0.network
mount -o remount,ro /sys
exec {networkd}
"""


def test_networkd(lab, daemon, tmp_path):
    """What it can do; its comments say what it cannot."""
    if not os.path.exists(NETWORKD):
        pytest.skip("systemd-networkd is not installed")
    text = daemon.ok("export", "dhcp", "--format", "networkd")
    assert "# web1: another MAC has 10.0.0.11 already; 52:54:00:00:00:11 gets one of the pool" in text
    assert "# web1: its own options and its group's cannot be told" in text
    config = tmp_path / "50-nodisk-br0.network"
    config.write_text(text)
    lab.server.run("ip", "addr", "flush", "dev", "br0", "scope", "global")  # it is networkd's to set
    process = lab.server.start("networkd", "sh", "-c", NETWORKD_START.format(config=config, networkd=NETWORKD))
    wire = Wire(lab.client())
    client = Client(wire, NODE)
    wait_until(lambda: client.discover(wait=1), "networkd serves", 60)
    for mac, expected in ((NODE, "10.0.0.11"), (MEMBER, "10.0.0.12"), (POOLED, None), (NODE_B, None)):
        client = Client(wire, mac)
        client.extra = {93: b"\0\0", 60: b"PXEClient:Arch:00000:UNDI:002001"}
        offer = client.discover(wait=60)
        ack = client.select(offer.yiaddr, server=offer.address(54), wait=60)
        assert ack.kind == ACK and ack.yiaddr == offer.yiaddr
        assert ack.yiaddr == expected or not expected and 100 <= int(ack.yiaddr.split(".")[3]) <= 199
        assert ack.address(3) == "10.0.0.254" and ack.address(6) == "10.0.0.53" and 101 not in ack.options
        assert ack.options[15] == b"lan.example" and ack.number(26) == 1400 and ack.options[23] == b"\x40"
        assert ack.options[42] == bytes([10, 0, 0, 5, 10, 0, 0, 6])
        assert ack.options[121] == bytes([16, 10, 7, 10, 0, 0, 2, 0, 10, 0, 0, 254])
        assert ack.options[119].startswith(b"\x03lan\x07example\x00") and ack.options[224] == b"\x0a\x0b\x0c"
        assert ack.number(51) == 3600 and ack.siaddr == SERVER and boot_file(ack) == b"undionly.kpxe"
        script = b"ifopen net0 && chain http://10.0.0.1/boot.ipxe?mac=${net0/mac:hexhyp} || autoboot"
        assert ack.options[175] == b"\xb0\x01\x01" + bytes([81, len(script)]) + script
    wire.close()
    words = ("Unknown", "Failed to parse", "Invalid", "ignoring")
    assert not [line for line in process.output().splitlines() if any(word in line for word in words)]


def test_what_cannot_be_exported_is_said(daemon):
    assert "there is no format 'nonsense'" in daemon.refused("export", "dhcp", "--format", "nonsense")
    assert "say for which server" in daemon.usage("export", "dhcp")


class FirewallDaemon(LabDaemon):
    """iSCSI is where machines reach it."""

    def write_config(self, more: str = "") -> None:
        super().write_config(more)
        text = self.config.read_text()
        self.config.write_text(text.replace("listen = 127.0.0.1:0", f"listen = {SERVER}:3260"))


def curl(machine, url: str, seconds: int = 60) -> int:
    """How it ends; 28 if nobody answers."""
    return machine.run("curl", "-s", "--connect-timeout", seconds, "--max-time", "60", "-o", machine.work / "got", url,
                       check=False, timeout=120).returncode


def dropped(lab) -> int:
    """How many packets the rules have."""
    rules = lab.server.run("nft", "list", "chain", "inet", "nodisk", "ours").stdout
    return int(rules.split("counter packets ")[1].split()[0])


@pytest.mark.parametrize("mode", ["", "mode = proxy\n", "mode = off\n"])
def test_the_firewall_lets_nodes_in_and_nobody_else(lab, tmp_path, mode):
    need("nft")
    lab.server.run("ip", "addr", "add", "192.168.7.1/24", "dev", "br0")
    node, stranger = lab.client("10.0.0.11/24", mac=NODE), lab.client("192.168.7.2/24")
    stranger.run("ip", "route", "add", "10.0.0.0/24", "via", "192.168.7.1")
    daemon = lab.stack.enter_context(FirewallDaemon(tmp_path / "daemon", lab.server, SUBNET + mode))
    daemon.ok("volume", "create", "disk1", "--size", "1M", "--allow", "any")
    script_url, loader = f"http://{SERVER}/boot.ipxe?mac=52-54-00-00-00-01", f"tftp://{SERVER}/undionly.kpxe"
    assert curl(stranger, script_url) == 0
    rules = tmp_path / "rules.nft"
    rules.write_text(daemon.ok("export", "firewall"))
    lab.server.run("nft", "-c", "-f", rules)
    for _ in range(2):  # they take the place of those before
        lab.server.run("nft", "-f", rules)
    assert curl(node, script_url) == curl(node, loader) == 0 and dropped(lab) == 0
    assert "disk1" in node.run("iscsi-ls", f"iscsi://{SERVER}:3260/", timeout=120).stdout
    assert curl(lab.server, script_url) == 0
    assert curl(stranger, script_url, 3) == 28
    after_http = dropped(lab)
    assert after_http > 0
    assert curl(stranger, f"http://{SERVER}:3260/", 3) == 28 and dropped(lab) > after_http
    assert curl(stranger, f"http://{SERVER}:81/") == 7  # refused by the system, as before
    assert ("dport 67" in rules.read_text()) == ("off" not in mode)
    assert ("dport 4011" in rules.read_text()) == ("proxy" in mode)
    if "off" not in mode:
        wire = Wire(node)
        client = Client(wire, NODE)
        client.extra = {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0", 97: b"\0" + b"u" * 16}
        assert client.discover(wait=60)
        wire.close()


def test_without_subnets_nobody_is_kept_out(lab):
    daemon = lab.daemon("")
    assert "no subnet is configured" in daemon.refused("export", "firewall")
