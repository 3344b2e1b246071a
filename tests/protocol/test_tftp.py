"""TFTP: real clients, and packets made by hand, against the real daemon."""

import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest
from daemon import need, wait_until
from netlab import SERVER, SUBNET, inside

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")

RRQ, WRQ, DATA, ACK, ERROR, OACK = range(1, 7)


@pytest.fixture
def loaders(tmp_path) -> Path:
    """A directory of loaders, with something secret beside it."""
    directory = tmp_path / "loaders"
    (directory / "sub").mkdir(parents=True)
    for name in ("undionly.kpxe", "snponly.efi"):
        source = Path("/usr/lib/ipxe") / name
        (directory / name).write_bytes(source.read_bytes() if source.exists() else os.urandom(74213))
    for name, size in (("empty", 0), ("exact", 512 * 4), ("one", 1), ("large", 40 << 20)):
        (directory / name).write_bytes(os.urandom(size))
    (directory / "sub" / "nested.efi").write_bytes(os.urandom(3000))
    (tmp_path / "secret").write_text("secret")
    (directory / "link").symlink_to("sub/nested.efi")
    (directory / "out").symlink_to("../secret")
    (directory / "ipxe.efi").symlink_to("/boot/ipxe.efi")
    os.mkfifo(directory / "fifo")
    return directory


@pytest.fixture
def daemon(lab, loaders):
    return lab.daemon(SUBNET, loaders=str(loaders))


@pytest.fixture
def client(lab, daemon):
    return lab.client("10.0.0.50/24")


def udp(namespace) -> socket.socket:
    with inside(namespace):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("0.0.0.0", 0))
    sock.settimeout(60)
    return sock


def request(file: str, mode: str = "octet", **options: object) -> bytes:
    words = [file, mode, *(str(word) for pair in options.items() for word in pair)]
    return struct.pack("!H", RRQ) + b"".join(word.encode("latin-1") + b"\0" for word in words)


def ack(block: int) -> bytes:
    return struct.pack("!HH", ACK, block & 0xffff)


def fetch(namespace, file: str, sock: socket.socket | None = None, **options: object) -> bytes:
    """A whole transfer by a well-behaved client."""
    sock = sock or udp(namespace)
    sock.sendto(request(file, **options), (SERVER, 69))
    blksize, window, block, received, data = 512, 1, 0, 0, b""
    while True:
        packet, peer = sock.recvfrom(70000)
        code, number = struct.unpack("!HH", packet[:4])
        if code == OACK:
            words = packet[2:].decode().split("\0")
            agreed = dict(zip(words[0::2], words[1::2]))
            blksize, window = int(agreed.get("blksize", 512)), int(agreed.get("windowsize", 1))
            sock.sendto(ack(0), peer)
        elif code == DATA and number == (block + 1) & 0xffff:
            block += 1
            received += 1
            data += packet[4:]
            last = len(packet) - 4 < blksize
            if last or received % window == 0:
                sock.sendto(ack(block), peer)
            if last:
                return data
        elif code == ERROR:
            raise OSError(number, packet[4:].rstrip(b"\0").decode())


# --- real clients ---

FILES = ["undionly.kpxe", "empty", "exact", "one", "sub/nested.efi", "link"]


@pytest.mark.parametrize("options", [[], ["--tftp-blksize", "1432"], ["--tftp-no-options"]])
def test_curl(client, loaders, tmp_path, options):
    need("curl")
    for name in FILES:
        if name == "empty":
            continue  # curl takes "tsize 0" for a mistake
        client.run("curl", "-sS", "--fail", *options, "-o", tmp_path / "got", f"tftp://{SERVER}//{name}")
        assert (tmp_path / "got").read_bytes() == (loaders / name).read_bytes()


def test_tftp_hpa(client, loaders, tmp_path):
    need("tftp")
    for name in FILES:
        client.run("tftp", "-m", "binary", SERVER, "-c", "get", name, tmp_path / "got")
        assert (tmp_path / "got").read_bytes() == (loaders / name).read_bytes()
    said = client.run("tftp", SERVER, "-m", "ascii", "-c", "get", "undionly.kpxe", tmp_path / "got", check=False)
    assert "only mode octet (binary) is served" in said.stdout + said.stderr
    said = client.run("tftp", "-m", "binary", SERVER, "-c", "put", tmp_path / "got", "new", check=False)
    assert "read-only" in said.stdout + said.stderr
    assert not (loaders / "new").exists()


@pytest.mark.parametrize("options", [
    [], ["--option", "blksize 1428"], ["--option", "blksize 8"], ["--option", "tsize", "--option", "timeout 3"],
    ["--option", "windowsize 4"], ["--option", "windowsize 16", "--option", "blksize 1024"]])
def test_atftp(client, loaders, tmp_path, options):
    need("atftp")
    client.run("atftp", *options, "-g", "-r", "undionly.kpxe", "-l", tmp_path / "got", SERVER)
    assert (tmp_path / "got").read_bytes() == (loaders / "undionly.kpxe").read_bytes()


def test_block_numbers_roll_over(client, loaders, tmp_path):
    need("curl")
    client.run("curl", "-sS", "-o", tmp_path / "got", "--tftp-blksize", "512", f"tftp://{SERVER}//large")
    assert (tmp_path / "got").read_bytes() == (loaders / "large").read_bytes()


def test_250_at_once(client, daemon, loaders):
    """By hand, from one address: all transfers are open at the same time."""
    expected = (loaders / "undionly.kpxe").read_bytes()
    sockets = [udp(client) for _ in range(250)]
    state = {sock.fileno(): {"sock": sock, "data": b"", "block": 0} for sock in sockets}
    for sock in sockets:
        sock.sendto(request("undionly.kpxe", blksize=1432, tsize=0), (SERVER, 69))
    poll = select.poll()
    for fd in state:
        poll.register(fd, select.POLLIN)
    done, deadline = 0, time.monotonic() + 60
    while done < 250:
        assert time.monotonic() < deadline, f"{done} of 250"
        for fd, _ in poll.poll(1000):
            one = state[fd]
            packet, peer = one["sock"].recvfrom(2000)
            code, number = struct.unpack("!HH", packet[:4])
            if code == OACK:
                one["sock"].sendto(ack(0), peer)
            elif code == DATA and number == one["block"] + 1:
                one["block"] += 1
                one["data"] += packet[4:]
                one["sock"].sendto(ack(number), peer)
                if len(packet) < 1436:
                    done += 1
            else:
                assert code != ERROR, packet
    assert all(one["data"] == expected for one in state.values())


def test_100_curls_at_once(client, loaders, tmp_path):
    need("curl")
    processes = [subprocess.Popen(["ip", "netns", "exec", client.name, "curl", "-sS", "--max-time", "50", "-o",
                                   tmp_path / f"got{n}", f"tftp://{SERVER}//undionly.kpxe"]) for n in range(100)]
    assert [process.wait(timeout=60) for process in processes] == [0] * 100
    expected = (loaders / "undionly.kpxe").read_bytes()
    assert all((tmp_path / f"got{n}").read_bytes() == expected for n in range(100))


# --- options ---

def oack(sock: socket.socket, **options: object) -> tuple[dict[str, str], tuple]:
    sock.sendto(request("undionly.kpxe", **options), (SERVER, 69))
    packet, peer = sock.recvfrom(2000)
    assert packet[:2] == b"\0\6"
    words = packet[2:].decode().split("\0")
    sock.sendto(struct.pack("!HH", ERROR, 8) + b"only asking\0", peer)
    return dict(zip(words[0::2], words[1::2])), peer


def test_only_what_was_asked_for_is_agreed(client, loaders):
    size = str((loaders / "undionly.kpxe").stat().st_size)
    sock = udp(client)
    assert oack(sock, tsize=0)[0] == {"tsize": size}
    assert oack(sock, blksize=1468)[0] == {"blksize": "1468"}
    assert oack(sock, blksize=65464)[0] == {"blksize": "1468"}  # a frame
    assert oack(sock, BLKSIZE=1000, timeout=5)[0] == {"blksize": "1000", "timeout": "5"}
    assert oack(sock, windowsize=1000)[0] == {"windowsize": "64"}
    assert oack(sock, tsize=0, unknown="x", windowsize=4, blksize=512)[0] == {
        "tsize": size, "blksize": "512", "windowsize": "4"}
    sock.sendto(request("undionly.kpxe", blksize=7, timeout=0, windowsize="x"), (SERVER, 69))
    assert sock.recvfrom(2000)[0][:4] == b"\0\3\0\1"  # no option is acceptable: no OACK


def test_the_answer_comes_from_where_the_request_went(lab, daemon, client):
    lab.server.run("ip", "addr", "add", "10.0.0.3/24", "dev", "br0")
    daemon.stop()
    daemon.keys["tftp"] = "0.0.0.0:69"
    daemon.write_config(SUBNET)
    daemon.start()
    sock = udp(client)
    for address in (SERVER, "10.0.0.3"):
        sock.sendto(request("one"), (address, 69))
        packet, peer = sock.recvfrom(2000)
        assert peer[0] == address and peer[1] != 69
        sock.sendto(ack(1), peer)


# --- losses ---

def next_but(sock: socket.socket, known: bytes) -> bytes:
    """The next packet that is not this one, which may have been repeated once more meanwhile."""
    while (packet := sock.recvfrom(2000)[0]) == known:
        pass
    return packet


def test_lost_packets_are_repeated(client):
    sock = udp(client)
    sock.sendto(request("exact", timeout=1), (SERVER, 69))
    offer, peer = sock.recvfrom(2000)
    assert sock.recvfrom(2000)[0] == offer  # no answer: once more
    sock.sendto(ack(0), peer)
    first = next_but(sock, offer)
    assert first[:4] == b"\0\3\0\1"
    assert sock.recvfrom(2000)[0] == first
    sock.sendto(ack(1), peer)
    assert next_but(sock, first)[:4] == b"\0\3\0\2"
    for _ in range(5):
        sock.sendto(ack(1), peer)  # sorcerer's apprentice: nothing comes of it
    sock.settimeout(0.3)
    repeated = 0
    with contextlib.suppress(TimeoutError):
        while repeated < 5:
            sock.recvfrom(2000)
            repeated += 1
    assert repeated < 5  # but for what is repeated as time goes by


def test_a_lossy_client_gets_it_all(client, loaders):
    """Throws away every seventh packet; with and without windows."""

    class Lossy:
        def __init__(self, sock):
            self.sock, self.count = sock, 0

        def sendto(self, *words):
            self.sock.sendto(*words)

        def recvfrom(self, size):
            while True:
                packet = self.sock.recvfrom(size)
                self.count += 1
                if self.count % 7:
                    return packet

    expected = (loaders / "sub" / "nested.efi").read_bytes()
    assert fetch(client, "sub/nested.efi", Lossy(udp(client)), blksize=256, timeout=1) == expected


def test_a_loss_in_a_window(client, loaders):
    expected = (loaders / "undionly.kpxe").read_bytes()
    sock = udp(client)
    sock.sendto(request("undionly.kpxe", blksize=1000, windowsize=8), (SERVER, 69))
    _, peer = sock.recvfrom(2000)
    sock.sendto(ack(0), peer)
    data, block, seen, window = b"", 0, 0, 0  # window: blocks since the last ACK (RFC 7440 4)
    while True:
        packet, _ = sock.recvfrom(2000)
        seen += 1
        number = int.from_bytes(packet[2:4], "big")
        if seen % 11 == 0:
            continue  # lost on the way
        if number == block + 1:
            block, data, window = number, data + packet[4:], window + 1
        else:
            window = 8  # behind a loss, or known already: say at once how far we are
        if len(packet) < 1004 or window >= 8:
            sock.sendto(ack(block), peer)
            window = 0
        if len(packet) < 1004 and number == block:
            break
    assert data == expected


def test_a_repeated_request_is_one_transfer(client):
    sock = udp(client)
    for _ in range(3):
        sock.sendto(request("exact"), (SERVER, 69))
    peers = {sock.recvfrom(2000)[1] for _ in range(3)}
    assert len(peers) == 1
    [peer] = peers
    sock.sendto(ack(1), peer)
    assert sock.recvfrom(2000)[0][:4] == b"\0\3\0\2"
    # the same port starts anew, as PXE ROMs do after a reset
    sock.sendto(request("one"), (SERVER, 69))
    packet, peer = sock.recvfrom(2000)
    assert packet[:4] == b"\0\3\0\1" and len(packet) == 5
    sock.sendto(ack(1), peer)


def test_repeated_requests_that_lay_here(client, daemon, loaders):
    """A server that is late has them all before it; the client has heard the first answer by then."""
    sock = udp(client)
    sock.settimeout(60)
    os.kill(daemon.process.pid, signal.SIGSTOP)
    try:
        for _ in range(1000):
            sock.sendto(request("snponly.efi"), (SERVER, 69))
    finally:
        os.kill(daemon.process.pid, signal.SIGCONT)
    data, block, port = b"", 1, None
    while len(data) == (block - 1) * 512:
        packet, (_, sender) = sock.recvfrom(70000)
        port = port or sender
        assert sender == port, "a second transfer has begun"
        if struct.unpack("!HH", packet[:4]) == (DATA, block):
            data += packet[4:]
            sock.sendto(ack(block), (SERVER, port))
            block += 1
    assert data == (loaders / "snponly.efi").read_bytes()


def test_a_stranger_does_not_disturb(client):
    sock, stranger = udp(client), udp(client)
    sock.sendto(request("exact"), (SERVER, 69))
    _, peer = sock.recvfrom(2000)
    stranger.sendto(ack(1), peer)
    stranger.sendto(struct.pack("!HH", ERROR, 0) + b"stop\0", peer)
    time.sleep(0.1)
    sock.sendto(ack(1), peer)
    assert sock.recvfrom(2000)[0][:4] == b"\0\3\0\2"


# --- refusals ---

def refused(client, file: str, mode: str = "octet") -> tuple[int, str]:
    sock = udp(client)
    sock.sendto(request(file, mode), (SERVER, 69))
    packet, _ = sock.recvfrom(2000)
    code, number = struct.unpack("!HH", packet[:4])
    assert code == ERROR, packet
    return number, packet[4:].rstrip(b"\0").decode()


def test_nothing_outside_the_directory(client, daemon):
    for name in ("../secret", "..\\secret", "/../secret", "sub/../../secret", "out", "ipxe.efi"):
        assert refused(client, name)[0] == 2
    daemon.wait_line("asked for '../secret': this leads out of the loaders directory")
    for name in ("/etc/passwd", "C:\\boot\\x", "nothing"):
        assert refused(client, name) == (1, "no such file")
    for name in ("sub", ".", "fifo"):
        assert refused(client, name) == (2, "not a file")
    assert refused(client, "one", "netascii")[0] == 4
    assert refused(client, "one", "mail")[0] == 4


def test_names_as_firmware_writes_them(client, loaders):
    expected = (loaders / "sub" / "nested.efi").read_bytes()
    for name in ("sub/nested.efi", "/sub/nested.efi", "\\sub\\nested.efi", "sub\\nested.efi", "//sub/nested.efi"):
        assert fetch(client, name) == expected


def test_hostile_packets(client, daemon):
    sock = udp(client)
    good = request("undionly.kpxe", blksize=1432, tsize=0)
    packets = [good[:n] for n in range(len(good))] + [b"", b"\0\1" + b"a" * 600, os.urandom(512), os.urandom(1400)]
    packets += [struct.pack("!H", code) + good[2:] for code in (0, 3, 4, 5, 6, 7, 65535)]
    packets += [request("x\ny\x1b[2J"), request("a" * 400), request("a/" * 200), request("undionly.kpxe\xff")]
    for packet in packets:
        sock.sendto(packet, (SERVER, 69))
    assert len(fetch(client, "undionly.kpxe", blksize=1432)) > 1000
    lines = daemon.lines("tftp: 10.0.0.50")
    assert 1 <= len(lines) <= 2  # once per client and minute
    assert "\x1b" not in daemon.output()
    assert "runtime error" not in daemon.output() and "Sanitizer" not in daemon.output()


def test_a_client_that_vanishes_costs_nothing(client, daemon, loaders):
    for _ in range(50):
        sock = udp(client)
        sock.sendto(request("large", blksize=1432), (SERVER, 69))
        sock.recvfrom(2000)
        sock.close()  # its port is gone: the kernel says so
    assert fetch(client, "one") == (loaders / "one").read_bytes()
    pid = subprocess.run(["pgrep", "-P", str(daemon.process.pid)], capture_output=True, text=True).stdout.split()
    fds = Path(f"/proc/{pid[0] if pid else daemon.process.pid}/fd")
    wait_until(lambda: len(list(fds.iterdir())) <= 60, "their sockets to be closed")


def test_forged_requests_do_not_keep_real_clients_out(lab, daemon, loaders, tmp_path):
    """More than the table holds, of clients that never answer and ask for long timeouts."""
    forger, real = lab.client(*(f"10.0.0.{n}/24" for n in range(20, 30))), lab.client("10.0.0.30/24")
    forged = []
    with inside(forger):
        for n in range(1200):
            forged.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            forged[-1].bind((f"10.0.0.{20 + n % 10}", 0))
            forged[-1].sendto(request("large", timeout=255), (SERVER, 69))
    wait_until(lambda: daemon.get("/v1/status").json["counters"]["tftp"]["requests"] >= 1000, "the requests to be heard")
    assert fetch(real, "undionly.kpxe") == (loaders / "undionly.kpxe").read_bytes()
    deadline = time.monotonic() + 30  # and they are gone long before the timeout that they ask for
    while daemon.get("/v1/status").json["counters"]["tftp"]["active"]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    for s in forged:
        s.close()


def test_a_file_that_shrinks_does_not_end_well(client, loaders):
    sock = udp(client)
    sock.sendto(request("large", blksize=1000), (SERVER, 69))
    _, peer = sock.recvfrom(2000)
    os.truncate(loaders / "large", 1500)
    sock.sendto(ack(0), peer)
    assert sock.recvfrom(2000)[0][:4] == b"\0\3\0\1"
    sock.sendto(ack(1), peer)
    assert sock.recvfrom(2000)[0][:2] == b"\0\5"


def test_addresses_are_answered_while_files_are_sent(lab, client, daemon, loaders):
    """DHCP has its own thread: loaders by the dozen do not hold it up."""
    from netlab import Client, Wire
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            fetch(client, "undionly.kpxe", blksize=512)

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    wire = Wire(lab.client())
    try:
        for n in range(20):
            assert Client(wire, f"52:54:00:00:03:{n:02x}").discover()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        wire.close()


def test_a_reload_takes_another_directory(client, daemon, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "undionly.kpxe").write_bytes(b"another loader")
    daemon.keys["loaders"] = str(other)
    daemon.write_config(SUBNET)
    daemon.reload()
    assert fetch(client, "undionly.kpxe") == b"another loader"
    daemon.keys["loaders"] = "/nonexistent"
    daemon.write_config(SUBNET)
    daemon.reload()
    daemon.wait_line("not reloaded, the old one stays in force: loaders: cannot open /nonexistent")
    assert fetch(client, "undionly.kpxe") == b"another loader"


def test_the_script_beside_the_loaders(client, daemon, loaders, tmp_path):
    """autoexec.ipxe, which newer iPXE for UEFI looks for where it came from: by TFTP, and by HTTP."""
    need("tftp")
    need("curl")
    got = tmp_path / "got"
    missing = client.run("tftp", "-m", "binary", SERVER, "-c", "get", "autoexec.ipxe", got, check=False)
    assert "no such file" in (missing.stdout + missing.stderr).lower()  # at once: nobody waits for it
    url = f"http://{SERVER}/loaders/autoexec.ipxe"
    assert client.run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", url).stdout == "404"
    script = daemon.ok("loaders", "script")
    (loaders / "autoexec.ipxe").write_text(script)
    client.run("tftp", "-m", "binary", SERVER, "-c", "get", "autoexec.ipxe", got)
    assert got.read_text() == script
    assert client.run("curl", "-sS", "--fail", url).stdout == script
