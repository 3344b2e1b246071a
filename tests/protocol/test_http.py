"""What machines fetch over HTTP, with curl: each its own boot script, and nobody another's."""

import contextlib
import json
import os
import re
import socket
import sqlite3
from pathlib import Path

import pytest
from daemon import wait_until
from netlab import SERVER, SUBNET, Client, Wire, inside

NODE, NODE_ADDRESS = "52:54:00:10:00:01", "10.0.0.11"
POOL_NODE = "52:54:00:10:00:02"
STRANGER = "52:54:00:10:00:99"
IQN = "iqn.2026-11.lan.example"


@pytest.fixture
def daemon(lab):
    d = lab.daemon()
    assert d.post("/v1/volumes", name="disk1", size=1 << 20).result
    assert d.post("/v1/nodes", name="web1", macs=[NODE], address=NODE_ADDRESS, volume="disk1").result
    assert d.post("/v1/nodes", name="pool1", macs=[POOL_NODE]).result
    return d


@pytest.fixture
def machine(lab):
    """A machine on the wire that can have any address."""
    return lab.client()


@pytest.fixture
def wire(machine):
    w = Wire(machine)
    yield w
    w.close()


def curl(machine, path: str, *words: str, address: str | None = None) -> tuple[int, str]:
    """Status and body."""
    source = ["--interface", address] if address else []
    done = machine.run("curl", "-sS", "--max-time", "60", "-w", "\n%{http_code}", *source, *words,
                       f"http://{SERVER}{path}")
    body, status = done.stdout.rsplit("\n", 1)
    return int(status), body


def script_path(mac: str) -> str:
    return f"/boot.ipxe?mac={mac.replace(':', '-')}"


def counters(daemon) -> dict:
    return daemon.get("/v1/status").json["counters"]["http"]


def wait_counted(daemon, name: str, value: int) -> None:
    """Until a counter has that value, which it gets behind the answer."""
    wait_until(lambda: counters(daemon)[name] == value, f"{name} to be {value}")


# --- scripts ---


def test_a_node_gets_its_own_script(daemon, machine, wire):
    assert Client(wire, NODE).lease() == NODE_ADDRESS
    machine.run("ip", "addr", "add", f"{NODE_ADDRESS}/24", "dev", "eth0")
    status, script = curl(machine, script_path(NODE))
    assert status == 200 and script.startswith("#!ipxe\n")
    assert "set hostname web1\n" in script
    assert f"set initiator-iqn {IQN}:web1\n" in script
    # this laboratory's target listens on loopback only
    assert re.search(rf"sanhook --drive 0x80 iscsi:127\.0\.0\.1::\d+:0:{IQN}:disk1 ", script)
    daemon.wait_line("where nothing of [iscsi] listens: they cannot boot")
    assert f"chain --timeout 30000 --replace http://{SERVER}/boot.ipxe?mac={NODE.replace(':', '-')}" in script
    node = next(n for n in daemon.get("/v1/status").json["nodes"] if n["name"] == "web1")
    assert node["boot"] is None  # somebody only had a look
    assert curl(machine, script_path(NODE), "-A", "iPXE/1.21.1+")[1] == script
    node = next(n for n in daemon.get("/v1/status").json["nodes"] if n["name"] == "web1")
    assert node["boot"]["stage"] == "script" and node["boot"]["detail"] == NODE_ADDRESS
    wait_counted(daemon, "scripts", 2)


def test_secrets_go_only_to_a_node_that_boots(daemon, machine, wire):
    """With CHAP the script has secrets: not for somebody who happens to be at the node's address."""
    daemon.ok("node", "set", "web1", "--chap", "mutual")
    client = Client(wire, NODE)
    assert client.lease() == NODE_ADDRESS
    machine.run("ip", "addr", "add", f"{NODE_ADDRESS}/24", "dev", "eth0")

    def script() -> str:
        status, text = curl(machine, script_path(NODE), "-A", "iPXE/1.21.1+")
        assert status == 200 and text.startswith("#!ipxe\n")
        return text

    for _ in range(2):  # an operating system has asked DHCP, not firmware; to ask HTTP changes nothing
        assert "password" not in script() and "web1" not in script()
    daemon.wait_line("asked for the node's script with its CHAP secrets")
    client.extra[77] = b"iPXE"
    assert client.lease() == NODE_ADDRESS
    text = script()
    secrets = re.findall(r"^set (?:reverse-)?password ([0-9a-f]{32})$", text, re.MULTILINE)
    assert len(set(secrets)) == 2
    assert "set username web1\n" in text and "set reverse-username nodisk\n" in text
    assert script() == text  # it asks again when its disk is away
    status, _ = curl(machine, f"/up?mac={NODE.replace(':', '-')}", "-X", "POST")
    assert status == 200
    assert "password" not in script()
    assert not [secret for secret in secrets if daemon.lines(secret)]


def test_nobody_gets_the_script_of_another(daemon, machine, wire):
    Client(wire, NODE).lease()
    stranger = Client(wire, STRANGER).lease()
    machine.run("ip", "addr", "add", f"{stranger}/24", "dev", "eth0")
    status, script = curl(machine, script_path(NODE))
    assert status == 200 and "web1" not in script and "sanboot" not in script and IQN not in script
    assert "exit" not in script.split()  # should it be the node after all, it must not give up
    daemon.wait_line(f"{stranger}, which is not this node's address, asked for what is the node's")
    wait_counted(daemon, "refused", 1)


def test_a_machine_that_is_no_node_is_told_what_to_do(daemon, machine, wire):
    address = Client(wire, STRANGER).lease()
    machine.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
    status, script = curl(machine, script_path(STRANGER))
    assert status == 200 and f"nodisk node add NAME --mac {STRANGER}" in script
    assert script.splitlines()[-1] == "exit"


def test_a_node_without_a_disk_waits_for_one(daemon, machine, wire):
    address = Client(wire, POOL_NODE).lease()
    machine.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
    assert "has nothing to boot" in curl(machine, script_path(POOL_NODE))[1]
    assert daemon.post("/v1/volumes", name="late", size=1 << 20).result
    assert daemon.patch("/v1/nodes/pool1", volume="late").result
    assert f"{IQN}:late " in curl(machine, script_path(POOL_NODE))[1]
    # which address a node of the pool has is told
    assert daemon.get("/v1/nodes/pool1").json["last_address"] == address


def test_a_restart_does_not_forget_who_has_which_address(daemon, machine, wire):
    address = Client(wire, POOL_NODE).lease()
    machine.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
    daemon.kill()
    daemon.start()
    assert "pool1" in curl(machine, script_path(POOL_NODE))[1]


def test_a_node_whose_lease_was_not_stored_gets_its_script_after_a_crash(lab, daemon, machine, wire):
    """Its own address is promised at once; that it was given away need not be on the disk yet."""
    database = sqlite3.connect(daemon.state / "registry.db", isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    assert Client(wire, NODE).lease() == NODE_ADDRESS
    daemon.kill()
    database.execute("ROLLBACK")
    database.close()
    daemon.start()
    machine.run("ip", "addr", "add", f"{NODE_ADDRESS}/24", "dev", "eth0")
    assert "set hostname web1\n" in curl(machine, script_path(NODE))[1]


def test_an_inform_gives_nobody_the_identity_of_another(daemon, machine, wire):
    Client(wire, NODE).lease()
    thief = Client(wire, NODE)
    machine.run("ip", "addr", "add", "10.0.0.66/24", "dev", "eth0")
    message = thief.message(8)  # INFORM
    message.ciaddr = "10.0.0.66"
    wire.addresses[socket.inet_aton("10.0.0.66")] = NODE
    assert thief.ask(message, source="10.0.0.66")
    assert "web1" not in curl(machine, script_path(NODE))[1]


def test_where_somebody_else_does_dhcp_the_machine_is_believed(lab, machine):
    d = lab.daemon(SUBNET.replace("range", "mode = off\nrange"))
    assert d.post("/v1/nodes", name="web1", macs=[NODE]).result
    machine.run("ip", "addr", "add", "10.0.0.77/24", "dev", "eth0")
    assert "web1" in curl(machine, script_path(NODE))[1]


# --- up ---


def test_up_is_believed_from_the_nodes_own_address_only(daemon, machine, wire):
    Client(wire, NODE).lease()
    stranger = Client(wire, STRANGER).lease()
    for address in (NODE_ADDRESS, stranger):
        machine.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
    up = f"/up?mac={NODE}"
    assert curl(machine, up, "-X", "POST", "-d", "", address=stranger)[0] == 403
    assert daemon.get("/v1/nodes/web1").json["boots"] == []
    assert curl(machine, up, "-X", "POST", "-d", "", address=NODE_ADDRESS)[0] == 200
    (node,) = [n for n in daemon.get("/v1/status").json["nodes"] if n["name"] == "web1"]
    assert node["boot"]["stage"] == "up"


# --- wrong and hostile ---


# --- loaders ---


def boot_of(daemon, name: str = "web1") -> dict:
    return next(node["boot"] for node in daemon.get("/v1/status").json["nodes"] if node["name"] == name)


def test_a_loader_is_fetched_by_http(daemon, lab, machine, wire, tmp_path):
    """As firmware does: the size by HEAD, then the file; then the node's boot has come that far."""
    node = Client(wire, NODE)
    node.extra = {60: b"HTTPClient:Arch:00016:UNDI:003001", 93: b"\0\x10"}
    assert node.lease() == NODE_ADDRESS
    assert node.ack.file == f"http://{SERVER}/loaders/snponly.efi".encode() and node.ack.options[60] == b"HTTPClient"
    machine.run("ip", "addr", "add", f"{NODE_ADDRESS}/24", "dev", "eth0")
    loader = Path("/usr/lib/ipxe/snponly.efi")
    head = machine.run("curl", "-sS", "--max-time", "60", "-I", f"http://{SERVER}/loaders/snponly.efi").stdout
    assert head.startswith("HTTP/1.1 200") and "\ncontent-type: application/efi" in head.lower()
    assert f"\ncontent-length: {loader.stat().st_size}\n" in head.lower()
    assert boot_of(daemon)["stage"] == "address"
    machine.run("curl", "-sS", "--max-time", "60", "-o", tmp_path / "got", f"http://{SERVER}/loaders/snponly.efi")
    assert (tmp_path / "got").read_bytes() == loader.read_bytes()
    wait_until(lambda: boot_of(daemon)["stage"] == "loader", "the stage", 60)
    assert boot_of(daemon)["detail"] == "snponly.efi by HTTP"
    wait_counted(daemon, "loaders", 1)
    assert counters(daemon)["refused"] == 0


def test_nothing_but_loaders_is_read(lab, tmp_path):
    """As over TFTP: nothing that leads out of the directory, nothing that is no file."""
    loaders = tmp_path / "loaders"
    (loaders / "dir").mkdir(parents=True)
    (loaders / "undionly.kpxe").write_bytes(b"bios")
    (loaders / "dir" / "in.efi").write_bytes(b"inside")
    (loaders / "link.efi").symlink_to("dir/in.efi")
    (loaders / "out.efi").symlink_to("/etc/passwd")
    os.mkfifo(loaders / "fifo.efi")
    (tmp_path / "secret").write_text("secret")
    daemon = lab.daemon(loaders=str(loaders))
    machine = lab.client("10.0.0.50/24")
    good = ["dir/in.efi", "link.efi", "dir/../dir/in.efi", "%64ir/in.efi", "/dir/in.efi"]
    for name in good:
        assert curl(machine, f"/loaders/{name}", "--path-as-is") == (200, "inside"), name
    wrong = ["", ".", "dir", "none.efi", "out.efi", "fifo.efi", "../secret", "dir/../../secret", "%2e%2e/secret",
             "..%5csecret", "%2fetc/passwd%00", "../loaders/dir/in.efi"]
    for name in wrong:
        assert curl(machine, f"/loaders/{name}", "--path-as-is")[0] == 404, name
    wait_counted(daemon, "loaders", len(good))
    wait_counted(daemon, "refused", len(wrong))
    # another directory after a reload
    other = tmp_path / "other"
    other.mkdir()
    (other / "undionly.kpxe").write_bytes(b"other")
    daemon.keys["loaders"] = str(other)
    daemon.write_config(SUBNET)
    daemon.reload()
    assert curl(machine, "/loaders/undionly.kpxe") == (200, "other")
    assert curl(machine, "/loaders/dir/in.efi")[0] == 404


def test_memtest_is_that_of_the_start(lab, machine, wire, tmp_path):
    """Whatever the configuration says by now."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "memtest86+x64.bin").write_text(name)
    config = f"[boot]\nmemtest = {tmp_path}/%s\n{SUBNET}"
    daemon = lab.daemon(config % "a")
    assert daemon.post("/v1/nodes", name="web1", macs=[NODE], address=NODE_ADDRESS).result
    Client(wire, NODE).lease()
    machine.run("ip", "addr", "add", f"{NODE_ADDRESS}/24", "dev", "eth0")
    for now in ("a", "b"):
        daemon.write_config(config % now)
        daemon.reload()
        assert curl(machine, f"/memtest.bin?mac={NODE}") == (200, "a")
    daemon.wait_line("what [boot] says changes only with a restart")


@pytest.mark.parametrize("path, words, status", [
    ("/", [], 404), ("/boot.ipxe", [], 400), ("/boot.ipxe?mac=nonsense", [], 400), ("/up?mac=" + NODE, [], 404),
    ("/boot.ipxe?mac=" + NODE, ["-X", "POST", "-d", ""], 404), ("/v1/nodes", [], 404),
    ("/../../etc/passwd", ["--path-as-is"], 404), ("/%2e%2e/%00", ["--path-as-is"], 404),
    ("/boot.ipxe?mac=" + "a" * 3000, [], 400),
])
def test_wrong_requests_are_refused_and_counted(daemon, lab, path, words, status):
    machine = lab.client("10.0.0.50/24")
    assert curl(machine, path, *words)[0] == status
    wait_counted(daemon, "refused", 1)
    told = "which makes no sense here: refused"
    daemon.wait_line(told)


NONSENSE = [b"", b"\0" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET /boot.ipxe HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 200000, b"GET /" + b"a" * 100000,
            b"POST /up?mac=52-54-00-10-00-01 HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n",
            b"POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"]


def test_nonsense_is_dropped_counted_and_told_once(daemon, lab):
    machine = lab.client("10.0.0.50/24")
    for data in NONSENSE * 3:
        with inside(machine), socket.create_connection((SERVER, 80), timeout=60) as s:
            s.settimeout(1)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError, TimeoutError):
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass
    assert curl(machine, "/boot.ipxe?mac=" + STRANGER)[0] == 200
    wait_counted(daemon, "dropped", len(NONSENSE) * 3)
    lines = daemon.lines("http: 10.0.0.50")
    assert len(lines) == 1, lines


def test_one_peer_cannot_take_all_connections(daemon, lab):
    hog, good = lab.client("10.0.0.50/24"), lab.client("10.0.0.51/24")
    held = []
    try:
        with inside(hog):
            for _ in range(200):
                held.append(socket.create_connection((SERVER, 80), timeout=60))
        for _ in range(3):
            assert curl(good, "/boot.ipxe?mac=" + STRANGER)[0] == 200
    finally:
        for s in held:
            s.close()


def test_100_machines_at_once(daemon, lab, tmp_path):
    """Every one of many requests at the same time is answered."""
    machine = lab.client("10.0.0.50/24")
    config = tmp_path / "urls"
    config.write_text("".join(f'url = "http://{SERVER}/boot.ipxe?mac=52-54-00-99-00-{i:02x}"\n'
                              f'output = "{tmp_path}/{i}"\n' for i in range(100)))
    machine.run("curl", "-sS", "--max-time", "120", "--parallel", "--parallel-max", "12", "-K", config, timeout=180)
    assert all(Path(tmp_path / str(i)).read_text().startswith("#!ipxe") for i in range(100))


def test_status_shows_the_counters_to_people(daemon, lab):
    machine = lab.client("10.0.0.50/24")
    curl(machine, "/nothing")
    (line,) = [line for line in daemon.ok("status").splitlines() if line.startswith("http ")]
    assert line.split() == ["http", "1", "0", "-", "1", "0"]
    assert json.loads(daemon.ok("--json", "status"))["counters"]["http"]["refused"] == 1
