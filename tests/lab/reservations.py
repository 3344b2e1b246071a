"""PERSISTENT RESERVE IN and OUT, for a Session of iscsi.py (SPC-4)."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from .iscsi import Session, Task

REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT_AND_ABORT, REGISTER_AND_IGNORE, REGISTER_AND_MOVE = range(8)
READ_KEYS, READ_RESERVATION, REPORT_CAPABILITIES, READ_FULL_STATUS = range(4)
#: Types: Write Exclusive, Exclusive Access; the same for Registrants Only, and for All Registrants.
WE, EA, WE_RO, EA_RO, WE_AR, EA_AR = 1, 3, 5, 6, 7, 8
TYPES = (WE, EA, WE_RO, EA_RO, WE_AR, EA_AR)
OF_ALL = (WE_AR, EA_AR)

CONFLICT = 0x18
RESERVATIONS_PREEMPTED, RESERVATIONS_RELEASED, REGISTRATIONS_PREEMPTED = "06/2a/03", "06/2a/04", "06/2a/05"
RESERVE_6, RELEASE_6 = bytes([0x16, 0, 0, 0, 0, 0]), bytes([0x17, 0, 0, 0, 0, 0])


@dataclass(frozen=True)
class Registration:
    """A full status descriptor."""

    initiator: str
    isid: int
    key: int
    holds: bool
    type: int  # of the reservation that it holds; or 0


def transport_id(initiator: str, isid: int | None = None) -> bytes:
    """Of an iSCSI port; without an ISID of a device."""
    name = (initiator if isid is None else f"{initiator},i,0x{isid:012x}").encode() + b"\0"
    name = (name + bytes(-len(name) % 4)).ljust(20, b"\0")
    return struct.pack("!BBH", 0x05 if isid is None else 0x45, 0, len(name)) + name


def out_list(key: int, new_key: int = 0, *, aptpl: bool = False, ports: Iterable[bytes] | None = None) -> bytes:
    """The parameter list of all service actions but REGISTER AND MOVE; ports: with SPEC_I_PT."""
    named = None if ports is None else b"".join(ports)
    flags = (0x01 if aptpl else 0) | (0 if named is None else 0x08)
    more = b"" if named is None else struct.pack("!I", len(named)) + named
    return struct.pack("!QQIB3x", key, new_key, 0, flags) + more


def move_list(key: int, new_key: int, port: bytes, *, unregister: bool = False, aptpl: bool = False) -> bytes:
    """The parameter list of REGISTER AND MOVE."""
    flags = (0x02 if unregister else 0) | (0x01 if aptpl else 0)
    return struct.pack("!QQBBHI", key, new_key, 0, flags, 1, len(port)) + port


def start_out(session: Session, action: int, parameters: bytes, kind: int = 0, lun: int = 0) -> Task:
    """Sends PERSISTENT RESERVE OUT."""
    cdb = struct.pack("!BBB2xIx", 0x5f, action, kind, len(parameters))
    return session.start(cdb, write=parameters, lun=lun)


def out(session: Session, action: int, key: int, new_key: int = 0, kind: int = 0, lun: int = 0, **more: object) -> Task:
    """PERSISTENT RESERVE OUT to its end; see out_list()."""
    return session.wait(start_out(session, action, out_list(key, new_key, **more), kind, lun))


def reserve_in(session: Session, action: int, lun: int = 0) -> bytes:
    """PERSISTENT RESERVE IN."""
    return session.good(struct.pack("!BB5xHx", 0x5e, action, 0x8000), read=0x8000, lun=lun)


def keys(session: Session, lun: int = 0) -> list[int]:
    """All keys that are registered."""
    data = reserve_in(session, READ_KEYS, lun)
    assert int.from_bytes(data[4:8], "big") == len(data) - 8
    return [key for (key,) in struct.iter_unpack("!Q", data[8:])]


def generation(session: Session, lun: int = 0) -> int:
    """PRGENERATION."""
    return int.from_bytes(reserve_in(session, READ_KEYS, lun)[:4], "big")


def full_status(session: Session, lun: int = 0) -> list[Registration]:
    """Who is registered, in order."""
    data = reserve_in(session, READ_FULL_STATUS, lun)
    assert int.from_bytes(data[4:8], "big") == len(data) - 8
    found, at = [], 8
    while at < len(data):
        key, flags, kind, size = struct.unpack_from("!Q4xBB6xI", data, at)
        name = data[at + 28:at + 24 + size].split(b"\0")[0].decode()
        initiator, _, isid = name.partition(",i,0x")
        found.append(Registration(initiator, int(isid, 16), key, bool(flags & 1), kind))
        at += 24 + size
    return found
