"""A daemon with an iSCSI portal of its own on loopback, and what the tests of it share."""

import contextlib
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from daemon import BASE_IQN, NODISK, ROOT, Daemon, need, wait_until

sys.path.insert(0, str(ROOT / "tests"))
from lab.iscsi import INITIATOR, LoginRefused, Session  # noqa: E402

MIB = 1 << 20
_daemons = itertools.count()


@dataclass
class Volume:
    """A volume as a test needs it."""

    name: str
    path: Path
    portal: tuple[str, int]

    @property
    def target(self) -> str:
        """Its iSCSI name."""
        return f"{BASE_IQN}:{self.name}"

    @property
    def url(self) -> str:
        """As libiscsi writes it."""
        return f"iscsi://{self.portal[0]}:{self.portal[1]}/{self.target}/0"

    def session(self, **how: object) -> Session:
        """A session of the initiator that is allowed, logged in."""
        session = Session(self.portal, self.target, **how)
        try:
            return session.login()
        except BaseException:
            session.close()
            raise

    def bytes_at(self, offset: int, size: int) -> bytes:
        """What lies in its file or on its device."""
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(size)


class SanDaemon(Daemon):
    """Listens on an address of loopback that no other daemon has, so that its port is known.

    program, prefix: what is run, and the words before it. iscsi: more lines of that section.
    """

    def __init__(self, work: Path, state: Path | None = None, portal: tuple[str, int] | None = None,
                 threads: int = 2, program: str = NODISK, prefix: tuple[str, ...] = (), iscsi: str = "") -> None:
        pid, n = os.getpid(), next(_daemons)
        self.portal = portal or (f"127.{64 + n % 64}.{pid >> 8 & 255}.{pid & 255}", 3260)
        self.threads, self.prefix, self.iscsi = threads, prefix, iscsi
        super().__init__(work, state, program)

    def write_config(self, more: str = "") -> None:
        self.config.write_text(
            f"[server]\nstate-directory = {self.state}\nsocket = {self.socket}\nbase-iqn = {BASE_IQN}\n"
            f"[iscsi]\nlisten = {self.portal[0]}:{self.portal[1]}\nthreads = {self.threads}\n{self.iscsi}"
            f"[http]\nlisten = 127.0.0.1:0\n[tftp]\nlisten = 127.0.0.1:0\n"
            f"[storage]\nwarn-free = {self.warn_free}\n{more}")

    def launch(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*self.prefix, self.program, "serve", "--config", self.config],
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def volume(self, name: str = "disk", size: int = 64 * MIB, allow: tuple[str, ...] = (INITIATOR,),
               **body: object) -> Volume:
        """Makes a volume; without more words an empty one for the tests' own initiator."""
        if "file" not in body and "device" not in body:
            body["size"] = size
        if allow == ("any",):
            body["allow_any"] = True
        else:
            body["allow"] = list(allow)
        made = self.post("/v1/volumes", name=name, **body).result
        return Volume(name, Path(made["path"]), self.portal)

    def counter(self, name: str) -> int:
        """One of the iSCSI counters."""
        return self.get("/v1/status").json["counters"]["iscsi"][name]

    def wait_for(self, name: str, value: int) -> None:
        """Until a counter has that value."""
        wait_until(lambda: self.counter(name) == value, f"{name} to be {value}, not {self.counter(name)}")


def run(*command: object, timeout: float = 120, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs somebody else's program."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=timeout,
                          stdin=subprocess.DEVNULL)
    assert not check or done.returncode == 0, f"{words} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done


def qemu(volume: Volume, **more: object) -> str:
    """QEMU's words for a volume."""
    options = {"driver": "raw", "file.driver": "iscsi", "file.transport": "tcp",
               "file.portal": f"{volume.portal[0]}:{volume.portal[1]}", "file.target": volume.target,
               "file.lun": 0, "file.initiator-name": INITIATOR, **{k.replace("_", "-"): v for k, v in more.items()}}
    return ",".join(f"{key}={value}" for key, value in options.items())


@contextlib.contextmanager
def loop_device(file: Path, *options: str) -> Iterator[str]:
    """The file as a block device."""
    device = run("losetup", "--find", "--show", *options, file).stdout.strip()
    try:
        yield device
    finally:
        run("losetup", "--detach", device)


def refusal(portal: tuple[str, int], target: str, initiator: str = INITIATOR, **how: object) -> int:
    """The status with which a login is refused."""
    with Session(portal, target, initiator, **how) as session, pytest.raises(LoginRefused) as refused:
        session.login()
    return refused.value.status
