"""Boot entries whose files come from another server: fetched once, checked, kept, and fetched anew."""

import hashlib
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from daemon import Daemon, wait_until
from netlab import inside
from policylab import MAC, Machine, daemon, machine  # noqa: F401


class Mirror:
    """A web server whose files are texts; what is None ends in the middle."""

    def __init__(self) -> None:
        self.files: dict[str, bytes | None] = {}
        self.asked: list[str] = []
        self.go_on = threading.Event()
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.path)
        if request.path == "/moved":
            request.send_response(302)
            request.send_header("Location", "/linux")
            request.end_headers()
            return
        if request.path not in self.files:
            request.send_error(404)
            return
        data = self.files[request.path]
        request.send_response(200)
        request.send_header("Content-Length", str(len(data) if data is not None else 1 << 20))
        request.end_headers()
        if data is None:
            request.wfile.write(bytes(1 << 16))
            self.go_on.wait(60)
        else:
            request.wfile.write(data)

    def close(self) -> None:
        self.go_on.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def mirror(lab) -> Iterator[Mirror]:
    with inside(lab.server):
        mirror = Mirror()
    mirror.files = {"/linux": b"the kernel", "/initrd": b"the initrd"}
    yield mirror
    mirror.close()


def entry(daemon: Daemon) -> dict | None:
    return next((e for e in daemon.get("/v1/boot-entries").json["entries"] if e["name"] == "live"), None)


def kept(daemon: Daemon) -> set[str]:
    return {p.name for p in (daemon.state / "entries").iterdir()}


def names(*contents: bytes) -> set[str]:
    return {hashlib.sha256(c).hexdigest() for c in contents}


def fetched(machine: Machine, file: str) -> str:
    status, text = machine.get(f"/entry/live/{file}?mac={MAC}")
    assert status == 200, text
    return text


def test_what_is_fetched_is_kept_and_served(daemon: Daemon, machine: Machine, mirror: Mirror) -> None:
    done = daemon.ok("entry", "add", "live", "--kernel", f"{mirror.url}/moved", "--initrd", f"{mirror.url}/initrd")
    assert "entry live is there" in done
    assert kept(daemon) == names(b"the kernel", b"the initrd")
    shown = daemon.ok("entry", "show", "live")
    assert f"{mirror.url}/moved" in shown and f"{mirror.url}/initrd" in shown
    mirror.close()
    daemon.stop()
    daemon.start()
    daemon.ok("boot", "web1", "live")
    machine.power_on()
    assert fetched(machine, "kernel") == "the kernel" and fetched(machine, "initrd0") == "the initrd"
    daemon.ok("boot", "web1", "--clear")
    daemon.ok("entry", "remove", "live")
    assert kept(daemon) == set()


def test_files_of_both_kinds(daemon: Daemon, mirror: Mirror, tmp_path) -> None:
    here = tmp_path / "more"
    here.write_text("mine")
    daemon.ok("entry", "add", "live", "--kernel", f"{mirror.url}/linux", "--initrd", here, "--initrd",
              f"{mirror.url}/initrd")
    e = entry(daemon)
    assert e["initrds"][0] == str(here) and e["initrd_urls"] == [None, f"{mirror.url}/initrd"]
    assert kept(daemon) == names(b"the kernel", b"the initrd")


def test_the_same_content_is_there_once(daemon: Daemon, mirror: Mirror) -> None:
    for name in ("live", "other"):
        daemon.ok("entry", "add", name, "--kernel", f"{mirror.url}/linux", "--initrd", f"{mirror.url}/linux")
    assert kept(daemon) == names(b"the kernel")
    daemon.ok("entry", "remove", "other")
    assert kept(daemon) == names(b"the kernel")


@pytest.mark.parametrize("change, words", [
    ({"/initrd": b"another"}, "is not what it must be"),
    ({"/initrd": None}, "cannot fetch"),
    ("gone", "404"),
])
def test_what_is_wrong_changes_nothing(daemon: Daemon, mirror: Mirror, change, words: str) -> None:
    add = ("entry", "add", "live", "--kernel", f"{mirror.url}/linux", "--initrd", f"{mirror.url}/initrd",
           "--initrd-sha256", hashlib.sha256(b"the initrd").hexdigest())
    mirror.go_on.set()
    if change == "gone":
        del mirror.files["/initrd"]
    else:
        mirror.files |= change
    said = daemon.refused(*add)
    assert words in said and f"{mirror.url}/initrd" in said
    assert entry(daemon) is None and kept(daemon) == set()
    mirror.files["/initrd"] = b"the initrd"
    daemon.ok(*add)
    before = entry(daemon)
    if change == "gone":
        del mirror.files["/initrd"]
    else:
        mirror.files |= change
    assert words in daemon.refused("entry", "fetch", "live")
    assert entry(daemon) == before and kept(daemon) == names(b"the kernel", b"the initrd")


def test_fetched_anew(daemon: Daemon, machine: Machine, mirror: Mirror) -> None:
    daemon.ok("entry", "add", "live", "--kernel", f"{mirror.url}/linux", "--initrd", f"{mirror.url}/initrd")
    mirror.files |= {"/linux": b"a newer kernel"}
    assert "has what its URLs have now" in daemon.ok("entry", "fetch", "live")
    assert kept(daemon) == names(b"a newer kernel", b"the initrd")
    daemon.ok("boot", "web1", "live")
    machine.power_on()
    assert fetched(machine, "kernel") == "a newer kernel"


def test_it_is_read_where_it_is(daemon: Daemon, tmp_path) -> None:
    (tmp_path / "linux").write_text("mine")
    daemon.ok("entry", "add", "live", "--kernel", tmp_path / "linux")
    assert "read where they are" in daemon.refused("entry", "fetch", "live")
    assert "no entry" in daemon.refused("entry", "fetch", "none")


@pytest.mark.parametrize("url", ["http://", "https:///linux", "http://me:secret@mirror/linux", "http://m/a b",
                                 "http://m/" + "a" * 1000, "http://m/ä"])
def test_urls_that_are_none(daemon: Daemon, url: str) -> None:
    said = daemon.refused("entry", "add", "live", "--kernel", url)
    assert "URL" in said and "secret" not in said.replace(url, "")


def test_nobody_is_there(daemon: Daemon, mirror: Mirror) -> None:
    mirror.close()
    said = daemon.refused("entry", "add", "live", "--kernel", f"{mirror.url}/linux")
    assert "cannot fetch" in said and entry(daemon) is None


@pytest.mark.parametrize("how", ["the caller goes", "the daemon is killed", "the daemon is stopped"])
def test_in_the_middle(daemon: Daemon, mirror: Mirror, how: str) -> None:
    mirror.files["/initrd"] = None
    process = subprocess.Popen([daemon.program, "--socket", daemon.socket, "entry", "add", "live", "--kernel",
                                f"{mirror.url}/linux", "--initrd", f"{mirror.url}/initrd"], stderr=subprocess.PIPE)
    wait_until(lambda: "/initrd" in mirror.asked and kept(daemon) == names(b"the kernel"), "the first to be there")
    if how == "the caller goes":
        process.kill()
    elif how == "the daemon is killed":
        daemon.kill()
        daemon.start()
    else:
        daemon.stop()
        daemon.start()
    process.communicate(timeout=60)
    wait_until(lambda: kept(daemon) == set(), "what no entry names to be removed")
    assert entry(daemon) is None
    mirror.files["/initrd"] = b"the initrd"
    mirror.go_on.set()
    daemon.ok("entry", "add", "live", "--kernel", f"{mirror.url}/linux", "--initrd", f"{mirror.url}/initrd")
    assert kept(daemon) == names(b"the kernel", b"the initrd")
