"""What OVMF keeps in its flash: the setup of its own iSCSI initiator, written there before power-on.

As an administrator would do it in the setup menu, Device Manager, iSCSI Configuration. Two formats
meet here: EDK II's authenticated variable store (a list of records that only grows, in a firmware
volume), and the structure in which its IScsiDxe keeps an attempt, as it has been since 2018.
"""

import socket
import struct
import uuid
from dataclasses import dataclass
from pathlib import Path

from .process import LabError

STORE_GUID = uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792")  # gEfiAuthenticatedVariableGuid
CONFIG_GUID = uuid.UUID("4b47d616-a8d6-4552-9d44-ccad2e0f4cf9")  # gIScsiConfigGuid
INITIATOR_GUID = uuid.UUID("59324945-ec44-4c0d-b1cd-9db139df070c")  # gEfiIScsiInitiatorNameProtocolGuid

VOLUME_SIGNATURE, VOLUME_HEADER_SIZE_AT = b"_FVH", 48
STORE_HEADER_SIZE, STORE_FORMATTED, STORE_HEALTHY = 28, 0x5a, 0xfe
VARIABLE_START, VARIABLE_ADDED = 0x55aa, 0x3f
NON_VOLATILE, BOOT_SERVICE = 1, 2

ATTEMPTS = 8  # OVMF makes as many at its first start, unless they are there
ENABLED = 1
NO_AUTHENTICATION, ONE_WAY_CHAP = 0, 1


@dataclass
class Variable:
    """A UEFI variable that lasts."""

    name: str
    guid: uuid.UUID
    data: bytes

    def encode(self) -> bytes:
        """Its record in the store, without the gap before the next one."""
        name = f"{self.name}\0".encode("utf-16-le")
        return struct.pack("<HBBIQ16xIII16s", VARIABLE_START, VARIABLE_ADDED, 0, NON_VOLATILE | BOOT_SERVICE,
                           0, 0, len(name), len(self.data), self.guid.bytes_le) + name + self.data


def write_variables(flash: Path, variables: list[Variable]) -> None:
    """Puts variables into a store that has none yet, as OVMF_VARS.fd is delivered."""
    data = bytearray(flash.read_bytes())
    (start,) = struct.unpack_from("<H", data, VOLUME_HEADER_SIZE_AT)
    guid, size, form, state = struct.unpack_from("<16sIBB", data, start)
    if (data[40:44] != VOLUME_SIGNATURE or guid != STORE_GUID.bytes_le
            or (form, state) != (STORE_FORMATTED, STORE_HEALTHY)):
        raise LabError(f"{flash} is no store of UEFI variables of the kind that is known here")
    at, end = start + STORE_HEADER_SIZE, start + size
    if data[at:at + 2] != b"\xff\xff":
        raise LabError(f"{flash} has variables already")
    for variable in variables:
        record = variable.encode()
        if at + len(record) > end:
            raise LabError(f"{flash} is too small for {variable.name}")
        data[at:at + len(record)] = record
        at += len(record) + -len(record) % 4
    flash.write_bytes(data)


@dataclass
class Attempt:
    """How the firmware is to log in.

    address   its own, in a /24; None: from DHCP
    target    the target's name; None: name and portal from DHCP (root path, RFC 4173)
    """

    mac: str
    initiator: str
    portal: str  # an IPv4 address
    target: str | None
    address: str | None = None

    def encode(self, index: int) -> bytes:
        """ISCSI_ATTEMPT_CONFIG_NVDATA."""
        return _attempt(index, self.mac.upper(), self._session(), NO_AUTHENTICATION, active=True)

    def _session(self) -> bytes:
        mac = bytes.fromhex(self.mac.replace(":", ""))
        return _session(
            ENABLED, socket.inet_aton(self.address or "0.0.0.0"),
            socket.inet_aton("255.255.255.0") if self.address else bytes(4), not self.address, not self.target,
            (self.target or "").encode(), socket.inet_aton(self.portal), 24 if self.address else 0,
            # milliseconds and retries: the longest that there are
            20000, 16, b"\x80" + mac[1:])

    def variables(self) -> list[Variable]:
        """All that IScsiDxe looks for."""
        empty = [_attempt(n, "", _session(), ONE_WAY_CHAP, active=False) for n in range(2, ATTEMPTS + 1)]
        return [Variable("I_NAME", INITIATOR_GUID, self.initiator.encode() + b"\0"),
                Variable("InitialAttemptOrder", CONFIG_GUID, bytes(range(1, ATTEMPTS + 1))),
                Variable("AttemptOrder", CONFIG_GUID, bytes([1])),
                *(Variable(f"Attempt {n}", INITIATOR_GUID, data)
                  for n, data in enumerate([self.encode(1), *empty], 1))]


def _attempt(index: int, mac: str, session: bytes, authentication: int, active: bool) -> bytes:
    """The attempt around a session; names of CHAP and their secrets are empty."""
    return struct.pack("<16xBB4xHH12s96s48x", 0, index, 0, 0, f"Attempt {index}".encode(), mac.encode()) + session \
        + struct.pack("<BB127s17s127s17sBB", authentication, 0, b"", b"", b"", b"", 0, active)


def _session(enabled: int = 0, address: bytes = b"", mask: bytes = b"", own_by_dhcp: bool = False,
             target_by_dhcp: bool = False, target: bytes = b"", portal: bytes = b"", prefix: int = 0,
             timeout: int = 1000, retries: int = 0, isid: bytes = b"") -> bytes:
    """ISCSI_SESSION_CONFIG_NVDATA; LUN 0, port 3260, IPv4."""
    return struct.pack("<HBB16s4s16s??224s16sB8sHB6s?H16s?255s", 3260, enabled, 0, address, mask, b"", own_by_dhcp,
                       target_by_dhcp, target, portal, prefix, b"", timeout, retries, isid, False, 0, b"", False, b"")
