"""Wake-on-LAN: what goes over the wire, to whom, in which order; and the boots that follow."""

import contextlib
import json
import os
import struct
import subprocess
import time
from collections.abc import Iterator

import pytest
from daemon import BASE_IQN, NODISK, wait_until
from iscsilab import Session
from lab.iscsi import FIRMWARE
from netlab import SERVER, SUBNET, Client, Wire, checksum, inside, mac_bytes

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")

MACS = [f"52:54:00:3a:00:{n:02x}" for n in range(1, 5)]
PASSWORD = "0d:15:ea:5e:ff:00"
BROADCAST = "ff:ff:ff:ff:ff:ff"
SECOND = """[subnet second]
interface = br1
network = 10.1.0.0/24
mode = off
"""
ISCSI = f"[iscsi]\nlisten = {SERVER}:3260\n"


@pytest.fixture
def daemon(lab):
    return lab.daemon(SUBNET + ISCSI)


@pytest.fixture
def machine(lab, daemon):
    """Stands for all machines on the wire."""
    return lab.client()


@pytest.fixture
def wire(machine):
    wire = Wire(machine)
    yield wire
    wire.close()


def magic(mac: str, password: str = "") -> bytes:
    return b"\xff" * 6 + mac_bytes(mac) * 16 + (mac_bytes(password) if password else b"")


def is_wake(frame: bytes) -> bool:
    return frame[12:14] == b"\x08\x42" or (frame[12:14] == b"\x08\x00" and frame[23] == 17 and
                                           frame[36:38] == struct.pack("!H", 9))


def hear(wire: Wire, count: int, seconds: float = 60) -> list[bytes]:
    """So many frames that are to wake somebody."""
    heard: list[bytes] = []
    for frame in wire.frames(seconds):
        if is_wake(frame):
            heard.append(frame)
        if len(heard) == count:
            break
    return heard


def nothing_more(wire: Wire) -> bool:
    return not hear(wire, 1, 0.3)


def check_pair(frames: list[bytes], payload: bytes, server_mac: str, source: str = SERVER,
               target: str = "10.0.0.255") -> None:
    """A datagram to port 9 and a frame of its own, byte by byte."""
    udp, raw = frames
    assert udp[:14] == mac_bytes(BROADCAST) + mac_bytes(server_mac) + b"\x08\x00"
    header, rest = udp[14:34], udp[34:]
    assert checksum(header) == 0
    assert header[12:20] == bytes(map(int, f"{source}.{target}".split(".")))
    assert struct.unpack("!HH", header[2:4] + rest[4:6]) == (20 + 8 + len(payload), 8 + len(payload))
    assert rest[8:] == payload
    assert raw == mac_bytes(BROADCAST) + mac_bytes(server_mac) + b"\x08\x42" + payload


def mac_of(namespace, interface: str = "br0") -> str:
    return namespace.run("cat", f"/sys/class/net/{interface}/address").stdout.strip()


def add_node(daemon, number: int, *words: str) -> str:
    name = f"web{number}"
    daemon.ok("node", "add", name, "--mac", MACS[number - 1], "--address", f"10.0.0.{10 + number}", *words)
    return name


# --- what is sent ---


def test_both_packets_to_all_macs(lab, daemon, wire):
    daemon.ok("node", "add", "web1", "--mac", MACS[0], MACS[1], "--address", "10.0.0.11")
    said = daemon.ok("node", "wake", "web1", "--no-wait")
    assert said == "web1: woken through br0 (10.0.0.255)\n"
    server = mac_of(lab.server)
    frames = hear(wire, 4)
    check_pair(frames[:2], magic(MACS[0]), server)
    check_pair(frames[2:], magic(MACS[1]), server)
    assert nothing_more(wire)
    daemon.wait_line("magic packets sent to 10.0.0.255 and as a frame through br0")


def test_with_a_password_which_is_never_shown(lab, daemon, wire):
    add_node(daemon, 1, "--wake-password", PASSWORD)
    assert "wake password" not in daemon.ok("node", "show", "web1")
    server = mac_of(lab.server)
    daemon.ok("node", "wake", "web1", "--no-wait")
    check_pair(hear(wire, 2), magic(MACS[0], PASSWORD), server)
    daemon.kill()
    daemon.start()
    answer = daemon.post("/v1/wakes", node="web1").result
    check_pair(hear(wire, 2), magic(MACS[0], PASSWORD), server)
    assert answer == {"node": "web1", "running": None, "sent": [
        {"subnet": "lab", "interface": "br0", "broadcast": "10.0.0.255", "frame": True}]}
    shown = daemon.ok("--json", "node", "show", "web1")
    assert json.loads(shown)["wake_password_set"] is True and PASSWORD not in shown and not daemon.lines(PASSWORD)
    daemon.ok("node", "set", "web1", "--wake-password", "none")
    daemon.ok("node", "wake", "web1", "--no-wait")
    check_pair(hear(wire, 2), magic(MACS[0]), server)
    assert daemon.get("/v1/nodes/web1").json["wake_password_set"] is False


def test_through_the_interface_of_its_subnet_or_through_all(lab):
    lab.server.add_bridge("10.1.0.1/24", name="br1")
    daemon = lab.daemon(SUBNET + SECOND)
    other = lab.client()
    lab.server.join(other, "eth1", bridge="br1")
    first, second = Wire(other), Wire(other, "eth1")
    try:
        daemon.ok("node", "add", "here", "--mac", MACS[0], "--address", "10.1.0.11")
        daemon.ok("node", "add", "somewhere", "--mac", MACS[1])
        said = daemon.ok("node", "wake", "here", "--no-wait")
        assert said == "here: woken through br1 (10.1.0.255)\n"
        check_pair(hear(second, 2), magic(MACS[0]), mac_of(lab.server, "br1"), "10.1.0.1", "10.1.0.255")
        assert nothing_more(first)
        said = daemon.ok("node", "wake", "somewhere", "--no-wait")
        assert said == "somewhere: woken through br0 (10.0.0.255), br1 (10.1.0.255)\n"
        check_pair(hear(first, 2), magic(MACS[1]), mac_of(lab.server))
        check_pair(hear(second, 2), magic(MACS[1]), mac_of(lab.server, "br1"), "10.1.0.1", "10.1.0.255")
        # a machine of the pool is where it was last
        Client(first, MACS[1]).lease()
        assert daemon.ok("node", "wake", "somewhere", "--no-wait") == "somewhere: woken through br0 (10.0.0.255)\n"
    finally:
        first.close()
        second.close()


def test_one_after_the_other(daemon, wire):
    """The order of their names; never two pairs at once; who is left after Ctrl-C is not woken."""
    daemon.ok("group", "add", "rack1")
    for number in (3, 1, 2):
        add_node(daemon, number, *(["--group", "rack1"] if number < 3 else []))
    said = daemon.ok("node", "wake", "--all", "--no-wait", "--interval", "20ms")
    assert said.splitlines()[0] == "waking 3 machines, one every 0.02 s"
    assert [frame[-6:] for frame in hear(wire, 6)] == [mac_bytes(MACS[n]) for n in (0, 0, 1, 1, 2, 2)]
    said = daemon.ok("node", "wake", "--group", "rack1", "--no-wait")
    assert said.splitlines()[0] == "waking 2 machines, one every 1 s" and said.splitlines()[-1] == "2 sent"
    assert [frame[-6:] for frame in hear(wire, 4)] == [mac_bytes(MACS[n]) for n in (0, 0, 1, 1)]
    with start(daemon, "web1", "web3", "--interval", "1h", "--no-wait") as process:
        assert len(hear(wire, 2)) == 2
        wait_until(lambda: "woken" in process.said(), "the first to be woken", 60)
        process.child.send_signal(2)
        assert process.child.wait(timeout=60) == 1
        assert "1 not begun, 1 sent" in process.said() and nothing_more(wire)


class Command:
    """A command that runs for a while."""

    def __init__(self, child: subprocess.Popen, log) -> None:
        self.child, self.log = child, log

    def said(self) -> str:
        return self.log.read_text()


@contextlib.contextmanager
def start(daemon, *words: str) -> Iterator[Command]:
    """`nodisk node wake WORDS`."""
    log = daemon.work / f"wake{time.monotonic_ns()}"
    with log.open("wb") as file:
        child = subprocess.Popen([NODISK, "node", "wake", *words], stdout=file, stderr=file,
                                 env={**os.environ, "NODISK_SOCKET": str(daemon.socket)})
    try:
        yield Command(child, log)
    finally:
        child.kill()
        child.wait(timeout=60)


@pytest.mark.parametrize("words, says", [
    ([], "say which: NODE..., --group GROUP or --all"),
    (["web1", "--all"], "say which"),
    (["web1", "--interval", "soon"], "is no time such as"),
    (["web1", "--timeout", "2d"], "is no time such as"),
])
def test_words_that_make_no_sense(daemon, words, says):
    assert says in daemon.usage("node", "wake", *words)


def test_nobody_is_woken_when_one_is_not_there(daemon, wire):
    add_node(daemon, 1)
    assert "there is no node 'nope'" in daemon.refused("node", "wake", "web1", "nope", "--no-wait")
    assert "there are no such nodes" in daemon.refused("node", "wake", "--group", "nope")
    assert daemon.post("/v1/wakes", node="nope").status == 404
    assert "six bytes" in daemon.usage("node", "set", "web1", "--wake-password", "12:34")
    assert "six bytes" in daemon.patch("/v1/nodes/web1", wake_password="12:34").error
    assert nothing_more(wire)


def test_without_a_subnet_there_is_nowhere_to_send(lab):
    daemon = lab.daemon("")
    daemon.ok("node", "add", "web1", "--mac", MACS[0])
    assert "there is no [subnet]" in daemon.cli("node", "wake", "web1").stderr


# --- what becomes of it ---


class Boot:
    """A machine that boots, step by step."""

    def __init__(self, daemon, machine, wire: Wire, number: int) -> None:
        self.daemon, self.machine, self.wire = daemon, machine, wire
        self.mac, self.address, self.name = MACS[number - 1], f"10.0.0.{10 + number}", f"web{number}"

    def curl(self, path: str, *words: str) -> None:
        self.machine.run("curl", "-sS", "-f", "--max-time", "60", "--interface", self.address, *words,
                         f"http://{SERVER}/{path}?mac={self.mac}")

    def script(self) -> None:
        client = Client(self.wire, self.mac)
        client.extra = {77: b"iPXE"}
        assert client.lease() == self.address
        self.machine.run("ip", "addr", "replace", f"{self.address}/24", "dev", "eth0")
        self.curl("boot.ipxe", "-A", "iPXE/1.21.1+")

    def session(self, **how: object) -> Session:
        with inside(self.machine):
            return Session((SERVER, 3260), f"{BASE_IQN}:{self.name}", f"{BASE_IQN}:{self.name}",
                           source=self.address, **how).login()

    def system(self) -> Session:
        with self.session(keys=FIRMWARE) as firmware:
            firmware.logout()
        return self.session()

    def up(self) -> None:
        self.curl("up", "-X", "POST")


def add_disk(daemon, number: int) -> str:
    daemon.ok("volume", "create", f"web{number}", "--size", "1M")
    return add_node(daemon, number, "--volume", f"web{number}")


def test_it_is_watched_until_it_is_up(daemon, machine, wire):
    add_disk(daemon, 1)
    boot = Boot(daemon, machine, wire, 1)
    with start(daemon, "web1") as process:
        assert len(hear(wire, 2)) == 2
        boot.script()
        session = boot.system()
        assert process.child.wait(timeout=60) == 0
    lines = process.said().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [
        "web1: address", "web1: script", "web1: firmware", "web1: initramfs"]
    assert lines[-1].endswith("(its system does not say when it is up)")
    boot.up()
    # it runs: nothing is sent, unless that is what somebody wants
    done = daemon.ok("node", "wake", "web1")
    assert f"web1: is running ({BASE_IQN}:web1 from 10.0.0.11): not woken" in done and nothing_more(wire)
    assert "woken through br0" in daemon.ok("node", "wake", "web1", "--force", "--no-wait")
    assert len(hear(wire, 2)) == 2
    session.logout()
    session.close()
    wait_until(lambda: not daemon.get("/v1/sessions?node=web1").json["sessions"], "it to be off", 60)
    # now it is known to say when it is up
    with start(daemon, "--json", "web1", "--timeout", "1h") as process:
        assert len(hear(wire, 2)) == 2
        boot.script()
        session = boot.system()
        boot.up()
        assert process.child.wait(timeout=60) == 0
        answer = json.loads(process.said())
    session.close()
    (node,) = answer["nodes"]
    assert answer["interval_ms"] == 1000
    assert (node["node"], node["outcome"], node["stage"]) == ("web1", "up", "up")
    assert node["sent"][0]["interface"] == "br0" and node["since"] > 1 << 50


def test_where_it_stops_is_told(daemon, machine, wire):
    add_disk(daemon, 1)
    add_disk(daemon, 2)
    with start(daemon, "web1", "web2", "--interval", "0", "--timeout", "10s") as process:
        assert len(hear(wire, 4)) == 4
        Boot(daemon, machine, wire, 2).script()
        assert process.child.wait(timeout=120) == 1
    said = process.said()
    assert "web1: nothing was heard of it: see whether it is on" in said
    assert "web2: has stopped at script, 10.0.0.12, " in said
    assert said.splitlines()[-1] == "1 stopped, 1 silent"
