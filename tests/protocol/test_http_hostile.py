"""Nodes' HTTP with a hostile machine on the wire: another's data, state that is not its own, and words for others' scripts."""

import contextlib
import socket

import pytest
from daemon import wait_until
from netlab import SERVER, Client, Wire, inside

NODE, NODE_ADDRESS = "52:54:00:10:00:01", "10.0.0.11"
STRANGER = "52:54:00:10:00:99"
DASHED = NODE.replace(":", "-")


def curl(machine, path: str, *words: str) -> tuple[int, str]:
    """Status and body, as iPXE asks."""
    done = machine.run("curl", "-sS", "--max-time", "60", "--path-as-is", "-A", "iPXE/1.21.1+", "-w", "\n%{http_code}",
                       *words, f"http://{SERVER}{path}")
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


@pytest.fixture
def daemon(lab, tmp_path):
    """With a node that is to be installed once, from now on."""
    d = lab.daemon()
    for name in ("kernel", "initrd"):
        (tmp_path / name).write_bytes(b"\0" * 100_000)
    (tmp_path / "preseed").write_text("d-i password secret\n")
    assert d.post("/v1/volumes", name="disk1", size=1 << 20).result
    assert d.post("/v1/nodes", name="web1", macs=[NODE], address=NODE_ADDRESS, volume="disk1").result
    d.ok("entry", "add", "inst", "--kernel", tmp_path / "kernel", "--initrd", tmp_path / "initrd", "--preseed",
         tmp_path / "preseed")
    d.ok("boot", "web1", "inst", "--once")
    return d


@pytest.fixture
def machine(lab):
    return lab.client()


@pytest.fixture(params=["own lease", "no lease"])
def hostile(request, lab, machine):
    """At an address that DHCP gave to its own MAC, or at one that it took."""
    address = "10.0.0.77"
    if request.param == "own lease":
        wire = Wire(machine)
        address = Client(wire, STRANGER).lease()
        wire.close()
    machine.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
    return machine


def state_of(daemon) -> tuple:
    node = daemon.get("/v1/nodes/web1").json
    return node["boots"], daemon.ok("boot", "web1", "--explain")


def test_nothing_of_a_node_is_told_or_changed(daemon, hostile):
    """By its MAC, in the query or the path, by GET, HEAD and POST."""
    before = state_of(daemon)
    status, script = curl(hostile, f"/boot.ipxe?mac={DASHED}&told=1&uuid=1&entry=volume:disk1")
    assert status == 200 and not [word for word in ("web1", "disk1", "inst", "iqn.") if word in script], script
    for path in (f"/direct.ipxe?mac={DASHED}", f"/direct/kernel?mac={DASHED}&token=x", f"/direct/initrd?mac={DASHED}",
                 f"/entry/inst/kernel?mac={DASHED}", f"/entry/inst/initrd0?mac={DASHED}", f"/memtest.bin?mac={DASHED}",
                 f"/install/{DASHED}/inst/preseed.cfg", f"/install/{NODE}/inst/nodisk", f"/install/{DASHED}/inst/installed",
                 f"/scripts/{DASHED}/boot.ipxe"):
        for words in ((), ("-I",), ("-X", "POST", "-d", "")):
            status, text = curl(hostile, path, *words)
            assert status in (403, 404) and "secret" not in text, (path, words, status, text)
    assert curl(hostile, f"/up?mac={DASHED}", "-d", "")[0] == 403
    # its own MAC besides: the first counts, or none
    for query in (f"mac={STRANGER}&mac={NODE}", f"mac={NODE}&mac={STRANGER}", f"mac={NODE}%00", f"MAC={NODE}"):
        assert "web1" not in curl(hostile, f"/boot.ipxe?{query}")[1], query
    assert state_of(daemon) == before


def test_a_menu_makes_answers_those_of_its_node(daemon, machine):
    """As nodisk(1) says: what is chosen in a menu, only the machine knows."""
    wire = Wire(machine)
    Client(wire, NODE).lease()
    wire.close()
    machine.run("ip", "addr", "add", f"{NODE_ADDRESS}/24", "dev", "eth0")
    answers = f"/install/{DASHED}/inst/preseed.cfg"
    assert curl(machine, answers) == (200, "d-i password secret\n")
    daemon.ok("boot", "web1", "volume", "--once")
    assert curl(machine, answers)[0] == 409
    daemon.ok("boot", "web1", "menu", "--once")
    assert curl(machine, answers)[0] == 200


def test_nobodys_words_come_into_a_script_or_a_head(daemon, machine):
    """The node itself says what a menu has and does not; neither does it write the heads of answers."""
    wire = Wire(machine)
    Client(wire, NODE).lease()
    wire.close()
    machine.run("ip", "addr", "add", f"{NODE_ADDRESS}/24", "dev", "eth0")
    daemon.ok("boot", "web1", "menu")
    for key in ("entry", "failed", "ip", "https", "told", "nonsense"):
        for value in ("x%0d%0aset%20evil%201", "volume:disk1%0aset%20evil%201", "$%7bevil%7d", "evil;evil", "evil" * 200,
                      "volume:evil", "%ff%feevil"):
            done = machine.run("curl", "-sS", "-i", "--max-time", "60", "-A", "iPXE/1.21.1+",
                               f"http://{SERVER}/boot.ipxe?mac={NODE}&{key}={value}").stdout
            assert done.startswith("HTTP/1.1 200") and "set evil" not in done and "${evil" not in done, (key, value, done)
            assert "evil;" not in done and "evilevil" not in done, (key, value, done)
    for path in ("/loaders/a%0d%0aX-Evil:%201", "/scripts/a%0d%0aX-Evil:%201", f"/entry/a%0d%0aX-Evil:%201/kernel?mac={NODE}"):
        done = machine.run("curl", "-sS", "-i", "--max-time", "60", f"http://{SERVER}{path}").stdout
        assert "evil" not in done.lower(), done
    assert not daemon.lines("\x1b") and not [line for line in daemon.lines("X-Evil") if line.startswith("X-Evil")]


#: Of the node's own, in other words than the plain ones; each is nothing or the same file.
@pytest.mark.parametrize("name", ["inst/../inst/kernel", "inst%2fkernel", "inst/kernel%00.txt", "inst%00/kernel", "/inst/kernel",
                                  "inst//kernel", "inst/initrd00", "inst/initrd-1", "inst/initrd1", "inst/initrd4294967296",
                                  "INST/kernel", "inst/..%2f..%2f..%2fetc%2fpasswd", "../../etc/passwd", "inst/", "", "i" * 300])
def test_an_entry_has_its_files_alone(daemon, machine, name):
    wire = Wire(machine)
    Client(wire, NODE).lease()
    wire.close()
    machine.run("ip", "addr", "add", f"{NODE_ADDRESS}/24", "dev", "eth0")
    status, text = curl(machine, f"/entry/{name}?mac={NODE}")
    same = name in ("inst%2fkernel", "inst/kernel%00.txt")
    assert status == (200 if same else 404) and "root:" not in text, (status, text[:200])


def test_slow_readers_hold_up_nobody(daemon, lab, machine):
    """One host that takes nothing of its answers has as many connections as any host, and no more."""
    machine.run("ip", "addr", "add", "10.0.0.77/24", "dev", "eth0")
    good = lab.client("10.0.0.78/24")
    request = f"GET /loaders/undionly.kpxe HTTP/1.1\r\nHost: {SERVER}\r\n\r\n".encode() * 20
    with contextlib.ExitStack() as stack, inside(machine):
        for _ in range(40):
            s = stack.enter_context(socket.socket())
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            s.settimeout(60)
            s.connect((SERVER, 80))
            with contextlib.suppress(ConnectionError):
                s.sendall(request)
        for _ in range(3):
            assert curl(good, "/loaders/undionly.kpxe", "-o", "/dev/null")[0] == 200
    wait_until(lambda: curl(machine, "/boot.ipxe?mac=" + STRANGER)[0] == 200, "its connections to be over")
