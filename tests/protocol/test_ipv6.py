"""Machines that reach the server over IPv6, by its address and by its link-local one."""

import os
import resource
import socket
from pathlib import Path

import pytest
from daemon import BASE_IQN, need, wait_until
from iscsilab import MIB
from lab.iscsi import INITIATOR, Session, discover
from netlab import SERVER, SUBNET, Client, LabDaemon, Wire, inside

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")

SERVER6 = "2001:db8:1::1"
IPV6_FREEBIND = 78  # linux/in6.h
LINK_LOCAL = "fe80::1"
CLIENT, CLIENT_LINK_LOCAL = "52:54:00:06:00:50", "fe80::5054:ff:fe06:50"
EVERYWHERE = {name: f"0.0.0.0:{port} [::]:{port}" for name, port in
              {"http": 80, "tftp": 69, "iscsi": 3260}.items()}


@pytest.fixture
def loaders(tmp_path) -> Path:
    directory = tmp_path / "loaders"
    directory.mkdir()
    for name in ("undionly.kpxe", "snponly.efi"):
        (directory / name).write_bytes(os.urandom(74213))
    return directory


@pytest.fixture
def lab6(lab):
    """The server and its machines have IPv6 addresses, too, which can be used at once."""
    lab.server.run("ip", "addr", "add", f"{SERVER6}/64", "dev", "br0", "nodad")
    lab.server.run("ip", "addr", "add", "fd00:2::1/64", "dev", "br0", "nodad")
    return lab


@pytest.fixture
def daemon(lab6, loaders):
    return lab6.daemon(SUBNET, loaders=str(loaders), **EVERYWHERE)


@pytest.fixture
def client(lab6, daemon):
    return lab6.client("10.0.0.50/24", "2001:db8:1::50/64", "fd00:2::50/64", mac=CLIENT)


def disk(daemon, **body: object) -> str:
    """A volume; its target."""
    answer = daemon.post("/v1/volumes", name="disk", size=MIB, allow=[INITIATOR], **body)
    assert answer.status == 200, answer.lines
    return f"{BASE_IQN}:disk"


ADDRESSES = [SERVER, f"[{SERVER6}]", f"[{LINK_LOCAL}%25eth0]"]


@pytest.mark.parametrize("host", ADDRESSES)
def test_curl_fetches_a_loader(client, loaders, tmp_path, host):
    need("curl")
    for url in (f"http://{host}/loaders/snponly.efi", f"tftp://{host}//snponly.efi"):
        client.run("curl", "-gsS", "--fail", "-o", tmp_path / "got", url)
        assert (tmp_path / "got").read_bytes() == (loaders / "snponly.efi").read_bytes()


@pytest.mark.parametrize("host", [SERVER, SERVER6, f"{LINK_LOCAL}%eth0"])
def test_tftp_hpa(client, daemon, loaders, tmp_path, host):
    need("tftp")
    client.run("tftp", "-m", "binary", host, "-c", "get", "undionly.kpxe", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == (loaders / "undionly.kpxe").read_bytes()
    client.run("tftp", "-m", "binary", host, "-c", "get", "nothing", tmp_path / "got", check=False)
    peer = {SERVER: "10.0.0.50", SERVER6: "2001:db8:1::50"}.get(host, f"{CLIENT_LINK_LOCAL}%br0")
    told = f"tftp: {peer}: asked for 'nothing': no such file"
    daemon.wait_line(told)


@pytest.mark.parametrize("host", [SERVER6, f"{LINK_LOCAL}%eth0"])
def test_atftp(client, loaders, tmp_path, host):
    need("atftp")
    for options in ([], ["--option", "blksize 1428", "--option", "windowsize 4"]):
        client.run("atftp", *options, "-g", "-r", "undionly.kpxe", "-l", tmp_path / "got", host)
        assert (tmp_path / "got").read_bytes() == (loaders / "undionly.kpxe").read_bytes()


def test_libiscsi(client, daemon, tmp_path):
    need("iscsi-ls")
    target = disk(daemon, allow_any=True)
    for host in (SERVER, f"[{SERVER6}]"):
        assert f"Target:{target} Portal:{host}:3260,1" in client.run("iscsi-ls", f"iscsi://{host}:3260").stdout
        url = f"iscsi://{host}:3260/{target}/0"
        assert "RETURNED LOGICAL BLOCK ADDRESS:2047" in client.run("iscsi-readcapacity16", url).stdout.upper()
    told = "from 2001:db8:1::50"
    daemon.wait_line(told)


def test_qemu(client, daemon, tmp_path):
    need("qemu-img")
    target = disk(daemon, allow_any=True)
    (tmp_path / "data").write_bytes(data := os.urandom(MIB))
    url = f"iscsi://[{SERVER6}]:3260/{target}/0"
    client.run("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", tmp_path / "data", url)
    client.run("qemu-img", "convert", "-f", "raw", "-O", "raw", url, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data


def test_each_initiator_is_told_the_portals_that_it_can_reach(client, daemon):
    target = disk(daemon)
    scope = int(client.run("cat", "/sys/class/net/eth0/ifindex").stdout)
    with inside(client):
        assert discover((SERVER, 3260)) == {target: [f"{SERVER}:3260,1"]}
        assert discover((SERVER6, 3260)) == {target: [f"[{SERVER6}]:3260,1"]}
        assert discover((LINK_LOCAL, 3260, 0, scope)) == {target: [f"[{LINK_LOCAL}]:3260,1"]}


def test_portals_of_their_own(lab6, loaders):
    """Two global ones, one of a link, one of IPv4."""
    daemon = lab6.daemon(SUBNET, loaders=str(loaders), iscsi=(
        f"{SERVER}:3260 [{SERVER6}]:3260 [fd00:2::1]:3261 [{LINK_LOCAL}%br0]:3262 [::1]:3260"))
    client = lab6.client("10.0.0.50/24", "2001:db8:1::50/64", "fd00:2::50/64")
    target = disk(daemon)
    scope = int(client.run("cat", "/sys/class/net/eth0/ifindex").stdout)
    with inside(client):
        assert discover((SERVER, 3260)) == {target: [f"{SERVER}:3260,1"]}
        assert discover((SERVER6, 3260)) == {target: [f"[{SERVER6}]:3260,1", "[fd00:2::1]:3261,1"]}
        assert discover((LINK_LOCAL, 3262, 0, scope)) == {target: [f"[{LINK_LOCAL}]:3262,1"]}


def test_sessions_are_shown_with_their_addresses(client, daemon):
    target = disk(daemon)
    scope = int(client.run("cat", "/sys/class/net/eth0/ifindex").stdout)
    for portal, source, shown in ((SERVER6, "[2001:db8:1::50]:", f"[{SERVER6}]:3260"),
                                  (LINK_LOCAL, f"[{CLIENT_LINK_LOCAL}%br0]:", f"[{LINK_LOCAL}%br0]:3260"),
                                  (SERVER, "10.0.0.50:", f"{SERVER}:3260")):
        with inside(client):
            session = Session((portal, 3260, 0, scope) if ":" in portal else (portal, 3260), target)
        with session.login():
            one, = daemon.get("/v1/sessions").json["sessions"]
            detail = daemon.get(f"/v1/sessions/{one['id']}").json
            assert detail["source"].startswith(source) and detail["portal"] == shown
            assert source.rstrip(":") in daemon.ok("session", "list")
            session.logout()
        wait_until(lambda: not daemon.get("/v1/sessions").json["sessions"], "it to be gone")


def test_logins_are_sent_to_an_ipv6_portal(lab6, loaders):
    daemon = lab6.daemon(SUBNET, loaders=str(loaders), iscsi="[::]:3260\nredirect = disk=[fd00:2::1]:3260")
    client = lab6.client("2001:db8:1::50/64", "fd00:2::50/64")
    target = disk(daemon)
    with inside(client):
        session = Session((SERVER6, 3260), target)
    with session:
        session.send(session.login_pdu({**session.identity(), "AuthMethod": "None"}, 1))
        answer = session.receive()
        assert (answer.header[36], answer.header[37]) == (1, 1)
        assert answer.pairs == [("TargetAddress", "[fd00:2::1]:3260")]


@pytest.mark.parametrize("key, value, said", [
    ("http", "[fe80::1%nosuch0]:80", "names an interface behind the % that this server does not have"),
    ("tftp", "[fe80::1]:69", "must be ADDRESS:PORT, such as 0.0.0.0:3260, [::]:3260 or [fe80::1%eth1]:3260"),
    ("iscsi", "2001:db8::1:3260", "must be ADDRESS:PORT"),
    ("iscsi", "[::]:3260\nredirect = disk=[fe80::2%br0]:3260", "names a link-local address"),
])
def test_wrong_addresses_are_told(lab6, key, value, said):
    daemon = LabDaemon(lab6.work / "daemon", lab6.server, **{**EVERYWHERE, key: value})
    checked = lab6.server.run(daemon.program, "serve", "--check", "--config", daemon.config, check=False)
    assert checked.returncode == 1 and said in checked.stdout + checked.stderr


def test_new_listeners_need_a_restart(daemon, client, tmp_path):
    need("curl")
    daemon.keys["tftp"] = f"[{SERVER6}]:6969"
    daemon.write_config(SUBNET)
    daemon.reload()
    daemon.wait_line("new addresses need a restart")
    client.run("curl", "-gsS", "--fail", "-o", tmp_path / "got", f"tftp://[{SERVER6}]//undionly.kpxe")
    daemon.stop()
    daemon.start()
    client.run("curl", "-gsS", "--fail", "-o", tmp_path / "got", f"tftp://[{SERVER6}]:6969//undionly.kpxe")


def test_an_address_that_the_server_lacks_is_told(lab6):
    daemon = LabDaemon(lab6.work / "daemon", lab6.server, **{**EVERYWHERE, "http": "[2001:db8:1::99]:80"})
    assert "http: this server has no address [2001:db8:1::99]:80" in daemon.fail_to_start()


# --- scripts ---

NODE, NODE_ADDRESS = "52:54:00:06:00:01", "10.0.0.11"
POOL_NODE = "52:54:00:06:00:02"
STRANGER = "52:54:00:06:00:99"
SUBNET6 = f"{SUBNET}network6 = 2001:db8:1::/64\n"


def identifier(mac: str) -> str:
    """The modified EUI-64."""
    b = bytes.fromhex(mac.replace(":", ""))
    b = bytes([b[0] ^ 2]) + b[1:3] + b"\xff\xfe" + b[3:]
    return ":".join(f"{b[i] << 8 | b[i + 1]:x}" for i in range(0, 8, 2))


def computed(mac: str) -> str:
    return f"2001:db8:1:0:{identifier(mac)}"


def add_nodes(daemon):
    for name in ("disk1", "disk2"):
        daemon.ok("volume", "create", name, "--size", "1M")
    daemon.ok("node", "add", "web1", "--mac", NODE, "--address", NODE_ADDRESS, "--volume", "disk1")
    daemon.ok("node", "add", "pool1", "--mac", POOL_NODE, "--volume", "disk2")
    return daemon


@pytest.fixture
def nodes(lab6, loaders):
    """A daemon whose machines may boot over IPv6; where it listens is its own choice."""
    return add_nodes(lab6.daemon(SUBNET6, loaders=str(loaders), **EVERYWHERE))


def machine(lab, mac: str, *more: str):
    """One that has no IPv4 at all."""
    return lab.client(f"{computed(mac)}/64", *more, mac=mac)


def boot_script(client, mac: str, host: str = f"[{SERVER6}]", source: str = "", query: str = "") -> str:
    words = ["--interface", source] if source else []
    return client.run("curl", "-gsS", "-f", "--max-time", "60", "-A", "iPXE/1.0.0+", *words,
                      f"http://{host}/boot.ipxe?mac={mac.replace(':', '-')}{query}").stdout


STRANGE = "does not ask from the address that was given to it"


def test_a_node_has_its_script_alone(lab6, nodes):
    client = machine(lab6, NODE, "2001:db8:1::66/64", f"{computed(POOL_NODE)}/64")
    script = boot_script(client, NODE, source=computed(NODE))
    assert "set hostname web1" in script
    assert f"--replace http://[{SERVER6}]/boot.ipxe?mac=52-54-00-06-00-01 ||" in script
    # whatever the address is: the wire says whose it is
    for address in ("2001:db8:1::66", computed(POOL_NODE)):
        assert "set hostname web1" in boot_script(client, NODE, source=address)
        assert STRANGE in boot_script(client, POOL_NODE, source=address)
    # nor is that of a link-local address, which its own firmware makes
    script = boot_script(client, NODE, host=f"[{LINK_LOCAL}%25eth0]")
    assert "set hostname web1" in script and f"http://[{LINK_LOCAL}]/boot.ipxe" in script
    assert f"script  {computed(NODE)}" in nodes.ok("node", "show", "web1")
    assert "is not known here" in boot_script(client, STRANGER)


def test_the_addresses_of_nodes_are_shown(lab6, loaders):
    other = ("[subnet other]\ninterface = br0\nnetwork = 10.1.0.0/24\nnetwork6 = fd00:2::/64\nmode = server\n"
             "[subnet proxied]\ninterface = br0\nnetwork = 10.2.0.0/24\nnetwork6 = fd00:3::/64\nmode = proxy\n")
    lab6.server.run("ip", "addr", "add", "10.1.0.1/24", "dev", "br0")
    lab6.server.run("ip", "addr", "add", "10.2.0.1/24", "dev", "br0")
    daemon = add_nodes(lab6.daemon(SUBNET6 + other, loaders=str(loaders), **EVERYWHERE))
    assert daemon.get("/v1/nodes/web1").json["addresses6"] == ["2001:db8:1:0:5054:ff:fe06:1"]
    pool1 = ["2001:db8:1:0:5054:ff:fe06:2", "fd00:2::5054:ff:fe06:2"]
    assert daemon.get("/v1/nodes/pool1").json["addresses6"] == pool1
    assert "2001:db8:1:0:5054:ff:fe06:1" in daemon.ok("node", "show", "web1")


def test_secrets_go_to_a_node_that_boots_at_its_own_address(lab6, nodes):
    nodes.ok("node", "set", "web1", "--chap", "mutual")
    client = machine(lab6, NODE, "2001:db8:1::66/64")
    assert "password" not in boot_script(client, NODE, source=computed(NODE))  # it does not boot
    wire = Wire(client)
    lab6.stack.callback(wire.close)
    firmware = Client(wire, NODE)
    firmware.extra = {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0"}
    assert firmware.lease() == NODE_ADDRESS
    script = boot_script(client, NODE, source=computed(NODE))
    assert "set username web1" in script and "set reverse-password" in script
    other = lab6.client(f"{computed(POOL_NODE)}/64", mac=POOL_NODE)
    assert "password" not in boot_script(other, NODE)
    up = ["curl", "-gsS", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST"]
    url = f"http://[{SERVER6}]/up?mac={NODE.replace(':', '-')}"
    assert other.run(*up, url).stdout == "403"
    assert client.run(*up, "--interface", computed(NODE), url).stdout == "200"
    assert "password" not in boot_script(client, NODE, source=computed(NODE))


@pytest.mark.parametrize("host, prefix", [(f"[{SERVER6}]", "2001:db8:1:"), (f"[{LINK_LOCAL}%25eth0]", "fe80:")])
def test_who_takes_a_nodes_address_gets_no_secrets(lab6, nodes, host, prefix):
    nodes.ok("node", "set", "web1", "--chap", "one-way")
    wire = Wire(lab6.client(mac=NODE))
    lab6.stack.callback(wire.close)
    firmware = Client(wire, NODE)
    firmware.extra = {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0"}
    assert firmware.lease() == NODE_ADDRESS  # it boots
    thief = lab6.client(mac=STRANGER)
    thief.run("ip", "-6", "addr", "flush", "dev", "eth0")
    thief.run("ip", "addr", "add", f"{prefix}{'0' if prefix[0] == '2' else ''}:{identifier(NODE)}/64",
              "dev", "eth0", "nodad")
    assert STRANGE in boot_script(thief, NODE, host=host)


def test_behind_a_router_a_node_is_known_by_its_address(lab6, nodes):
    """Nobody there answers neighbour discovery for it."""
    router, client = lab6.client("fd00:2::77/64"), lab6.client()
    router.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
    router.run("ip", "link", "add", "far", "type", "veth", "peer", "name", "eth1", "netns", client.name)
    router.run("ip", "link", "set", "far", "up")
    client.run("ip", "link", "set", "eth1", "address", NODE, "up")
    router.run("ip", "addr", "add", "fe80::77/64", "dev", "far", "nodad")
    for mac in (NODE, POOL_NODE):
        client.run("ip", "addr", "add", f"{computed(mac)}/128", "dev", "eth1", "nodad")
        router.run("ip", "-6", "route", "add", f"{computed(mac)}/128", "dev", "far")
        lab6.server.run("ip", "-6", "route", "add", f"{computed(mac)}/128", "via", "fd00:2::77")
    client.run("ip", "-6", "route", "add", "default", "via", "fe80::77", "dev", "eth1")
    router.run("ip", "-6", "route", "add", f"{SERVER6}/128", "via", "fd00:2::1")
    assert "set hostname web1" in boot_script(client, NODE, source=computed(NODE))
    assert STRANGE in boot_script(client, NODE, source=computed(POOL_NODE))


def test_a_link_local_address_is_nobodys_without_network6(lab6, loaders):
    add_nodes(lab6.daemon(SUBNET, loaders=str(loaders), **EVERYWHERE))
    assert STRANGE in boot_script(lab6.client(mac=NODE), NODE, host=f"[{LINK_LOCAL}%25eth0]")


def test_a_foreign_address_is_nobodys(lab6, nodes):
    client = machine(lab6, NODE, f"fd00:2::{identifier(NODE)}/64")
    assert STRANGE in boot_script(client, NODE, host="[fd00:2::1]")


def test_a_node_with_an_address_hooks_its_disk_over_ipv4(lab6, nodes):
    script = boot_script(machine(lab6, NODE), NODE)
    assert f"iseq ${{netX/mac}} {NODE} && set netX/netmask 255.255.255.0 && " \
           f"set netX/gateway 10.0.0.254 && set netX/ip {NODE_ADDRESS} ||" in script
    assert f"iscsi:{SERVER}::3260:0:{BASE_IQN}:disk1" in script


def test_a_node_sets_no_address_of_another_network_than_it_is_in(lab6, loaders):
    """Its own is behind another card of the server."""
    lab6.server.run("ip", "link", "add", "other0", "type", "bridge")
    lab6.server.run("ip", "addr", "add", "10.5.0.1/24", "dev", "other0")
    lab6.server.run("ip", "link", "set", "other0", "up")
    other = "[subnet other]\ninterface = other0\nnetwork = 10.5.0.0/24\n"
    daemon = add_nodes(lab6.daemon(SUBNET6 + other, loaders=str(loaders), **EVERYWHERE))
    daemon.ok("node", "set", "web1", "--address", "10.5.0.11")
    client = machine(lab6, NODE)
    for host in (f"[{SERVER6}]", f"[{LINK_LOCAL}%25eth0]"):
        asking = boot_script(client, NODE, host=host)
        assert "&ip=${netX/ip}" in asking and "10.5.0.11" not in asking
    assert f"iscsi:{SERVER}::3260:0:{BASE_IQN}:disk1" in boot_script(client, NODE, query="&ip=10.0.0.100")


def test_a_node_without_one_says_whether_it_has_got_one(lab6, nodes):
    client = machine(lab6, POOL_NODE)
    asking = boot_script(client, POOL_NODE)
    assert "boot.ipxe?mac=52-54-00-06-00-02&ip=${netX/ip}" in asking and "iscsi:" not in asking
    leased = boot_script(client, POOL_NODE, query="&ip=10.0.0.100")
    assert f"iscsi:{SERVER}::3260:0:{BASE_IQN}:disk2" in leased and "set netX/netmask" not in leased
    for nothing in ("", "0.0.0.0", "x", "10.0.0.100%20"):
        alone = boot_script(client, POOL_NODE, query=f"&ip={nothing}")
        assert f"iscsi:[{SERVER6}]::3260:0:{BASE_IQN}:disk2" in alone


def test_where_dhcp_is_to_be_the_origin_it_is_asked_first(lab6, nodes):
    nodes.ok("node", "set", "web1", "--ibft-origin", "dhcp")
    client = machine(lab6, NODE)
    assert "&ip=${netX/ip}" in boot_script(client, NODE)
    assert "clear netX/ip" in boot_script(client, NODE, query=f"&ip={NODE_ADDRESS}")
    assert f"set netX/ip {NODE_ADDRESS}" in boot_script(client, NODE, query="&ip=")


def test_a_portal_on_a_storage_network_is_reached_over_ipv4(lab6, loaders):
    lab6.server.run("ip", "addr", "add", "10.9.0.1/24", "dev", "br0")
    keys = {**EVERYWHERE, "iscsi": "127.0.0.1:3260 10.9.0.1:3261"}
    add_nodes(lab6.daemon(SUBNET6, loaders=str(loaders), **keys))
    script = boot_script(machine(lab6, NODE), NODE)
    assert f"set netX/ip {NODE_ADDRESS}" in script and f"iscsi:10.9.0.1::3261:0:{BASE_IQN}:disk1" in script


def test_without_a_portal_for_ipv4_the_disk_is_there_over_ipv6(lab6, loaders):
    add_nodes(lab6.daemon(SUBNET6, loaders=str(loaders), **{**EVERYWHERE, "iscsi": "[2001:db8:1::1]:3260"}))
    client = machine(lab6, NODE)
    assert f"iscsi:[{SERVER6}]::3260:0:{BASE_IQN}:disk1" in boot_script(client, NODE)


def test_beside_another_server_the_wire_says_whose_an_address_is(lab6, loaders):
    add_nodes(lab6.daemon(SUBNET6 + "mode = proxy\n", loaders=str(loaders), **EVERYWHERE))
    client = lab6.client("2001:db8:1::70/64", f"{computed(POOL_NODE)}/64", mac=NODE)
    assert "set hostname web1" in boot_script(client, NODE, source="2001:db8:1::70", query="&ip=")
    assert STRANGE in boot_script(client, POOL_NODE, source=computed(POOL_NODE))


@pytest.mark.parametrize("host", [f"[{SERVER6}]", f"[{LINK_LOCAL}%25eth0]"])
@pytest.mark.parametrize("scheme", ["http", "tftp"])
def test_the_loader_is_a_stage(lab6, nodes, tmp_path, scheme, host):
    path = "/loaders/snponly.efi" if scheme == "http" else "//snponly.efi"
    client = machine(lab6, NODE)
    client.run("curl", "-gsS", "-f", "-o", tmp_path / "got", f"{scheme}://{host}{path}")
    wait_until(lambda: "loader  snponly.efi" in nodes.ok("node", "show", "web1"), "the loader to be seen")
    assert "loader" not in nodes.ok("node", "show", "pool1")


def test_a_machine_is_registered_over_ipv6(lab6, loaders):
    daemon = lab6.daemon(SUBNET6 + "unknown = register\n", loaders=str(loaders), **EVERYWHERE)
    client = machine(lab6, STRANGER)
    assert "&uuid=${uuid}&" in boot_script(client, STRANGER)
    said = "&uuid=4C4C4544-0058-4B10-8032-525400060099&arch=x86_64&firmware=efi"
    assert "waits to become a node" in boot_script(client, STRANGER, query=said)
    assert STRANGER in daemon.ok("node", "list", "--pending")
    daemon.ok("node", "adopt", STRANGER, "new1")
    assert "this machine is new1 now" in boot_script(client, STRANGER, query=said)
    assert "new1: has nothing to boot" in boot_script(client, STRANGER)


def test_the_firewall_lets_them_in(lab6, nodes, tmp_path):
    need("nft")
    client = machine(lab6, NODE)
    outside = lab6.client("fd00:2::70/64")
    rules = tmp_path / "rules.nft"
    rules.write_text(nodes.ok("export", "firewall"))
    lab6.server.run("nft", "-f", rules)
    assert 'iifname "br0" ip6 saddr 2001:db8:1::/64 accept' in rules.read_text()
    assert "set hostname web1" in boot_script(client, NODE)
    assert "set hostname web1" in boot_script(client, NODE, host=f"[{LINK_LOCAL}%25eth0]")
    assert outside.run("curl", "-gsS", "--max-time", "2", "http://[fd00:2::1]/", check=False).returncode == 28


def test_one_host_of_many_addresses_cannot_take_all_connections(lab6, daemon, client):
    """It has as many addresses as it likes; who has asked for nothing makes room, for its own network, too."""
    hog = lab6.client("2001:db8:1::66/64")
    # they are all its own, and the server knows the way without asking for each of their MACs
    hog.run("ip", "-6", "route", "add", "local", "2001:db8:1:0:aaaa::/80", "dev", "lo")
    lab6.server.run("ip", "-6", "route", "add", "2001:db8:1:0:aaaa::/80", "via", "2001:db8:1::66")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(6000, limits[0]), max(6000, limits[1])))
    held = []
    try:
        with inside(hog):
            for i in range(4200):
                s = socket.socket(socket.AF_INET6)
                held.append(s)
                s.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
                s.bind((f"2001:db8:1:0:aaaa::{i // 16 + 1:x}", 0))
                s.settimeout(10)
                s.connect((SERVER6, 80))
        for host in (SERVER, f"[{SERVER6}]"):
            client.run("curl", "-sSg", "--fail", "--max-time", "10", f"http://{host}/boot.ipxe?mac={CLIENT}")
    finally:
        for s in held:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
