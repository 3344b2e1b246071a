"""`nodisk serve` on directories of its own, with listeners on loopback alone.

The program is named by the environment variable NODISK (the build sets it); without it the tests
look for build/nodisk.
"""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
NODISK = os.environ.get("NODISK", str(ROOT / "build" / "nodisk"))
RELOADED = re.compile(r"configuration (?:not )?reloaded")
BASE_IQN = "iqn.2026-11.lan.example"


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float = 60) -> None:
        super().__init__("nodisk", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Answer:
    """An answer of the API: status, all JSON lines of the body."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.type = response.headers.get("Content-Type", "")
        self.lines = [json.loads(line) for line in response.read().splitlines() if line.strip()]

    @property
    def json(self) -> dict:
        return self.lines[-1]

    @property
    def error(self) -> str:
        return self.json["error"]

    @property
    def result(self) -> dict:
        assert self.status == 200, self.lines
        return self.json["result"]


class Daemon:
    """One daemon and how to ask it."""

    #: How much should be free: a test that fills a file system does not want its initiators warned.
    warn_free = "0"

    def __init__(self, work: Path, state: Path | None = None, program: str = NODISK) -> None:
        self.work, self.program = work, program
        self.state = state or work / "state"
        self.socket = work / "socket"
        self.config = work / "nodisk.conf"
        self.log = work / "log"
        self.process: subprocess.Popen | None = None
        work.mkdir(parents=True, exist_ok=True)
        self.write_config()

    def write_config(self, more: str = "") -> None:
        self.config.write_text(
            f"[server]\nstate-directory = {self.state}\nsocket = {self.socket}\n"
            f"base-iqn = {BASE_IQN}\n"
            "[iscsi]\nlisten = 127.0.0.1:0\nthreads = 1\n[http]\nlisten = 127.0.0.1:0\n"
            f"[tftp]\nlisten = 127.0.0.1:0\n[storage]\nwarn-free = {self.warn_free}\n{more}")

    def launch(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([self.program, "serve", "--config", self.config],
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def start(self) -> "Daemon":
        self.launch()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the daemon ended:\n{self.output()}")
            try:
                if self.get("/v1/status").status == 200:
                    return self
            except OSError:
                time.sleep(0.02)
        raise TimeoutError(f"the daemon does not answer:\n{self.output()}")

    def fail_to_start(self) -> str:
        """Starts it, expects that it refuses, and returns what it says."""
        self.log.unlink(missing_ok=True)
        self.launch()
        try:
            assert self.process.wait(timeout=60) == 1, self.output()
        finally:
            self.kill()
        return self.output()

    def stop(self) -> None:
        """A clean stop; anything else is a failure."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=60)
        self.process = None
        assert status == 0, self.output()
        assert not self.socket.exists()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=60)
        self.process = None

    # --- its log, which a thread of its own writes, later than things happen ---

    def output(self) -> str:
        """The log, as far as it is written."""
        return self.log.read_text(errors="replace")

    def _lines(self, words: tuple[str, ...]) -> list[str]:
        return [line for line in self.output().splitlines() if all(word in line for word in words)]

    def wait_line(self, *words: str, times: int = 1, seconds: float = 60) -> None:
        """Until the log has a line with all these words, or so many of them."""
        wait_until(lambda: len(self._lines(words)) >= times, lambda: f"{words} in the log:\n{self.output()}", seconds)

    def lines(self, *words: str) -> list[str]:
        """The lines of the log, about all that has happened, that have all these words."""
        if self.process and self.process.poll() is None:
            self.settle()
        return self._lines(words)

    def settle(self) -> None:
        """Until the log has all that has happened: the control thread reads its configuration again,
        and before it does so a second time, it has taken what it was told before the first."""
        self.reload()
        self.reload()

    def reload(self) -> None:
        """SIGHUP, until the daemon says what came of it."""
        before = len(RELOADED.findall(self.output()))
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(RELOADED.findall(self.output())) > before,
                   lambda: f"the reload:\n{self.output()}")

    def __enter__(self) -> "Daemon":
        return self.start()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.stop()
        elif self.process is not None:
            self.kill()

    # --- asking ---

    def request(self, method: str, path: str, body: object = None, raw: bytes | None = None) -> Answer:
        connection = UnixConnection(self.socket)
        data = raw if raw is not None else json.dumps(body) if body is not None else None
        try:
            connection.request(method, path, body=data)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def post(self, where: str, /, **body: object) -> Answer:
        return self.request("POST", where, body)

    def patch(self, where: str, /, **body: object) -> Answer:
        return self.request("PATCH", where, body)

    def delete(self, path: str) -> Answer:
        return self.request("DELETE", path)

    def cli(self, *words: object, env: dict | None = None,
            timeout: float = 120) -> subprocess.CompletedProcess:
        """Runs `nodisk WORDS` against this daemon."""
        return subprocess.run([NODISK, *map(str, words)], capture_output=True, text=True,
                              timeout=timeout, stdin=subprocess.DEVNULL,
                              env={**os.environ, "NODISK_SOCKET": str(self.socket), **(env or {})})

    def ok(self, *words: object) -> str:
        """The output of a command that must succeed."""
        done = self.cli(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, *words: object) -> str:
        """What a command that must be refused says."""
        done = self.cli(*words)
        assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
        assert done.stderr.startswith("nodisk: "), done.stderr
        return done.stderr

    def usage(self, *words: object) -> str:
        """What a command that is used wrongly says."""
        done = self.cli(*words)
        assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
        return done.stderr

    def memory_kib(self) -> int:
        """Resident memory of the daemon."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])


def sanitized(program: str = NODISK) -> bool:
    """Is it built with a sanitizer? Then its memory says nothing."""
    code = Path(program).read_bytes()
    return b"__asan_init" in code or b"__tsan_init" in code


def plain_program() -> str:
    """The program without sanitizers, for a test that looks at memory: NODISK_PLAIN names it."""
    named = os.environ.get("NODISK_PLAIN", NODISK if not sanitized() else str(ROOT / "build" / "nodisk"))
    if not Path(named).exists() or sanitized(named):
        pytest.skip(f"{named} is not there without sanitizers; build it, or name one by NODISK_PLAIN")
    return named


def make_image(path: Path, size: int = 8 << 20, data: int = 64 << 10) -> Path:
    """A sparse file with `data` random bytes in the middle."""
    with path.open("wb") as file:
        file.truncate(size)
        file.seek(size // 2)
        file.write(os.urandom(data))
    return path


@contextlib.contextmanager
def mounted(*arguments: object, place: Path) -> Iterator[Path]:
    """A file system, mounted with these arguments at a directory that is made for it."""
    place.mkdir()
    if subprocess.run(["mount", *map(str, arguments), place]).returncode:
        pytest.skip("needs root to mount")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def listing(directory: str, look: Callable[[Path], T]) -> list[T]:
    """What look() finds of each entry of a directory of /proc, without those that go meanwhile."""
    found = []
    for entry in Path(directory).iterdir():
        with contextlib.suppress(OSError):
            found.append(look(entry))
    return found


def is_gone(pid: int) -> bool:
    """Whether a process is no more; one that nobody has waited for yet is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def need(*programs: str) -> None:
    """Skips the test if one of them is not there."""
    for program in programs:
        if not shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin:/lib/systemd"):
            pytest.skip(f"{program} is not installed")


def wait_until(check: Callable[[], object], what: str | Callable[[], str], seconds: float = 60) -> None:
    """Until check() is true; it takes long where much else runs. what: that it waits for, or who says so."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"waited too long: {what() if callable(what) else what}"
        time.sleep(0.02)
