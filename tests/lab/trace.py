"""A trace of one boot, out of a recording of the wire: every step that the machine took, in its order.

A step is a line: what it is, how many steps were under way with it (itself included), the pause in
microseconds before it, and what else it needs. The pause counts from the last answer or from the
last step, whichever was later: it is what the machine did for itself.

    dhcp DEPTH PAUSE KIND ARCHITECTURE FLAGS HOLD   pxe, ipxe or system; HOLD: from the offer to the request
    tftp DEPTH PAUSE get|size BLKSIZE WINDOW        the loader, or only its size; 0: the option was not sent
    http DEPTH PAUSE METHOD PATH                    GET script: the URL that DHCP told; ${mac}: the node's
    login DEPTH PAUSE SESSION ISID FLAGS KEYS       one login request; KEYS are separated by ;, names left out
    read DEPTH PAUSE SESSION LBA BLOCKS
    write DEPTH PAUSE SESSION LBA BLOCKS FUA
    scsi DEPTH PAUSE SESSION CDB LENGTH DATA        any other command: what it reads, and what it sends or -
    logout DEPTH PAUSE SESSION
    close DEPTH PAUSE SESSION                       the machine has dropped its connection

Lines that begin with # are for people.
"""

import heapq
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .process import LabError

ISCSI_PORT, HTTP_PORT = 3260, 80
FIN, SYN, RST = 1, 2, 4


@dataclass
class Step:
    """From when until when, and what (without depth and pause)."""

    begin: float
    kind: str
    words: str
    end: float | None = None


@dataclass
class Segment:
    """What TCP or UDP carried in one packet."""

    at: float
    protocol: int
    source: tuple[str, int]
    target: tuple[str, int]
    data: bytes
    sequence: int = 0
    flags: int = 0


def packets(path: Path) -> Iterator[tuple[float, bytes]]:
    """The frames of a recording of tcpdump on this machine."""
    with path.open("rb") as file:
        magic, *_, link = struct.unpack("<IHHiIII", file.read(24))
        if magic != 0xa1b2c3d4 or link != 1:
            raise LabError(f"{path} is no recording of Ethernet by tcpdump")
        while len(header := file.read(16)) == 16:
            seconds, micros, size, _ = struct.unpack("<IIII", header)
            if len(data := file.read(size)) < size:
                return
            yield seconds + micros / 1e6, data


def segments(path: Path) -> Iterator[Segment]:
    """Those of IPv4."""
    for at, frame in packets(path):
        if frame[12:14] != b"\x08\0":
            continue
        ip = frame[14:14 + struct.unpack("!H", frame[16:18])[0]]
        head, protocol = (ip[0] & 15) * 4, ip[9]
        ends = [".".join(map(str, ip[12:16])), ".".join(map(str, ip[16:20]))]
        body = ip[head:]
        if protocol not in (6, 17):
            continue
        ports = struct.unpack("!HH", body[:4])
        source, target = zip(ends, ports)
        if protocol == 17:
            yield Segment(at, protocol, source, target, body[8:])
        else:
            yield Segment(at, protocol, source, target, body[(body[12] >> 4) * 4:],
                          struct.unpack("!I", body[4:8])[0], body[13])


class Stream:
    """One direction of a TCP connection, put together."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.next: int | None = None
        self.early: dict[int, bytes] = {}

    def add(self, segment: Segment) -> None:
        """Its bytes, once, whatever was sent again or came too early."""
        if segment.flags & SYN:
            self.next = (segment.sequence + 1) & 0xffffffff
        elif segment.data and self.next is not None:
            self.early[segment.sequence] = segment.data
            while found := [at for at in self.early if (self.next - at) & 0xffffffff < 1 << 30]:
                for at in found:
                    data, known = self.early.pop(at), (self.next - at) & 0xffffffff
                    if len(data) > known:
                        self.data += data[known:]
                        self.next = (at + len(data)) & 0xffffffff


class Dhcp:
    """The exchanges of one machine."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps
        self.under_way: dict[int, tuple[Step, list[float]]] = {}

    @staticmethod
    def options(message: bytes) -> dict[int, bytes]:
        """Of a message; the first of each."""
        found: dict[int, bytes] = {}
        at = 240
        while at < len(message) and message[at] != 255:
            if message[at] == 0:
                at += 1
                continue
            found.setdefault(message[at], message[at + 2:at + 2 + message[at + 1]])
            at += 2 + message[at + 1]
        return found

    def add(self, segment: Segment) -> None:
        """A message of the machine or of the server; DISCOVER begins, ACK ends."""
        transaction, options = int.from_bytes(segment.data[4:8], "big"), self.options(segment.data)
        kind = options.get(53, b"\0")[0]
        if segment.target[1] == 67 and transaction not in self.under_way:
            flags = int.from_bytes(segment.data[10:12], "big")
            step = Step(segment.at, "dhcp", f"{self.kind(options)} {self.architecture(options)} {flags:04x}")
            self.under_way[transaction] = (step, [])
            self.steps.append(step)
        if transaction not in self.under_way:
            return
        step, offers = self.under_way[transaction]
        if kind == 2:
            offers.append(segment.at)
        elif kind == 3 and len(step.words.split()) == 3:
            step.words += f" {round((segment.at - offers[0]) * 1e6) if offers else 0}"
        elif kind == 5 and step.end is None:
            step.end = segment.at

    @staticmethod
    def kind(options: dict[int, bytes]) -> str:
        """Who asks."""
        if 175 in options or options.get(77, b"").endswith(b"iPXE"):
            return "ipxe"
        return "pxe" if options.get(60, b"").startswith(b"PXEClient") else "system"

    @staticmethod
    def architecture(options: dict[int, bytes]) -> int:
        """What it says of itself; 0 is BIOS."""
        return int.from_bytes(options.get(93, b"\0\0")[:2], "big")


class Tftp:
    """The transfers of one machine, one after another."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps
        self.step: Step | None = None
        self.port = 0

    def add(self, segment: Segment) -> None:
        """A packet of either side: a request begins, and the last one that belongs to it ends."""
        operation = int.from_bytes(segment.data[:2], "big")
        if segment.target[1] == 69 and operation == 1:
            words = segment.data[2:].split(b"\0")
            options = {name.decode().lower(): int(value)
                       for name, value in zip(words[2::2], words[3::2]) if value.isdigit()}
            what = f"{options.get('blksize', 0)} {options.get('windowsize', 0)}"
            self.step, self.port = Step(segment.at, "tftp", f"get {what}", segment.at), segment.source[1]
            self.steps.append(self.step)
        elif self.step and self.port in (segment.source[1], segment.target[1]):
            self.step.end = segment.at
            if operation == 5:  # it has seen enough
                self.step.words = self.step.words.replace("get", "size")


@dataclass
class Connection:
    """A connection of the machine."""

    number: int
    streams: dict[bool, Stream] = field(default_factory=lambda: {True: Stream(), False: Stream()})
    waiting: dict[int, Step] = field(default_factory=dict)
    closed: bool = False


class Http:
    """One request on a connection."""

    def __init__(self, steps: list[Step], connection: Connection, mac: str) -> None:
        self.steps, self.connection, self.mac = steps, connection, mac
        self.step: Step | None = None

    def add(self, segment: Segment, ours: bool) -> None:
        """The request line begins; the last data of the answer ends."""
        data = self.connection.streams[ours].data
        if ours and not self.step and b"\r\n\r\n" in data:
            method, path = data.split(b" ", 2)[:2]
            path = path.decode().replace(self.mac, "${mac}").replace(self.mac.replace(":", "-"), "${mac}")
            words = "GET script" if "boot.ipxe" in path else f"{method.decode()} {path}"
            self.step = Step(segment.at, "http", words)
            self.steps.append(self.step)
        elif not ours and self.step and segment.data:
            self.step.end = segment.at


class Iscsi:
    """A session on a connection."""

    KINDS = {0x28: (">I", 2, ">H", 7), 0x2a: (">I", 2, ">H", 7), 0x88: (">Q", 2, ">I", 10), 0x8a: (">Q", 2, ">I", 10)}

    def __init__(self, steps: list[Step], connection: Connection) -> None:
        self.steps, self.connection = steps, connection

    def add(self, segment: Segment, ours: bool) -> None:
        """Takes off what is whole by now."""
        data = self.connection.streams[ours].data
        while len(data) >= 48:
            size = 48 + data[4] * 4 + (int.from_bytes(data[5:8], "big") + 3) // 4 * 4
            if len(data) < size:
                break
            pdu = bytes(data[:size])
            del data[:size]
            (self.request if ours else self.answer)(segment.at, pdu)
        if ours and segment.flags & (FIN | RST) and not self.connection.closed:
            self.connection.closed = True
            self.begin(segment.at, "close", "", None)

    def begin(self, at: float, kind: str, words: str, tag: int | None) -> None:
        """A step, with an answer to come or without."""
        step = Step(at, kind, f"{self.connection.number} {words}".strip(), at if tag is None else None)
        self.steps.append(step)
        if tag is not None:
            self.connection.waiting[tag] = step

    def request(self, at: float, pdu: bytes) -> None:
        """What the machine asks."""
        opcode, tag = pdu[0] & 0x3f, int.from_bytes(pdu[16:20], "big")
        if opcode == 0x01:
            self.command(at, pdu, tag)
        elif opcode == 0x03:
            text = pdu[48:48 + int.from_bytes(pdu[5:8], "big")].decode().strip("\0")
            # whose names these are, whoever replays it knows
            text = re.sub(r"(InitiatorName|InitiatorAlias|TargetName)=[^\0]*", r"\1=", text)
            text = text.replace("\0", ";") or "-"
            self.begin(at, "login", f"{pdu[8:14].hex()} {pdu[1]:02x} {text}", tag)
        elif opcode == 0x06:
            self.begin(at, "logout", "", tag)

    def command(self, at: float, pdu: bytes, tag: int) -> None:
        """A SCSI command: the two that matter in a form that can be read."""
        cdb, length = pdu[32:48], int.from_bytes(pdu[20:24], "big")
        if cdb[0] in self.KINDS:
            lba_format, lba_at, blocks_format, blocks_at = self.KINDS[cdb[0]]
            lba, = struct.unpack_from(lba_format, cdb, lba_at)
            blocks, = struct.unpack_from(blocks_format, cdb, blocks_at)
            if pdu[1] & 0x40:
                self.begin(at, "read", f"{lba} {blocks}", tag)
            else:
                self.begin(at, "write", f"{lba} {blocks} {cdb[1] >> 3 & 1}", tag)
        else:
            data = pdu[48 + pdu[4] * 4:][:int.from_bytes(pdu[5:8], "big")].hex() if pdu[1] & 0x20 else ""
            self.begin(at, "scsi", f"{cdb.hex()} {length if pdu[1] & 0x40 else 0} {data or '-'}", tag)

    def answer(self, at: float, pdu: bytes) -> None:
        """What ends a step: any response, and the last data of a read with its status."""
        opcode, tag = pdu[0] & 0x3f, int.from_bytes(pdu[16:20], "big")
        if (opcode in (0x21, 0x23, 0x26) or (opcode == 0x25 and pdu[1] & 1)) and tag in self.connection.waiting:
            self.connection.waiting.pop(tag).end = at


def read_boot(path: Path, mac: str) -> list[Step]:
    """The steps of the only machine in a recording."""
    steps: list[Step] = []
    dhcp, tftp = Dhcp(steps), Tftp(steps)
    connections: dict[tuple[str, int], Http | Iscsi] = {}
    sessions = 0
    for segment in segments(path):
        ports = {segment.source[1], segment.target[1]}
        if segment.protocol == 17:
            if ports & {67, 68}:
                dhcp.add(segment)
            else:
                tftp.add(segment)
            continue
        if not ports & {HTTP_PORT, ISCSI_PORT}:
            continue
        ours = segment.target[1] in (HTTP_PORT, ISCSI_PORT)
        key = segment.source if ours else segment.target
        if ours and segment.flags & SYN:
            if HTTP_PORT in ports:
                connections[key] = Http(steps, Connection(0), mac)
            else:
                sessions += 1
                connections[key] = Iscsi(steps, Connection(sessions))
        if key in connections:
            connections[key].connection.streams[ours].add(segment)
            connections[key].add(segment, ours)
    return sorted(steps, key=lambda step: step.begin)


def lines(steps: list[Step], power_on: float, until: float) -> Iterator[str]:
    """The trace of what began before UNTIL."""
    last = power_on  # the last answer or step
    under_way: list[float] = []  # when each ends
    for step in steps:
        if step.begin > until:
            break
        while under_way and under_way[0] <= step.begin:
            last = max(last, heapq.heappop(under_way))
        yield f"{step.kind} {len(under_way) + 1} {round((step.begin - last) * 1e6)} {step.words}"
        last = step.begin
        heapq.heappush(under_way, step.begin if step.end is None else step.end)
