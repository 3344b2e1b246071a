"""Beside somebody else's DHCP server: that gives out the addresses, we say what to boot."""

import os
import shutil
import struct
import time

import pytest
from daemon import wait_until
from netlab import ACK, DISCOVER, INFORM, OFFER, REQUEST, SERVER, SUBNET, Client, Message, Wire, inside, \
    mac_bytes

NODE, STRANGER = "52:54:00:20:00:01", "52:54:00:20:00:99"
OTHER = "10.0.0.2"  # the server of the addresses
PROXY = SUBNET + "mode = proxy\n"

BIOS = {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0", 97: b"\0" + b"u" * 16}
UEFI = {60: b"PXEClient:Arch:00007:UNDI:003016", 93: b"\0\7", 97: b"\0" + b"u" * 16}
HTTP = {60: b"HTTPClient:Arch:00016:UNDI:003001", 93: b"\0\x10"}
IPXE = {60: b"PXEClient:Arch:00000:UNDI:002001", 93: b"\0\0", 77: b"iPXE", 175: b"\x13\1\1"}
PLAIN = {60: b"udhcp 1.35.0"}

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")


@pytest.fixture
def daemon(lab):
    return lab.daemon(PROXY)


def start_dnsmasq(machine, work) -> None:
    machine.start("dnsmasq", "dnsmasq", "-d", "--port=0", "--no-resolv", "--conf-file=/dev/null", "--no-ping",
                  "--interface=eth0", "--bind-interfaces", "--user=root", "--dhcp-range=10.0.0.200,10.0.0.220,1h",
                  f"--dhcp-leasefile={work}/leases", f"--pid-file={work}/dnsmasq.pid")


def start_kea(machine, work) -> None:
    config = work / "kea.json"
    config.write_text("""{"Dhcp4": {
        "interfaces-config": {"interfaces": ["eth0"]}, "valid-lifetime": 3600,
        "lease-database": {"type": "memfile", "persist": false},
        "subnet4": [{"subnet": "10.0.0.0/24", "pools": [{"pool": "10.0.0.200 - 10.0.0.220"}]}]}}""")
    machine.start("kea", "env", f"KEA_PIDFILE_DIR={work}", f"KEA_LOCKFILE_DIR={work}", "kea-dhcp4", "-c", config)


SERVERS = {"dnsmasq": ("dnsmasq", start_dnsmasq), "kea": ("kea-dhcp4", start_kea)}


def start_other(lab, name: str = "dnsmasq") -> None:
    """Another DHCP server, on a machine of its own."""
    program, start = SERVERS[name]
    if not shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin"):
        pytest.skip(f"{program} is not installed")
    machine = lab.client(f"{OTHER}/24")
    start(machine, machine.work)
    probe = Wire(lab.client())
    wait_until(lambda: offers_once(probe, "52:54:00:20:00:55", PLAIN, 1, 2), f"{name} to answer", 60)
    probe.close()


@pytest.fixture
def wire(lab, daemon):
    wire = Wire(lab.client())
    yield wire
    wire.close()


def offers_once(wire: Wire, mac: str, extra: dict[int, bytes], wanted: int, seconds: float) -> list[Message]:
    """The answers to one DISCOVER, until there are as many as are wanted."""
    message = Message(DISCOVER, mac)
    message.options.update(extra)
    wire.xid += 1
    message.xid = wire.xid
    wire.send_udp(mac, message.encode())
    found: list[Message] = []
    deadline = time.monotonic() + seconds
    while len(found) < wanted and (left := deadline - time.monotonic()) > 0:
        answer = wire.answer(message.xid, left)
        if answer:
            found.append(answer[0])
    return found


def offers(wire: Wire, mac: str, extra: dict[int, bytes], wanted: int) -> list[Message]:
    """The same, asked again as every client does: the wire may lose something."""
    for _ in range(6):
        found = offers_once(wire, mac, extra, wanted, 10)
        if len(found) == wanted:
            break
    return found


def ask_boot_server(wire: Wire, mac: str, address: str, extra: dict[int, bytes], kind: int = REQUEST,
                    port: int = 4011, seconds: float = 60) -> tuple[Message, int] | None:
    """A question to port 4011 as from `address`; the answer and the port that it came from."""
    message = Message(kind, mac)
    message.options.update(extra)
    message.ciaddr = address
    wire.xid += 1
    message.xid = wire.xid
    wire.addresses[bytes(int(part) for part in address.split("."))] = mac
    wire.send_udp(mac, message.encode(), source=address, target=SERVER, ports=(port, 4011))
    for frame in wire.frames(seconds):
        if frame[12:14] != b"\x08\x00" or frame[23] != 17 or frame[36:38] != struct.pack("!H", port):
            continue
        answer = Message.decode(frame[42:])
        if answer.xid == message.xid:
            return answer, int.from_bytes(frame[34:36], "big")
    return None


def stages(daemon, name: str = "web1") -> list[str]:
    boot = next(node["boot"] for node in daemon.get("/v1/status").json["nodes"] if node["name"] == name)
    return [stage["stage"] for stage in boot["stages"]] if boot else []


@pytest.mark.parametrize("name", SERVERS)
def test_a_boot_client_gets_an_address_there_and_a_boot_file_here(lab, daemon, wire, name):
    start_other(lab, name)
    for extra, file, word in ((BIOS, b"undionly.kpxe", b"PXEClient"), (UEFI, b"snponly.efi", b"PXEClient"),
                              (HTTP, b"http://10.0.0.1/loaders/snponly.efi", b"HTTPClient"),
                              (IPXE, b"http://10.0.0.1/boot.ipxe?mac=52-54-00-20-00-01", b"PXEClient")):
        both = offers(wire, NODE, extra, 2)
        assert len(both) == 2
        (ours,) = [offer for offer in both if offer.yiaddr == "0.0.0.0"]
        (theirs,) = [offer for offer in both if offer.yiaddr != "0.0.0.0"]
        assert theirs.address(54) == OTHER and theirs.yiaddr.startswith("10.0.0.2")
        assert ours.kind == OFFER and ours.address(54) == ours.siaddr == SERVER
        assert ours.file == file and ours.options[67].rstrip(b"\0") == file and ours.options[60] == word
        assert ours.options.get(97) == extra.get(97)
        assert not ours.options.keys() & {1, 3, 6, 12, 15, 51, 58, 59}
        machine = Client(wire, NODE)
        machine.extra = dict(extra)
        assert machine.select(theirs.yiaddr, OTHER).address(54) == OTHER  # and nobody says no
    odd = daemon.get("/v1/status").json["counters"]["dhcp"]["odd"]
    assert not any(odd.values()), odd
    assert json_leases(daemon) == []


def json_leases(daemon) -> list:
    answer = daemon.get("/v1/leases").json
    return answer["leases"]


def wire_of(lab, bridge: str) -> Wire:
    """Of a machine on another bridge of the server."""
    machine = lab.client()
    name = f"x{bridge}"
    lab.server.run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth1", "netns", machine.name)
    lab.server.run("ip", "link", "set", name, "master", bridge, "up")
    machine.run("ip", "link", "set", "eth1", "up")
    wire = Wire(machine, "eth1")
    lab.stack.callback(wire.close)
    return wire


def test_each_subnet_has_its_mode(lab):
    """One is served, in one we are the proxy, one is none of our business: at the same time."""
    subnets = PROXY
    for number, mode in ((1, "server"), (2, "off")):
        lab.server.add_bridge(f"10.{number}.0.1/24", name=f"br{number}")
        subnets += (SUBNET.replace("10.0.0.", f"10.{number}.0.").replace("lab", f"lab{number}")
                    .replace("br0", f"br{number}") + f"mode = {mode}\n")
    daemon = lab.daemon(subnets, http="0.0.0.0:80", tftp="0.0.0.0:69")
    served, off, proxied = wire_of(lab, "br1"), wire_of(lab, "br2"), Wire(lab.client())
    lab.stack.callback(proxied.close)

    (offer,) = offers(served, NODE, BIOS, 1)
    assert offer.address(54) == "10.1.0.1" and offer.yiaddr.startswith("10.1.0.") and offer.siaddr == "10.1.0.1"
    assert offer.file == b"undionly.kpxe"
    (offer,) = offers(proxied, NODE, BIOS, 1)
    assert offer.address(54) == SERVER and offer.yiaddr == "0.0.0.0" and offer.file == b"undionly.kpxe"
    assert offers_once(off, NODE, BIOS, 1, 3) == []
    assert offers_once(proxied, STRANGER, PLAIN, 1, 2) == []
    assert len(json_leases(daemon)) == 1


def test_the_same_is_told_at_port_4011(daemon, wire):
    for extra, file in ((UEFI, b"snponly.efi"), (BIOS, b"undionly.kpxe"),
                        (IPXE, b"http://10.0.0.1/boot.ipxe?mac=52-54-00-20-00-01")):
        for kind, port in ((REQUEST, 4011), (INFORM, 4011), (REQUEST, 68)):
            answer, source = ask_boot_server(wire, NODE, "10.0.0.205", extra, kind, port)
            assert answer.kind == ACK and source == 4011
            assert answer.file == file and answer.siaddr == SERVER and answer.options[60] == b"PXEClient"
            assert answer.ciaddr == "10.0.0.205" and answer.yiaddr == "0.0.0.0" and 51 not in answer.options
            assert (43 in answer.options) == (extra is not IPXE)


def test_nobody_else_is_disturbed(lab, daemon, wire):
    """A machine that does not boot hears one server, whatever it asks."""
    start_other(lab)
    (only,) = offers_once(wire, STRANGER, PLAIN, 2, 3)
    assert only.address(54) == OTHER
    stranger = Client(wire, STRANGER)
    ack = stranger.select(only.yiaddr, OTHER)
    assert ack.kind == ACK and ack.address(54) == OTHER
    assert stranger.rebind(only.yiaddr).address(54) == OTHER
    wrong = stranger.init_reboot("10.0.0.77")
    assert wrong is None or wrong.address(54) == OTHER
    assert ask_boot_server(wire, STRANGER, only.yiaddr, PLAIN, seconds=2) is None
    sent = daemon.get("/v1/status").json["counters"]["dhcp"]["sent"]
    assert not any(sent.values()), sent


def test_identity_is_what_the_wire_shows(lab, daemon):
    """No lease of ours says whose an address is: the machine that answers ARP for it does."""
    daemon.ok("volume", "create", "disk1", "--size", "1M")
    daemon.ok("node", "add", "web1", "--mac", NODE, "--volume", "disk1", "--chap", "mutual")
    machine, thief = lab.client("10.0.0.205/24", mac=NODE), lab.client("10.0.0.206/24", mac=STRANGER)

    def script(of) -> str:
        return of.run("curl", "-sS", "--max-time", "60", "-A", "iPXE/1.21.1",
                      f"http://{SERVER}/boot.ipxe?mac={NODE.replace(':', '-')}").stdout

    assert "set password" not in script(machine)  # it does not boot
    wire = Wire(machine)
    assert [offer.file for offer in offers(wire, NODE, BIOS, 1)] == [b"undionly.kpxe"]
    assert stages(daemon) == ["address"]
    wire.close()
    machine.run("curl", "-sS", "--max-time", "60", "-o", machine.work / "loader", f"tftp://{SERVER}/undionly.kpxe")
    wait_until(lambda: stages(daemon) == ["address", "loader"], "the loader", 60)
    wire = Wire(machine)
    assert len(offers(wire, NODE, IPXE, 1)) == 1
    wire.close()
    assert "set password" not in script(thief)
    assert "set hostname" not in script(thief)
    said = script(machine)
    assert "set hostname web1\n" in said and "set password" in said
    assert stages(daemon) == ["address", "loader", "script"]
    daemon.wait_line("10.0.0.206")


def test_a_program_on_a_node_does_not_pass_for_firmware(lab, daemon):
    """Who may not open port 68 must not make it seem that the node boots."""
    daemon.ok("node", "add", "web1", "--mac", NODE)
    wire = Wire(lab.client("10.0.0.205/24", mac=NODE))
    message = Message(DISCOVER, NODE)
    message.options.update(BIOS)
    wire.send_udp(NODE, message.encode(), ports=(40068, 67))
    assert len(offers(wire, STRANGER, BIOS, 1)) == 1  # the one before was seen
    assert stages(daemon) == []
    wire.close()


def test_reload_to_proxy_and_back(lab, daemon, wire):
    """Port 4011 is open while we are a proxy."""
    daemon.write_config(SUBNET)
    daemon.reload()
    with inside(lab.server):
        assert ":4011 " not in lab.server.run("ss", "-lun").stdout
    assert offers(wire, NODE, BIOS, 1)[0].yiaddr.startswith("10.0.0.1")
    daemon.write_config(PROXY)
    daemon.reload()
    assert ":4011 " in lab.server.run("ss", "-lun").stdout
    assert offers(wire, NODE, BIOS, 1)[0].yiaddr == "0.0.0.0"
    daemon.write_config(SUBNET + "mode = off\n")
    daemon.reload()
    assert ":4011 " not in lab.server.run("ss", "-lun").stdout


def test_rubbish_at_port_4011_is_dropped(daemon, wire):
    for payload in (b"", b"\xff" * 30, b"\1" * 1400, mac_bytes(NODE) * 60):
        wire.send_udp(NODE, payload, source="10.0.0.205", target=SERVER, ports=(4011, 4011))
    answer, _ = ask_boot_server(wire, NODE, "10.0.0.205", BIOS)
    assert answer.kind == ACK
    assert daemon.get("/v1/status").json["counters"]["dhcp"]["odd"]["malformed"] >= 3
