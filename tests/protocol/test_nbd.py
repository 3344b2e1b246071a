"""Volumes that are exports of NBD servers: qemu-nbd with a qcow2, nbdkit."""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import wait_until
from iscsilab import MIB, SanDaemon, Volume, need, qemu, run
from lab import iscsi

SIZE = 16 * MIB
CHECK_CONDITION = 2


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SanDaemon]:
    with SanDaemon(tmp_path_factory.mktemp("nbd") / "d") as d:
        yield d


class Server:
    """An NBD server on a Unix socket, which may be killed and started again."""

    def __init__(self, place: Path, *command: object) -> None:
        self.socket = place / "nbd.sock"
        self.command = [str(word) for word in command]
        self.process: subprocess.Popen | None = None

    @property
    def uri(self) -> str:
        return f"nbd+unix:///?socket={self.socket}"

    def start(self) -> "Server":
        with contextlib.suppress(FileNotFoundError):
            self.socket.unlink()
        environment = {k: v for k, v in os.environ.items() if k != "ASAN_OPTIONS"}
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, env=environment)
        wait_until(self.socket.exists, "the NBD server's socket", 60)
        return self

    def kill(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        self.process = None


@pytest.fixture()
def qcow2(tmp_path: Path) -> Iterator[Server]:
    """qemu-nbd with an empty qcow2, which stays when its clients go."""
    need("qemu-nbd", "qemu-img")
    disk = tmp_path / "disk.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", disk, SIZE)
    server = Server(tmp_path, "qemu-nbd", "--persistent", "-f", "qcow2", "-k", tmp_path / "nbd.sock",
                    "--shared=4", disk)
    yield server.start()
    server.kill()


@pytest.fixture()
def nbdkit(tmp_path: Path) -> Iterator:
    """Starts nbdkit with these words."""
    need("nbdkit")
    servers = []

    def start(*words: object) -> Server:
        servers.append(Server(tmp_path, "nbdkit", "-f", "-U", tmp_path / "nbd.sock", *words))
        return servers[-1].start()
    yield start
    for server in servers:
        server.kill()


class TcpServer:
    """nbdkit with a disk in a file, on a port of its own, which may be killed and started again."""

    def __init__(self, place: Path, *words: object) -> None:
        self.words = [str(word) for word in words]
        self.disk = place / "tcp.raw"
        self.process: subprocess.Popen | None = None
        self.port = 0
        if not self.disk.exists():
            self.disk.write_bytes(bytes(SIZE))

    def launch(self) -> bool:
        """False: somebody else has taken the port."""
        self.process = subprocess.Popen(["nbdkit", "-f", "-i", "127.0.0.1", "-p", str(self.port), *self.words,
                                         "file", str(self.disk)], stdin=subprocess.DEVNULL)
        wait_until(lambda: self.process.poll() is not None or self.answers(), "nbdkit's port", 60)
        return self.process.poll() is None

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 10):
            return True
        return False

    def start(self) -> "TcpServer":
        while not self.port:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port = free.getsockname()[1]
            if not self.launch():
                self.port = 0
        return self

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def uri(self, scheme: str = "nbd", user: str = "", query: str = "", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{user}{host}:{self.port}/{query}"


@pytest.fixture()
def tcp(tmp_path: Path) -> Iterator:
    """Starts nbdkit with these words, on TCP."""
    need("nbdkit")
    servers = []

    def start(*words: object) -> TcpServer:
        servers.append(TcpServer(tmp_path, *words))
        return servers[-1].start()
    yield start
    for server in servers:
        server.kill()


def use(daemon: SanDaemon, name: str, uri: str) -> None:
    """It is made, written to, read, and removed."""
    daemon.ok("volume", "create", name, "--nbd", uri, "--allow", iscsi.INITIATOR)
    data = os.urandom(256 * 512)
    with Volume(name, Path("/"), daemon.portal).session() as session:
        session.write(8, data, fua=True)
        assert session.read(8, 256) == data
        session.flush()
        session.logout()
    daemon.ok("volume", "remove", name)


def volume(daemon: SanDaemon, name: str, server: Server, **body: object) -> Volume:
    daemon.post("/v1/volumes", name=name, nbd=server.uri, allow=[iscsi.INITIATOR], **body).result  # noqa: B018
    return Volume(name, Path("/"), daemon.portal)


def test_a_qcow2_behind_qemu_nbd(daemon, qcow2, tmp_path):
    """It is written through us, and is what is in the qcow2 afterwards."""
    source, back = tmp_path / "source.raw", tmp_path / "back.raw"
    source.write_bytes(os.urandom(3 * MIB) + bytes(SIZE - 3 * MIB))
    v = volume(daemon, "qcow2", qcow2)
    run("qemu-img", "convert", "-n", "-f", "raw", "--target-image-opts", source, qemu(v))
    run("qemu-img", "convert", "--image-opts", "-O", "raw", qemu(v), back)
    assert back.read_bytes() == source.read_bytes()
    with v.session() as session:
        assert session.capacity() == (SIZE // 512, 512)
        session.unmap((0, 2048))
        assert session.read(0, 256) == bytes(256 * 512)
        session.write(7, b"x" * 512, fua=True)
        session.flush()
        session.logout()
    shown = daemon.get("/v1/volumes/qcow2").json
    assert (shown["kind"], shown["path"], shown["size"], shown["used"]) == ("nbd", qcow2.uri, SIZE, None)
    assert qcow2.uri in daemon.ok("volume", "show", "qcow2")
    daemon.ok("volume", "remove", "qcow2")
    run("qemu-img", "convert", "-f", "raw", "-O", "raw", qcow2.uri, back)
    assert back.read_bytes()[:8 * 512] == bytes(7 * 512) + b"x" * 512


def test_it_becomes_a_file_and_an_image(daemon, qcow2, tmp_path):
    """Read through us, while nobody uses it."""
    v = volume(daemon, "out", qcow2)
    data = os.urandom(MIB)
    with v.session() as session:
        session.write(2048, data)
        refused = daemon.cli("volume", "export", "out", tmp_path / "a.raw")
        assert refused.returncode == 1 and "shut that machine down" in refused.stderr
        assert session.logout() == 0
    daemon.ok("volume", "export", "out", tmp_path / "a.raw")
    daemon.ok("volume", "export", "out", tmp_path / "a.qcow2")
    expected = bytes(MIB) + data + bytes(SIZE - 2 * MIB)
    assert (tmp_path / "a.raw").read_bytes() == expected
    assert (tmp_path / "a.raw").stat().st_blocks * 512 < 2 * MIB
    run("qemu-img", "compare", tmp_path / "a.qcow2", tmp_path / "a.raw")
    daemon.ok("volume", "commit", "out", "from-nbd")
    assert (daemon.state / "images/from-nbd/1.raw").read_bytes() == expected
    daemon.ok("volume", "remove", "out")


def test_a_server_that_is_started_again_is_gone_on_with(daemon, qcow2):
    """What was flushed is there, and what was under way is carried out by the next one."""
    v = volume(daemon, "again", qcow2)
    with v.session() as session:
        for round_ in range(3):
            data = os.urandom(64 * 512)
            session.write(round_ * 64, data)
            session.flush()
            qcow2.process.send_signal(signal.SIGSTOP)
            tasks = [session.start(iscsi.write_cdb(4096 + n * 64, 64, fua=True), write=data) for n in range(8)]
            qcow2.kill()
            qcow2.start()
            for task in tasks:
                assert session.wait(task).good, task
            assert session.read(round_ * 64, 64) == data
            assert session.read(4096 + 7 * 64, 64) == data
            session.flush()
        session.logout()
    daemon.ok("volume", "remove", "again")


def test_what_was_not_flushed_is_lost_with_its_server(daemon, qcow2):
    """Then there are errors only, until the initiator has let go of it."""
    v = volume(daemon, "lost", qcow2)
    with v.session() as session:
        session.write(0, b"a" * 512)
        qcow2.kill()
        qcow2.start()
        for cdb in (iscsi.read_cdb(0, 1), iscsi.read_cdb(1, 1)):
            assert session.command(cdb, read=512).status == CHECK_CONDITION
        session.logout()
    assert daemon.lines("volume lost", "writes to nbd+unix:", "are lost", "see what has become of its NBD server")
    with v.session() as session:
        session.write(0, b"b" * 512, fua=True)
        assert session.read(0, 1) == b"b" * 512
        session.logout()
    daemon.ok("volume", "remove", "lost")


def test_a_server_that_is_gone(daemon, nbdkit):
    """What is asked fails, in the end; the daemon goes on."""
    server = nbdkit("memory", SIZE)
    v, other = volume(daemon, "gone", server), daemon.volume("other")
    with v.session() as session, other.session() as well:
        session.write(0, b"a" * 512, fua=True)
        server.kill()
        task = session.start(iscsi.read_cdb(0, 1), read=512)
        well.write(0, b"c" * 512)
        assert well.read(0, 1) == b"c" * 512
        session.socket.settimeout(240)
        assert session.wait(task).status == CHECK_CONDITION
        session.logout()
        well.logout()
    daemon.ok("volume", "remove", "gone")
    daemon.ok("volume", "remove", "other")


def test_errors_and_delays_of_a_server(daemon, nbdkit, tmp_path):
    trigger = tmp_path / "fail"
    server = nbdkit("--filter=error", "--filter=delay", "memory", SIZE, "error=EIO", "error-pread-rate=100%",
                    f"error-file={trigger}", "delay-read=50ms", "delay-write=50ms")
    v = volume(daemon, "errors", server)
    with v.session() as session:
        data = os.urandom(64 * 512)
        session.write(0, data)
        trigger.touch()
        assert session.command(iscsi.read_cdb(0, 8), read=4096).status == CHECK_CONDITION
        trigger.unlink()
        tasks = [session.start(iscsi.read_cdb(n, 1), read=512) for n in range(32)]
        for n, task in enumerate(tasks):
            assert session.wait(task).good
            assert bytes(task.data) == data[n * 512:(n + 1) * 512]
        session.logout()
    daemon.ok("volume", "remove", "errors")


def test_what_an_export_can_is_looked_at(daemon, nbdkit):
    server = nbdkit("-r", "memory", SIZE)
    words = daemon.refused("volume", "create", "ro", "--nbd", server.uri)
    assert "use --read-only" in words
    daemon.ok("volume", "create", "ro", "--nbd", server.uri, "--read-only", "--allow", iscsi.INITIATOR)
    with Volume("ro", Path("/"), daemon.portal).session() as session:
        assert session.read(0, 8) == bytes(4096)
        assert session.command(iscsi.write_cdb(0, 1), write=bytes(512)).status == CHECK_CONDITION
        session.logout()
    daemon.ok("volume", "remove", "ro")
    server.kill()
    assert "see whether its server runs" in daemon.refused("volume", "create", "none", "--nbd", server.uri)


def test_an_export_of_large_blocks(daemon, nbdkit):
    server = nbdkit("--filter=blocksize-policy", "memory", SIZE, "blocksize-minimum=4096",
                    "blocksize-preferred=4096", "blocksize-maximum=1M", "blocksize-error-policy=error")
    words = daemon.refused("volume", "create", "large", "--nbd", server.uri, "--block-size", "512")
    assert "use --block-size 4096" in words
    v = volume(daemon, "large", server)
    with v.session() as session:
        assert session.capacity() == (SIZE // 4096, 4096)
        session.write(3, b"l" * 8192, block_size=4096)
        assert session.read(3, 2, block_size=4096) == b"l" * 8192
        session.flush()
        session.logout()
    daemon.ok("volume", "remove", "large")


def test_a_daemon_that_is_restarted_finds_it_again(tmp_path, nbdkit):
    server = nbdkit("memory", SIZE)
    with SanDaemon(tmp_path / "d") as daemon:
        v = volume(daemon, "kept", server)
        with v.session() as session:
            session.write(5, b"k" * 512)
            session.logout()
        daemon.stop()
        daemon.start()
        assert daemon.get("/v1/volumes/kept").json["path"] == server.uri
        with v.session() as session:
            assert session.read(5, 1) == b"k" * 512
            session.logout()


def test_over_tcp(daemon, tcp):
    """Also when its server is started again."""
    server = tcp()
    use(daemon, "tcp", server.uri())
    daemon.ok("volume", "create", "again", "--nbd", server.uri(), "--allow", iscsi.INITIATOR)
    with Volume("again", Path("/"), daemon.portal).session() as session:
        session.write(0, b"x" * 512, fua=True)
        server.kill()
        task = session.start(iscsi.read_cdb(0, 1), read=512)
        assert server.launch()
        session.socket.settimeout(120)
        assert session.wait(task).good and bytes(task.data) == b"x" * 512
        session.logout()
    daemon.ok("volume", "remove", "again")


def test_over_tls_with_a_shared_key(daemon, tcp, tmp_path):
    """Another key is refused, so is a server that does not encrypt: nothing goes there in the clear."""
    key, other = tmp_path / "key.psk", tmp_path / "other.psk"
    key.write_text(f"alice:{os.urandom(32).hex()}\n")
    other.write_text(f"alice:{os.urandom(32).hex()}\n")
    for path in (key, other):
        path.chmod(0o600)
    server = tcp("--tls=require", f"--tls-psk={key}")
    use(daemon, "psk", server.uri("nbds", "alice@", f"?tls-psk-file={key}"))
    for uri in (server.uri("nbds", "alice@", f"?tls-psk-file={other}"),
                server.uri("nbds", "bob@", f"?tls-psk-file={key}"),
                server.uri("nbds", "alice@", f"?tls-psk-file={tmp_path}/none"), server.uri(),
                tcp().uri("nbds", "alice@", f"?tls-psk-file={key}")):
        words = daemon.refused("volume", "create", "bad", "--nbd", uri)
        assert "cannot use the NBD export" in words and uri[:60] in words, (uri, words)


def make_certificates(place: Path) -> Path:
    """Of a CA and of a server that is called localhost, as nbdkit and libnbd want them."""
    need("openssl")
    place.mkdir()
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", place / "ca-key.pem", "-out",
        place / "ca-cert.pem", "-days", "2", "-subj", "/CN=authority")
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", place / "server-key.pem", "-out",
        place / "server.csr", "-subj", "/CN=localhost")
    (place / "names").write_text("subjectAltName=DNS:localhost\n")
    run("openssl", "x509", "-req", "-in", place / "server.csr", "-CA", place / "ca-cert.pem", "-CAkey",
        place / "ca-key.pem", "-CAcreateserial", "-days", "2", "-extfile", place / "names", "-out",
        place / "server-cert.pem")
    return place


def test_over_tls_with_certificates(daemon, tcp, tmp_path):
    """One of another authority is refused, and one that is for another name."""
    good, other = (make_certificates(tmp_path / name) for name in ("good", "other"))
    server = tcp("--tls=require", f"--tls-certificates={good}")
    use(daemon, "certificates", server.uri("nbds", "", f"?tls-certificates={good}", "localhost"))
    for uri in (server.uri("nbds", "", f"?tls-certificates={other}", "localhost"),
                server.uri("nbds", "", f"?tls-certificates={good}")):
        words = daemon.refused("volume", "create", "bad", "--nbd", uri)
        assert "cannot use the NBD export" in words, (uri, words)
