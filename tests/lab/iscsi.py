"""An iSCSI initiator made of bytes (RFC 7143): an instrument for tests, not a client.

It sends what a test says, right or wrong, and it believes nothing: every PDU that comes is checked
for its lengths, padding, digests and numbers (StatSN, ExpCmdSN, MaxCmdSN, DataSN, R2TSN, offsets,
residuals), and what the standard does not allow raises ProtocolError.

    with Session(("127.0.0.1", 3260), "iqn.2026-11.lan.example:disk").login() as session:
        session.write(0, bytes(4096), fua=True)
        assert session.read(0, 8) == bytes(4096)
        session.logout()

A session is used by one thread at a time, and nothing happens behind the caller's back: PDUs are
received only inside the calls that wait for something, and R2Ts are answered there.
"""

import hashlib
import itertools
import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

NOP_OUT, COMMAND, TASK_MANAGEMENT, LOGIN, TEXT, DATA_OUT, LOGOUT, SNACK = *range(7), 0x10
NOP_IN, RESPONSE, TASK_MANAGEMENT_RESPONSE, LOGIN_RESPONSE, TEXT_RESPONSE, DATA_IN, LOGOUT_RESPONSE = range(0x20, 0x27)
R2T, ASYNC_MESSAGE, REJECT = 0x31, 0x32, 0x3f
FROM_TARGET = (*range(0x20, 0x27), R2T, ASYNC_MESSAGE, REJECT)

IMMEDIATE = 0x40  # of the opcode byte
FINAL = TRANSIT = 0x80  # of the flags byte
CONTINUE = READ = 0x40
WRITE = 0x20
OVERFLOW, UNDERFLOW, STATUS = 0x04, 0x02, 0x01
SIMPLE, ORDERED, HEAD_OF_QUEUE, ACA = 1, 2, 3, 4  # task attributes

RESERVED_TAG = 0xffffffff
DEFAULT_SEGMENT = 8192
SECURITY, OPERATIONAL, FULL_FEATURE = 0, 1, 3

GOOD, CHECK_CONDITION = 0x00, 0x02
ABORT_TASK, ABORT_TASK_SET, CLEAR_TASK_SET, LUN_RESET = 1, 2, 4, 5
WARM_RESET, COLD_RESET = 6, 7

INITIATOR = "iqn.2026-11.lan.example:tester"

#: What Linux (iscsid) asks for.
LINUX = {
    "HeaderDigest": "None", "DataDigest": "None", "DefaultTime2Wait": "2", "DefaultTime2Retain": "0",
    "IFMarker": "No", "OFMarker": "No", "ErrorRecoveryLevel": "0", "InitialR2T": "No",
    "ImmediateData": "Yes", "MaxBurstLength": "16776192", "FirstBurstLength": "262144",
    "MaxOutstandingR2T": "1", "MaxConnections": "1", "DataPDUInOrder": "Yes",
    "DataSequenceInOrder": "Yes", "MaxRecvDataSegmentLength": "262144"}
#: What iPXE asks for.
FIRMWARE = {
    "HeaderDigest": "None", "DataDigest": "None", "MaxConnections": "1", "InitialR2T": "Yes",
    "ImmediateData": "No", "MaxRecvDataSegmentLength": "8192", "MaxBurstLength": "262144",
    "FirstBurstLength": "65536", "DefaultTime2Wait": "0", "DefaultTime2Retain": "0",
    "MaxOutstandingR2T": "1", "DataPDUInOrder": "Yes", "DataSequenceInOrder": "Yes",
    "ErrorRecoveryLevel": "0"}
#: What the initiator of UEFI itself (edk2's IScsiDxe) asks for.
UEFI = {
    "HeaderDigest": "None", "DataDigest": "None", "ErrorRecoveryLevel": "0", "InitialR2T": "No",
    "ImmediateData": "Yes", "MaxRecvDataSegmentLength": "65536", "MaxBurstLength": "262144",
    "FirstBurstLength": "65536", "MaxConnections": "1", "DataPDUInOrder": "Yes",
    "DataSequenceInOrder": "Yes", "DefaultTime2Wait": "2", "DefaultTime2Retain": "20",
    "MaxOutstandingR2T": "1"}

_isids = itertools.count(int.from_bytes(os.urandom(3), "big"))


class ProtocolError(AssertionError):
    """The target did what it must not do."""


class LoginRefused(Exception):
    """The target said no; `status` is Status-Class and Status-Detail in one number (0x0202)."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the login was refused with status {status:04x}")
        self.status = status


def expect(condition: object, text: str) -> None:
    """What must hold about everything that the target sends."""
    if not condition:
        raise ProtocolError(text)


def distance(a: int, b: int) -> int:
    """a - b in serial number arithmetic (RFC 1982, 32 bits)."""
    return ((a - b + 0x80000000) & 0xffffffff) - 0x80000000


def succ(number: int, by: int = 1) -> int:
    """The serial number `by` after this one."""
    return (number + by) & 0xffffffff


def _crc_entry(n: int) -> int:
    for _ in range(8):
        n = n >> 1 ^ (0x82f63b78 if n & 1 else 0)
    return n


_CRC_TABLE = [_crc_entry(n) for n in range(256)]


def crc32c(data: bytes) -> bytes:
    """The digest of data as it stands on the wire."""
    crc = 0xffffffff
    for byte in data:
        crc = _CRC_TABLE[(crc ^ byte) & 0xff] ^ crc >> 8
    return struct.pack("<I", crc ^ 0xffffffff)


def chap_md5(identifier: str, secret: str, challenge: str) -> str:
    """CHAP_R to CHAP_I and CHAP_C (RFC 1994 4.1)."""
    data = bytes([int(identifier)]) + secret.encode() + bytes.fromhex(challenge.removeprefix("0x"))
    return "0x" + hashlib.md5(data).hexdigest()


# --- PDUs ---

#: Fields of the basic header segment: offset and size in bytes.
FIELDS = {
    "flags": (1, 1), "response": (2, 1), "status": (3, 1), "version_min": (3, 1),
    "ahs_length": (4, 1), "length": (5, 3), "lun": (8, 8), "isid": (8, 6), "tsih": (14, 2),
    "itt": (16, 4), "ttt": (20, 4), "cid": (20, 2), "edtl": (20, 4), "referenced": (20, 4),
    "cmdsn": (24, 4), "statsn": (24, 4), "expstatsn": (28, 4), "expcmdsn": (28, 4),
    "maxcmdsn": (32, 4), "refcmdsn": (32, 4), "cdb": (32, 16), "datasn": (36, 4), "r2tsn": (36, 4),
    "expdatasn": (36, 4), "login_status": (36, 2), "offset": (40, 4), "residual": (44, 4),
    "desired": (44, 4)}


class Pdu:
    """A PDU: fields by the names of FIELDS (numbers), a data segment, perhaps an AHS.

    The two lengths of the header are those of the parts, unless they are given.
    """

    def __init__(self, opcode: int, data: bytes = b"", ahs: bytes = b"", **fields: int) -> None:
        self.header = bytearray(48)
        self.header[0] = opcode
        self.data, self.ahs = data, ahs
        self.set(length=len(data), ahs_length=len(ahs) // 4)
        self.set(**fields)

    def set(self, **fields: int) -> "Pdu":
        """Changes fields."""
        for name, value in fields.items():
            offset, size = FIELDS[name]
            self.header[offset:offset + size] = value.to_bytes(size, "big")
        return self

    def __getattr__(self, name: str) -> int:
        if name not in FIELDS:
            raise AttributeError(name)
        offset, size = FIELDS[name]
        return int.from_bytes(self.header[offset:offset + size], "big")

    @property
    def opcode(self) -> int:
        """Without the immediate bit."""
        return self.header[0] & 0x3f

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The data segment of a login or text response."""
        pairs = []
        for pair in self.data.split(b"\0"):
            if pair:
                key, equals, value = pair.decode().partition("=")
                expect(equals, f"'{key}' is not key=value")
                pairs.append((key, value))
        return pairs

    def encode(self, header_digest: bool = False, data_digest: bool = False) -> bytes:
        """The bytes of the wire."""
        header = bytes(self.header) + self.ahs
        data = self.data + bytes(-len(self.data) % 4)
        return (header + (crc32c(header) if header_digest else b"")
                + data + (crc32c(data) if data_digest and data else b""))

    def __repr__(self) -> str:
        return f"<PDU {self.opcode:02x} flags {self.flags:02x} itt {self.itt:x} {len(self.data)} bytes>"


def text(pairs: Iterable[tuple[str, str]] | dict[str, str]) -> bytes:
    """key=value pairs as a data segment."""
    if isinstance(pairs, dict):
        pairs = pairs.items()
    return b"".join(f"{key}={value}".encode() + b"\0" for key, value in pairs)


# --- CDBs ---

def _rw(opcode: int, lba: int, blocks: int, flags: int = 0) -> bytes:
    if opcode < 0x20:
        return struct.pack("!BBHBB", opcode, lba >> 16, lba & 0xffff, blocks & 0xff, 0)
    if opcode < 0x60:
        return struct.pack("!BBIBHB", opcode, flags, lba, 0, blocks, 0)
    if opcode < 0xa0:
        return struct.pack("!BBQIBB", opcode, flags, lba, blocks, 0, 0)
    return struct.pack("!BBIIBB", opcode, flags, lba, blocks, 0, 0)


def read_cdb(lba: int, blocks: int, opcode: int = 0x88, flags: int = 0) -> bytes:
    """READ (08, 28, a8, 88)."""
    return _rw(opcode, lba, blocks, flags)


def write_cdb(lba: int, blocks: int, opcode: int = 0x8a, fua: bool = False) -> bytes:
    """WRITE (0a, 2a, aa, 8a)."""
    return _rw(opcode, lba, blocks, 0x08 if fua else 0)


def write_same_cdb(lba: int, blocks: int, opcode: int = 0x93, flags: int = 0) -> bytes:
    """WRITE SAME (41, 93); flags: UNMAP 08, NDOB 01."""
    return _rw(opcode, lba, blocks, flags)


def inquiry_cdb(page: int | None = None, allocation: int = 0xff) -> bytes:
    """INQUIRY: standard data, or a VPD page."""
    return struct.pack("!BBBHB", 0x12, page is not None, page or 0, allocation, 0)


TEST_UNIT_READY = bytes(6)
READ_CAPACITY_10 = bytes([0x25]) + bytes(9)
READ_CAPACITY_16 = struct.pack("!BB8xIBB", 0x9e, 0x10, 32, 0, 0)
SYNCHRONIZE_CACHE = _rw(0x91, 0, 0)


def unmap_list(ranges: Iterable[tuple[int, int]]) -> bytes:
    """The parameter list of UNMAP: (LBA, blocks) each."""
    descriptors = b"".join(struct.pack("!QII", lba, blocks, 0) for lba, blocks in ranges)
    return struct.pack("!HHI", len(descriptors) + 6, len(descriptors), 0) + descriptors


def unmap_cdb(size: int) -> bytes:
    """UNMAP with a parameter list of that size."""
    return struct.pack("!BB5xHB", 0x42, 0, size, 0)


# --- sessions ---

@dataclass
class Task:
    """A SCSI command: what was sent and what has come of it."""

    itt: int
    cdb: bytes
    edtl: int
    data_out: bytes = b""
    data: bytearray = field(default_factory=bytearray)  # that was read
    status: int | None = None
    response: int = 0
    sense: str = ""  # "05/24/00"
    sense_descriptors: bool = False  # it came in descriptor format
    residual: int = 0  # below 0: underflow; above: overflow
    answers_r2t: bool = True
    r2ts: list[Pdu] = field(default_factory=list)  # that were not answered yet
    data_ins: int = 0
    n_r2ts: int = 0
    sequence: int = 0  # bytes since the last Data-In with F

    @property
    def done(self) -> bool:
        """Has its status come?"""
        return self.status is not None

    @property
    def good(self) -> bool:
        """Status GOOD."""
        return self.status == GOOD

    def __repr__(self) -> str:
        status = "under way" if self.status is None else f"status {self.status:02x}"
        return f"<{self.cdb.hex()}: {status} {self.sense} residual {self.residual}>"


class Session:
    """One connection to a target, and the session on it once login() is through.

    target    its name; None: a discovery session
    source    the address that we come from
    keys      what login() asks for (LINUX, FIRMWARE, or with changes)
    receive_buffer  of the socket, in bytes
    """

    def __init__(self, portal: tuple[str, int], target: str | None, initiator: str | None = INITIATOR, *,
                 source: str | None = None, isid: int | None = None, tsih: int = 0, cid: int = 0,
                 keys: dict[str, str] | None = None, timeout: float = 60,
                 receive_buffer: int | None = None) -> None:
        self.portal, self.target, self.initiator = portal, target, initiator
        self.isid = isid if isid is not None else 0x80 << 40 | (next(_isids) & 0xffffff) << 16
        self.tsih, self.cid = tsih, cid
        self.keys = dict(LINUX if keys is None else keys)
        self.cmdsn = 1  # of the next command
        self.itt = 1
        self.statsn: int | None = None  # that must come next
        self.expcmdsn = self.maxcmdsn = 0  # of the last PDU that came
        self.tasks: dict[int, Task] = {}
        self.stage = SECURITY
        self.agreed: dict[str, str] = {}  # what the target has answered
        self._login_text = b""  # of an answer to a login request, as far as it has come
        self.header_digest = self.data_digest = False
        self.receive_limit = DEFAULT_SEGMENT  # of what the target sends
        self.piece: int | None = None  # bytes of a Data-Out; as many as were agreed
        self.socket = socket.socket(socket.AF_INET6 if ":" in portal[0] else socket.AF_INET)
        self.socket.settimeout(timeout)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            if source:
                self.socket.bind((source, 0))
            self.socket.connect(portal)
        except OSError:
            self.socket.close()
            raise
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection, without logging out."""
        self.socket.close()

    def reset(self) -> None:
        """Closes the connection with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # -- bytes and PDUs

    def send_bytes(self, data: bytes) -> None:
        """Any bytes."""
        self.socket.sendall(data)

    def send(self, pdu: Pdu) -> None:
        """A PDU, with the digests of this connection."""
        self.send_bytes(pdu.encode(self.header_digest, self.data_digest))

    def _bytes(self, size: int) -> bytes:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            n = self.socket.recv_into(view)
            if n == 0:
                raise ConnectionError("the target closed the connection")
            view = view[n:]
        return bytes(data)

    def receive(self) -> Pdu:
        """The next PDU, whatever it is; its frame and its numbers are checked."""
        header = self._bytes(48)
        pdu = Pdu(header[0])
        pdu.header[:] = header
        expect(header[0] in FROM_TARGET, f"opcode {header[0]:02x} is none of a target")
        expect(pdu.ahs_length == 0, "an AHS from a target")
        expect(pdu.length <= self.receive_limit, f"{pdu.length} bytes in a segment of {self.receive_limit}")
        if self.header_digest:
            expect(self._bytes(4) == crc32c(header), "header digest")
        padded = self._bytes(pdu.length + -pdu.length % 4)
        expect(not any(padded[pdu.length:]), "padding that is not 0")
        if self.data_digest and padded:
            expect(self._bytes(4) == crc32c(padded), "data digest")
        pdu.data = padded[:pdu.length]
        if pdu.opcode != LOGIN_RESPONSE:
            self._check_window(pdu)
            self._check_statsn(pdu)
        return pdu

    def _check_window(self, pdu: Pdu) -> None:
        """ExpCmdSN and MaxCmdSN only grow; nothing is expected that was sent already and counted."""
        expect(0 <= distance(pdu.expcmdsn, self.expcmdsn), "ExpCmdSN goes back")
        expect(distance(pdu.expcmdsn, self.cmdsn) <= 0, f"ExpCmdSN {pdu.expcmdsn} > our next {self.cmdsn}")
        expect(0 <= distance(pdu.maxcmdsn, self.maxcmdsn), "MaxCmdSN goes back")
        expect(distance(pdu.maxcmdsn, pdu.expcmdsn) >= -1, "MaxCmdSN < ExpCmdSN - 1")
        self.expcmdsn, self.maxcmdsn = pdu.expcmdsn, pdu.maxcmdsn

    def _check_statsn(self, pdu: Pdu) -> None:
        """Counted by what bears a status, shown by the rest."""
        expect(pdu.statsn == self.statsn, f"StatSN {pdu.statsn}, not {self.statsn}")
        counts = not (pdu.opcode == R2T or (pdu.opcode == DATA_IN and not pdu.flags & STATUS)
                      or (pdu.opcode == NOP_IN and pdu.itt == RESERVED_TAG))
        if counts:
            self.statsn = succ(self.statsn)

    def next_itt(self) -> int:
        """A tag that no task under way has."""
        self.itt = succ(self.itt)
        return self.itt

    # -- login

    def login_pdu(self, keys: Iterable[tuple[str, str]] | dict[str, str] = (), next_stage: int | None = None,
                  more: bool = False, **fields: int) -> Pdu:
        """A login request of the present stage; next_stage: asks for the transition."""
        flags = self.stage << 2 | (CONTINUE if more else 0)
        if next_stage is not None:
            flags |= TRANSIT | next_stage
        header = {"flags": flags, "isid": self.isid, "tsih": self.tsih, "itt": self.itt, "cid": self.cid,
                  "cmdsn": self.cmdsn, "expstatsn": self.statsn or 0, **fields}
        return Pdu(LOGIN | IMMEDIATE, text(keys), **header)

    def login_response(self, request: Pdu) -> Pdu:
        """The answer to a login request; a refusal raises LoginRefused."""
        pdu = self.receive()
        expect(pdu.opcode == LOGIN_RESPONSE, f"{pdu} to a login request")
        expect(pdu.header[2:4] == b"\0\0", "Version-max and Version-active are not 0")
        if pdu.login_status:
            raise LoginRefused(pdu.login_status)
        expect(pdu.isid == self.isid and pdu.itt == request.itt, "ISID or ITT of somebody else")
        expect(pdu.flags >> 2 & 3 == self.stage, "another stage than that of the request")
        expect(self.statsn in (None, pdu.statsn), f"StatSN {pdu.statsn}, not {self.statsn}")
        expect(pdu.expcmdsn == self.cmdsn, "ExpCmdSN is not the CmdSN of the login")
        expect(distance(pdu.maxcmdsn, pdu.expcmdsn) >= -1, "MaxCmdSN < ExpCmdSN - 1")
        self.statsn = succ(pdu.statsn)
        if pdu.flags & TRANSIT:
            expect(not pdu.flags & CONTINUE, "a transition in the middle of an answer")
            expect(request.flags & TRANSIT and pdu.flags & 3 == request.flags & 3, "a transition nobody asked for")
            self.stage = pdu.flags & 3
        else:
            expect(pdu.flags & 3 == 0, "a next stage without a transition")
        self._login_text += pdu.data  # the parts of an answer are cut anywhere
        if pdu.flags & CONTINUE:
            return pdu
        self.agreed.update(Pdu(LOGIN_RESPONSE, self._login_text).pairs)
        self._login_text = b""
        if self.stage == FULL_FEATURE:
            self._enter_full_feature(pdu)
        return pdu

    def exchange_login(self, *arguments: object, **fields: int) -> Pdu:
        """login_pdu(), and its answer: the last part of it, if it has several."""
        request = self.login_pdu(*arguments, **fields)
        self.send(request)
        pdu = self.login_response(request)
        while pdu.flags & CONTINUE:
            fetch = Pdu(LOGIN | IMMEDIATE)
            fetch.header[:] = request.header
            self.send(fetch.set(length=0, expstatsn=self.statsn))
            pdu = self.login_response(fetch)
        return pdu

    def identity(self) -> dict[str, str]:
        """The keys of the first request."""
        names = {"InitiatorName": self.initiator, "TargetName": self.target,
                 "SessionType": "Normal" if self.target else "Discovery"}
        return {key: value for key, value in names.items() if value}

    def login(self, stages: tuple[int, ...] = (SECURITY, OPERATIONAL)) -> "Session":
        """Through all stages; stages: (OPERATIONAL,) goes straight to the second one."""
        self.stage = stages[0]
        for stage, after in zip(stages, (*stages[1:], FULL_FEATURE), strict=True):
            keys = self.identity() if stage == stages[0] else {}
            if stage == SECURITY:
                keys["AuthMethod"] = "None"
            else:
                keys.update(self.keys)
            self.exchange_login(keys, next_stage=after)
        return self

    def login_with_chap(self, user: str, secret: str, target_user: str = "", target_secret: str = "") -> "Session":
        """Through all stages, with MD5. target_secret: the target must prove that it knows it."""
        self.stage = SECURITY
        chosen = dict(self.exchange_login({**self.identity(), "AuthMethod": "CHAP"}).pairs)
        expect(chosen.get("AuthMethod") == "CHAP", "no CHAP")
        asked = dict(self.exchange_login({"CHAP_A": "5"}).pairs)
        keys = {"CHAP_N": user, "CHAP_R": chap_md5(asked["CHAP_I"], secret, asked["CHAP_C"])}
        own = f"0x{os.urandom(20).hex()}"
        if target_secret:
            keys |= {"CHAP_I": "200", "CHAP_C": own}
        answer = dict(self.exchange_login(keys, next_stage=OPERATIONAL).pairs)
        if target_secret:
            proof = chap_md5("200", target_secret, own)
            expect(answer.get("CHAP_N") == target_user and int(answer.get("CHAP_R", "0"), 16) == int(proof, 16),
                   "the target does not prove itself")
        self.exchange_login(self.keys, next_stage=FULL_FEATURE)
        return self

    def _enter_full_feature(self, pdu: Pdu) -> None:
        expect(pdu.tsih != 0, "a session without a TSIH")
        self.tsih = pdu.tsih
        self.expcmdsn, self.maxcmdsn = pdu.expcmdsn, pdu.maxcmdsn
        self.header_digest = self.agreed.get("HeaderDigest") == "CRC32C"
        self.data_digest = self.agreed.get("DataDigest") == "CRC32C"
        self.receive_limit = int(self.keys.get("MaxRecvDataSegmentLength", DEFAULT_SEGMENT))

    def _number(self, key: str, default: int) -> int:
        value = self.agreed.get(key, "")
        return int(value) if value.isdigit() else default

    @property
    def send_limit(self) -> int:
        """The target's MaxRecvDataSegmentLength."""
        return self._number("MaxRecvDataSegmentLength", DEFAULT_SEGMENT)

    @property
    def max_burst(self) -> int:
        """MaxBurstLength."""
        return self._number("MaxBurstLength", 262144)

    @property
    def first_burst(self) -> int:
        """FirstBurstLength."""
        return self._number("FirstBurstLength", 65536)

    @property
    def immediate_data(self) -> bool:
        """May data go with a command?"""
        return self.agreed.get("ImmediateData", "Yes") == "Yes"

    @property
    def initial_r2t(self) -> bool:
        """Must data behind the command wait for an R2T?"""
        return self.agreed.get("InitialR2T", "Yes") == "Yes"

    # -- commands

    def command_pdu(self, cdb: bytes, read: int = 0, write: bytes = b"", attribute: int = SIMPLE,
                    **fields: int) -> Pdu:
        """A SCSI command without its data; takes a tag and a CmdSN unless they are given."""
        if "cmdsn" not in fields:
            fields["cmdsn"] = self.cmdsn
            self.cmdsn = succ(self.cmdsn)
        header = {"flags": FINAL | attribute | (WRITE if write else READ if read else 0), "itt": 0,
                  "edtl": len(write) or read, "expstatsn": self.statsn or 0, **fields}
        header["itt"] = fields.get("itt") or self.next_itt()
        return Pdu(COMMAND, cdb=int.from_bytes(cdb.ljust(16, b"\0"), "big"), **header)

    def start(self, cdb: bytes, read: int = 0, write: bytes = b"", *, immediate: int | None = None,
              unsolicited: int | None = None, answers_r2t: bool = True, **fields: int) -> Task:
        """Sends a command with the data that may come unasked, and does not wait.

        read      bytes that we expect; write: bytes that we have (edtl=: says something else)
        immediate, unsolicited  how many bytes go with the command and, unasked, behind it; as many
                  as were agreed unless they are given
        """
        if immediate is None:
            immediate = min(len(write), self.first_burst, self.send_limit) if self.immediate_data else 0
        if unsolicited is None:
            unsolicited = 0 if self.initial_r2t else min(len(write), self.first_burst) - immediate
        pdu = self.command_pdu(cdb, read, write, **fields)
        pdu.data = write[:immediate]
        pdu.set(length=immediate)
        if unsolicited and "flags" not in fields:
            pdu.set(flags=pdu.flags & ~FINAL)
        task = Task(pdu.itt, cdb, pdu.edtl, write, answers_r2t=answers_r2t)
        self.tasks[task.itt] = task
        self.send(pdu)
        if unsolicited:
            self.send_data_out(task, immediate, unsolicited)
        return task

    def send_data_out(self, task: Task, offset: int, size: int, ttt: int = RESERVED_TAG, lun: int = 0) -> None:
        """One sequence of Data-Out PDUs."""
        end = offset + size
        for datasn in itertools.count():
            n = min(end - offset, self.piece or self.send_limit)
            self.send(Pdu(DATA_OUT, task.data_out[offset:offset + n], flags=FINAL if offset + n == end else 0,
                          lun=lun, itt=task.itt, ttt=ttt, expstatsn=self.statsn or 0, datasn=datasn, offset=offset))
            offset += n
            if offset == end:
                return

    def _r2t(self, task: Task, pdu: Pdu) -> None:
        expect(pdu.r2tsn == task.n_r2ts, f"R2TSN {pdu.r2tsn}, not {task.n_r2ts}")
        expect(pdu.ttt != RESERVED_TAG, "an R2T without a tag")
        expect(0 < pdu.desired <= self.max_burst, f"an R2T for {pdu.desired} bytes")
        expect(pdu.offset + pdu.desired <= task.edtl, "an R2T behind the end of the data")
        task.n_r2ts += 1
        task.r2ts.append(pdu)
        expect(len(task.r2ts) <= self._number("MaxOutstandingR2T", 1), "more R2Ts than agreed")
        if task.answers_r2t:
            task.r2ts.remove(pdu)
            self.send_data_out(task, pdu.offset, pdu.desired, pdu.ttt, pdu.lun)

    def _data_in(self, task: Task, pdu: Pdu) -> None:
        expect(pdu.datasn == task.data_ins, f"DataSN {pdu.datasn}, not {task.data_ins}")
        expect(pdu.offset == len(task.data), f"data at {pdu.offset}, not {len(task.data)}")
        expect(pdu.ttt == RESERVED_TAG, "a Data-In that asks for an acknowledgement")
        task.data_ins += 1
        task.data += pdu.data
        task.sequence += len(pdu.data)
        expect(len(task.data) <= task.edtl, "more data than was expected")
        expect(task.sequence <= self.max_burst, "a sequence longer than MaxBurstLength")
        if pdu.flags & FINAL:
            task.sequence = 0
        if pdu.flags & STATUS:
            expect(pdu.flags & FINAL, "a status without F")
            self._finish(task, pdu)
        else:
            expect(not pdu.flags & (OVERFLOW | UNDERFLOW), "a residual without a status")

    def _response(self, task: Task, pdu: Pdu) -> None:
        expect(pdu.expdatasn == task.data_ins + task.n_r2ts, "ExpDataSN is wrong")
        expect(task.sequence == 0, "the last Data-In has no F")
        task.response = pdu.response
        if pdu.data:
            size = int.from_bytes(pdu.data[:2], "big")
            sense = pdu.data[2:2 + size]
            expect(len(sense) == size >= 8 and size == sense[7] + 8, "sense data of another size than it says")
            task.sense_descriptors = sense[0] == 0x72
            expect(task.sense_descriptors or sense[0] & 0x7f == 0x70, "sense data in no known format")
            key, code, qualifier = sense[1:4] if task.sense_descriptors else (sense[2], sense[12], sense[13])
            task.sense = f"{key & 15:02x}/{code:02x}/{qualifier:02x}"
        expect(bool(task.sense) == (pdu.status == CHECK_CONDITION), "sense data belongs to CHECK CONDITION")
        self._finish(task, pdu)

    def _finish(self, task: Task, pdu: Pdu) -> None:
        odd = pdu.flags & (OVERFLOW | UNDERFLOW)
        expect(odd != OVERFLOW | UNDERFLOW, "overflow and underflow at once")
        expect(bool(odd) == bool(pdu.residual), "a residual count without a flag, or the reverse")
        task.residual = pdu.residual if odd == OVERFLOW else -pdu.residual
        expect(pdu.residual <= task.edtl or odd == OVERFLOW, "less than nothing was moved")
        if pdu.status == GOOD and task.data:
            expect(len(task.data) == task.edtl + min(task.residual, 0), "the residual does not fit the data")
        task.status = pdu.status
        del self.tasks[task.itt]

    def step(self) -> Pdu:
        """Receives one PDU and does what belongs to its task, if it is of one."""
        pdu = self.receive()
        handler = {DATA_IN: self._data_in, RESPONSE: self._response, R2T: self._r2t}.get(pdu.opcode)
        if handler:
            expect(pdu.itt in self.tasks, f"{pdu} belongs to no task")
            handler(self.tasks[pdu.itt], pdu)
        return pdu

    def wait(self, *tasks: Task) -> Task:
        """Until they all have their status; returns the last."""
        while not all(task.done for task in tasks):
            self.step()
        return tasks[-1]

    def wait_for(self, opcode: int) -> Pdu:
        """The next PDU of that kind; tasks go on meanwhile."""
        while (pdu := self.step()).opcode != opcode:
            pass
        return pdu

    def command(self, cdb: bytes, read: int = 0, write: bytes = b"", **how: object) -> Task:
        """Runs a command to its end; see start()."""
        return self.wait(self.start(cdb, read, write, **how))

    def good(self, cdb: bytes, read: int = 0, write: bytes = b"", **how: object) -> bytes:
        """The data of a command that must succeed."""
        task = self.command(cdb, read, write, **how)
        assert task.good, task
        return bytes(task.data)

    def read(self, lba: int, blocks: int, block_size: int = 512) -> bytes:
        """READ(16)."""
        return self.good(read_cdb(lba, blocks), read=blocks * block_size)

    def write(self, lba: int, data: bytes, block_size: int = 512, fua: bool = False, **how: object) -> None:
        """WRITE(16)."""
        self.good(write_cdb(lba, len(data) // block_size, fua=fua), write=data, **how)

    def write_same(self, lba: int, blocks: int, block: bytes) -> None:
        """WRITE SAME(16)."""
        self.good(write_same_cdb(lba, blocks), write=block)

    def unmap(self, *ranges: tuple[int, int]) -> None:
        """UNMAP."""
        parameters = unmap_list(ranges)
        self.good(unmap_cdb(len(parameters)), write=parameters)

    def flush(self) -> None:
        """SYNCHRONIZE CACHE(16)."""
        self.good(SYNCHRONIZE_CACHE)

    def capacity(self) -> tuple[int, int]:
        """Number of blocks and bytes of a block."""
        last, size = struct.unpack("!QI", self.good(READ_CAPACITY_16, read=32)[:12])
        return last + 1, size

    # -- everything else

    def request(self, opcode: int, answer: int, data: bytes = b"", immediate: bool = False,
                **fields: int) -> Pdu:
        """Sends a numbered request of another kind and returns its answer."""
        header = {"flags": FINAL, "itt": self.next_itt(), "ttt": RESERVED_TAG, "cmdsn": self.cmdsn,
                  "expstatsn": self.statsn or 0, **fields}
        if not immediate:
            self.cmdsn = succ(self.cmdsn)
        self.send(Pdu(opcode | (IMMEDIATE if immediate else 0), data, **header))
        pdu = self.wait_for(answer)
        expect(pdu.itt == header["itt"], f"{pdu} is the answer to something else")
        return pdu

    def ping(self, data: bytes = b"", immediate: bool = True) -> bytes:
        """NOP-Out; what comes back."""
        pdu = self.request(NOP_OUT, NOP_IN, data, immediate)
        expect(pdu.ttt == RESERVED_TAG, "the answer to a ping asks for an answer")
        return pdu.data

    def text_request(self, keys: Iterable[tuple[str, str]] | dict[str, str]) -> list[tuple[str, str]]:
        """A text request; the pairs of its whole answer."""
        pdu = self.request(TEXT, TEXT_RESPONSE, text(keys))
        data = pdu.data
        while not pdu.flags & FINAL:
            expect(pdu.flags & CONTINUE and pdu.ttt != RESERVED_TAG, "an answer that neither ends nor goes on")
            pdu = self.request(TEXT, TEXT_RESPONSE, itt=pdu.itt, ttt=pdu.ttt)
            data += pdu.data
        expect(pdu.ttt == RESERVED_TAG, "an answer that has ended and goes on")
        return Pdu(TEXT_RESPONSE, data).pairs

    def task_management(self, function: int, task: Task | None = None, **fields: int) -> int:
        """Sends it immediately; returns the response. The task is forgotten if it was aborted."""
        if task:
            fields = {"referenced": task.itt, "refcmdsn": fields.pop("refcmdsn", 0), **fields}
        pdu = self.request(TASK_MANAGEMENT, TASK_MANAGEMENT_RESPONSE, immediate=True,
                           **{"flags": FINAL | function, "referenced": RESERVED_TAG, **fields})
        if task and pdu.response == 0:
            self.tasks.pop(task.itt, None)
        return pdu.response

    def logout(self, reason: int = 0) -> int:
        """Logs out; returns the response. After a 0 the target closes the connection."""
        pdu = self.request(LOGOUT, LOGOUT_RESPONSE, flags=FINAL | reason, ttt=self.cid << 16)
        if pdu.response == 0:
            self.expect_close()
        return pdu.response

    def expect_close(self) -> None:
        """Waits until the target closes the connection; what it still sends is dropped."""
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionResetError:
            pass
        self.socket.close()


def discover(portal: tuple[str, int], initiator: str = INITIATOR, which: str = "All",
             source: str | None = None) -> dict[str, list[str]]:
    """SendTargets in a discovery session: the addresses of each target."""
    targets: dict[str, list[str]] = {}
    with Session(portal, None, initiator, source=source).login() as session:
        name = ""
        for key, value in session.text_request({"SendTargets": which}):
            if key == "TargetName":
                name = value
                targets[name] = []
            else:
                expect(key == "TargetAddress" and name, f"'{key}' in the answer to SendTargets")
                targets[name].append(value)
        session.logout()
    return targets
