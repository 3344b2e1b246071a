"""What really went over the wire: tcpdump in the namespace, told by tshark.

An independent witness: nothing here is taken from a log of the server.
"""

import contextlib
import os
import signal
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .netns import BRIDGE, Namespace
from .process import LabError, run, wait_until

DHCP_TYPES = {1: "DISCOVER", 2: "OFFER", 3: "REQUEST", 4: "DECLINE", 5: "ACK", 6: "NAK",
              7: "RELEASE", 8: "INFORM"}
LOGIN_REQUEST, LOGIN_RESPONSE, COMMAND, LOGOUT = 0x03, 0x23, 0x01, 0x06

_FIELDS = ("frame.time_epoch ip.src tcp.stream dhcp.id dhcp.option.dhcp dhcp.hw.mac_addr "
           "tftp.opcode tftp.source_file udp.srcport http.request.method http.request.uri "
           "iscsi.opcode iscsi.isid iscsi.login.status iscsi.keyvalue "
           "iscsi.scsicommand.expecteddatatransferlength").split()


@dataclass
class Exchange:
    """One DHCP transaction."""

    at: float
    mac: str
    messages: list[str] = field(default_factory=list)


@dataclass
class Fetch:
    """A file over TFTP or HTTP."""

    at: float
    name: str


@dataclass
class Session:
    """One TCP connection to the target that tried to log in."""

    at: float
    keys: dict[str, str] = field(default_factory=dict)
    isid: str = ""
    status: int | None = None  # of the last login response; 0 = logged in
    logged_in_at: float | None = None
    commands: int = 0
    bytes: int = 0  # asked for or sent, by all commands
    command_times: list[float] = field(default_factory=list)
    last_at: float = 0.0
    logged_out: bool = False

    @property
    def stage(self) -> str:
        """Who it was: Linux's initiator has an ISID of its own, always the same."""
        return "linux" if self.isid.startswith("00023d") else "firmware"


@dataclass
class Summary:
    """All of it; times are seconds since the origin that was given."""

    dhcp: list[Exchange] = field(default_factory=list)
    tftp: list[Fetch] = field(default_factory=list)
    http: list[Fetch] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)

    def logins(self, stage: str | None = None) -> list[Session]:
        """The sessions that were let in."""
        return [session for session in self.sessions if session.status == 0
                and stage in (None, session.stage)]

    def commands(self, stage: str | None = None) -> int:
        """SCSI commands, each at least one round trip."""
        return sum(session.commands for session in self.logins(stage))

    def commands_between(self, begin: float, end: float) -> int:
        """Those of any stage that were sent in this time."""
        return sum(begin <= at < end for session in self.logins() for at in session.command_times)


class Capture:
    """Records a namespace's bridge into a file while it is open."""

    def __init__(self, namespace: Namespace, name: str = "capture", interface: str = BRIDGE) -> None:
        self.path = namespace.work / f"{name}.pcap"
        self._namespace = namespace
        self._process = namespace.start(name, "tcpdump", "-i", interface, "-w", self.path,
                                        "-U", "-B", "32768", "-Z", "root")
        wait_until("tcpdump listening", lambda: "listening on" in self._process.output(), 10)

    def stop(self) -> None:
        """Ends the recording."""
        if self._process.alive():
            time.sleep(0.3)  # what the kernel still holds
            self._process.child.send_signal(signal.SIGINT)
        self._process.stop()
        if self._process in self._namespace.processes:
            self._namespace.processes.remove(self._process)

    def __enter__(self) -> "Capture":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def summary(self, origin: float = 0.0, port: int = 3260, until: float | None = None) -> Summary:
        """What it holds. ORIGIN is the time (epoch) that counts as 0; UNTIL in its seconds."""
        return summarize(self.path, origin, port, until)


def _rows(path: Path, port: int) -> Iterator[dict[str, list[str]]]:
    wanted = ("dhcp || tftp.opcode == 1 || http.request || iscsi.opcode == 0x01 || "
              "iscsi.opcode == 0x03 || iscsi.opcode == 0x23 || iscsi.opcode == 0x06")
    words = ["tshark", "-r", path, "-d", f"tcp.port=={port},iscsi", "-Y", wanted, "-T", "fields",
             "-E", "separator=/t", "-E", "aggregator=;"]
    for name in _FIELDS:
        words += ["-e", name]
    done = run(*words, timeout=300, check=False)
    # a recording that was cut off in its last packet is fine
    if done.returncode != 0 and "cut short" not in done.stderr:
        raise LabError(f"tshark could not read {path}: {done.stderr.strip()}")
    for line in done.stdout.splitlines():
        values = line.split("\t")
        yield {name: value.split(";") if value else [] for name, value in zip(_FIELDS, values)}


def summarize(path: Path, origin: float, port: int, until: float | None = None) -> Summary:
    """Reads a recording."""
    summary = Summary()
    exchanges: dict[str, Exchange] = {}
    sessions: dict[str, Session] = {}
    for row in _rows(path, port):
        at = float(row["frame.time_epoch"][0]) - origin
        if until is not None and at > until:
            break
        if row["dhcp.id"]:
            _add_dhcp(summary, exchanges, row, at)
        elif row["tftp.source_file"]:
            summary.tftp.append(Fetch(at, row["tftp.source_file"][0]))
        elif row["http.request.uri"]:
            summary.http.append(Fetch(at, f"{row['http.request.method'][0]} {row['http.request.uri'][0]}"))
        elif row["iscsi.opcode"]:
            _add_iscsi(summary, sessions, row, at)
    return summary


def _add_dhcp(summary: Summary, exchanges: dict[str, Exchange], row: dict[str, list[str]],
              at: float) -> None:
    key = row["dhcp.id"][0]
    if key not in exchanges:
        exchanges[key] = Exchange(at, row["dhcp.hw.mac_addr"][0] if row["dhcp.hw.mac_addr"] else "")
        summary.dhcp.append(exchanges[key])
    if row["dhcp.option.dhcp"]:
        kind = int(row["dhcp.option.dhcp"][0])
        exchanges[key].messages.append(DHCP_TYPES.get(kind, str(kind)))


def _add_iscsi(summary: Summary, sessions: dict[str, Session], row: dict[str, list[str]],
               at: float) -> None:
    opcodes = [int(opcode, 0) for opcode in row["iscsi.opcode"]]
    stream = row["tcp.stream"][0]
    session = sessions.get(stream)
    if session is None:
        session = sessions[stream] = Session(at)
        summary.sessions.append(session)
    session.last_at = at
    if LOGIN_REQUEST in opcodes:
        for pair in row["iscsi.keyvalue"]:
            key, _, value = pair.partition("=")
            session.keys[key] = value
        session.isid = row["iscsi.isid"][0] if row["iscsi.isid"] else session.isid
    if LOGIN_RESPONSE in opcodes and row["iscsi.login.status"]:
        session.status = int(row["iscsi.login.status"][-1], 0)
        if session.status == 0:
            session.logged_in_at = at
    session.commands += opcodes.count(COMMAND)
    session.command_times += [at] * opcodes.count(COMMAND)
    session.bytes += sum(int(size, 0) for size in row["iscsi.scsicommand.expecteddatatransferlength"])
    session.logged_out |= LOGOUT in opcodes


def frames(path: Path, origin: float) -> Iterator[tuple[float, int]]:
    """When each frame of a recording passed, in seconds since ORIGIN, and its bytes."""
    with path.open("rb") as recording:
        recording.read(24)
        while len(header := recording.read(16)) == 16:
            seconds, micros, kept, length = struct.unpack("=IIII", header)
            yield seconds + micros / 1e6 - origin, length
            recording.seek(kept, os.SEEK_CUR)


@contextlib.contextmanager
def capturing(namespace: Namespace, name: str = "capture") -> Iterator[Capture]:
    """A capture for the length of a with block."""
    with Capture(namespace, name) as capture:
        yield capture
