"""`nodisk serve` as a program: starting, telling the service manager, reloading, stopping, and what
it says when it cannot."""

import os
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from daemon import NODISK, ROOT, Daemon, listing, wait_until


class Manager:
    """What systemd is for a service: a socket that it tells its state to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(60)

    def hear(self) -> list[str]:
        """The lines of the next message."""
        return self.socket.recv(4096).decode().splitlines()


@pytest.fixture
def manager(tmp_path, monkeypatch):
    m = Manager(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", str(m.path))
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    yield m
    m.socket.close()


def serve(*words: object) -> subprocess.CompletedProcess:
    return subprocess.run([NODISK, "serve", *map(str, words)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=60)


# --- the service manager ---


def test_ready_reloading_and_stopping_are_told(manager, tmp_path):
    d = Daemon(tmp_path / "d")
    d.launch()
    assert manager.hear() == ["READY=1"]
    assert d.get("/v1/status").status == 200  # ready means that it answers
    d.process.send_signal(signal.SIGHUP)
    told = manager.hear()
    assert told[0] == "RELOADING=1" and told[1].startswith("MONOTONIC_USEC=")
    assert manager.hear() == ["READY=1"]
    d.process.send_signal(signal.SIGTERM)
    assert manager.hear() == ["STOPPING=1"]
    assert d.process.wait(timeout=60) == 0
    assert not d.socket.exists()


def test_the_watchdog_is_fed(manager, tmp_path, monkeypatch):
    d = Daemon(tmp_path / "d")
    monkeypatch.setenv("WATCHDOG_USEC", "400000")
    d.launch()
    told = [manager.hear() for _ in range(4)]
    assert ["READY=1"] in told and told.count(["WATCHDOG=1"]) == 3
    d.process.send_signal(signal.SIGTERM)
    assert d.process.wait(timeout=60) == 0


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
def test_the_unit_is_good(tmp_path):
    text = (ROOT / "data/nodisk.service.in").read_text()
    unit = tmp_path / "nodisk.service"
    unit.write_text(text.replace("@bindir@/nodisk", str(Path(NODISK).resolve())).replace("@sysconfdir@", "/etc"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    assert done.returncode == 0 and "nodisk.service" not in done.stderr, done.stderr


# --- configuration ---


def test_without_a_file_it_says_what_to_write():
    done = serve()
    assert done.returncode == 2 and "[subnet lab]" in done.stderr


def test_check_names_file_line_and_key_of_every_mistake(tmp_path):
    config = tmp_path / "c.conf"
    config.write_text("[server]\nbase-iqn = iqn.2026-11.Lan\n\n[iscsi]\nlisten = 0.0.0.0\nport = 1\n"
                      "[subnet a]\nnetwork = 10.0.0.1/24\nrange = 10.0.0.9-10.0.0.8\n")
    done = serve("--check", "--config", config)
    assert done.returncode == 1 and done.stdout == ""
    for line, key, words in ((2, "[server] base-iqn", "lower case"), (5, "[iscsi] listen", "ADDRESS:PORT"),
                             (6, "[iscsi] port", "no such key"), (8, "[subnet a] network", "must be NETWORK/BITS"),
                             (9, "[subnet a] range", "has its last address before its first")):
        assert any(f"{config}:{line}: {key}" in said and words in said
                   for said in done.stderr.splitlines()), (key, done.stderr)
    config.write_text("[server]\nbase-iqn = iqn.2026-11.lan.example\n")
    done = serve("--check", "--config", config)
    assert (done.returncode, done.stdout) == (0, f"{config}: good\n")
    assert "cannot be read" in serve("--check", "--config", tmp_path / "none").stderr


def test_a_reload_with_a_mistake_changes_nothing(tmp_path):
    with Daemon(tmp_path / "d") as d:
        d.write_config("[subnet a]\nnetwork = nonsense\n")
        d.process.send_signal(signal.SIGHUP)
        d.wait_line("configuration not reloaded: the old one stays in force")
        d.wait_line("[subnet a] network")
        assert d.get("/v1/status").status == 200
        d.write_config()
        d.process.send_signal(signal.SIGHUP)
        d.wait_line("configuration reloaded")


def test_what_a_reload_cannot_change_is_told(tmp_path):
    with Daemon(tmp_path / "d") as d:
        d.config.write_text(d.config.read_text().replace("[iscsi]\nlisten = 127.0.0.1:0", "[iscsi]\nlisten = [::1]:0"))
        d.process.send_signal(signal.SIGHUP)
        d.wait_line("changes only with a restart")


# --- what is in the way ---


@pytest.mark.parametrize("section, kind", [("iscsi", socket.SOCK_STREAM), ("http", socket.SOCK_STREAM),
                                           ("tftp", socket.SOCK_DGRAM)])
def test_a_port_in_use_is_one_sentence(tmp_path, section, kind):
    d = Daemon(tmp_path / "d")
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        port = other.getsockname()[1]
        d.config.write_text(d.config.read_text().replace(f"[{section}]\nlisten = 127.0.0.1:0",
                                                         f"[{section}]\nlisten = 127.0.0.1:{port}"))
        said = d.fail_to_start()
    assert (f"{section}: 127.0.0.1:{port} is in use by another program; stop it or set another address under "
            f"[{section}]") in said
    assert said.count("error:") == 1
    assert not d.socket.exists()


def test_a_file_where_the_socket_should_be_is_left_alone(tmp_path):
    d = Daemon(tmp_path / "d")
    d.socket.write_text("precious")
    assert "is in the way and is no socket" in d.fail_to_start()
    assert d.socket.read_text() == "precious"


def test_a_copy_of_the_state_directory_leaves_the_original_alone(tmp_path):
    with Daemon(tmp_path / "d") as d:
        assert d.post("/v1/volumes", name="disk", size=1 << 20).result
        original = Path(d.get("/v1/volumes/disk").json["path"])
        assert original == d.state / "volumes/disk.raw"
    shutil.copytree(d.state, tmp_path / "copy")
    with d, Daemon(tmp_path / "other", state=tmp_path / "copy") as other:
        assert other.get("/v1/volumes/disk").json["path"] == str(tmp_path / "copy/volumes/disk.raw")
        assert other.delete("/v1/volumes/disk").status == 200
        assert original.exists() and not (tmp_path / "copy/volumes/disk.raw").exists()
        assert d.get("/v1/volumes/disk").status == 200


# --- a log that nobody reads ---


def test_a_log_that_nobody_reads_holds_nobody_up(tmp_path):
    """More messages than a pipe takes; the control thread and everybody else go on."""
    d = Daemon(tmp_path / "d")
    d.config.write_text(d.config.read_text().replace("[iscsi]", "log-level = debug\n[iscsi]"))
    reader, writer = os.pipe()
    d.process = subprocess.Popen([NODISK, "serve", "--config", d.config], stdin=subprocess.DEVNULL,
                                 stdout=writer, stderr=writer)
    os.close(writer)
    try:
        wait_until(lambda: d.socket.exists() and d.get("/v1/status").status == 200, "the daemon")
        port = listening_port(d.process.pid)
        for _ in range(1500):  # each end of a connection is a line
            socket.create_connection(("127.0.0.1", port), timeout=60).close()
        wait_until(lambda: d.get("/v1/status").json["counters"]["iscsi"]["connections"] >= 1500, "the connections")
        assert d.post("/v1/groups", name="still-there").status == 200
        drain = threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(reader, 65536), b"")])
        drain.start()
        d.stop()
        drain.join(30)
    finally:
        os.close(reader)
        if d.process:
            d.kill()


def listening_port(pid: int) -> int:
    """The TCP port of the daemon where iSCSI is spoken: the one that closes upon an HTTP request."""
    inodes = {to[8:-1] for to in listing(f"/proc/{pid}/fd", os.readlink) if to.startswith("socket:[")}
    ports = [int(fields[1].split(":")[1], 16)
             for fields in map(str.split, Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:])
             if fields[3] == "0A" and fields[9] in inodes]
    for port in sorted(set(ports)):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as s:
            s.sendall(b"GET / HTTP/1.0\r\n\r\n" + bytes(48))
            if not s.recv(16).startswith(b"HTTP"):
                return port
    raise AssertionError(f"no iSCSI port among {ports}")
