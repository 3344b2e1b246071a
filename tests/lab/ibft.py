"""An iSCSI Boot Firmware Table made by hand: for what no firmware of the tests leaves there.

QEMU puts it among the ACPI tables (-acpitable), where Linux finds it as it finds UEFI's.
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

#: The ACPI header, which QEMU makes; and what follows it up to the control structure (iBFT 1.03, 1.4).
HEADER, RESERVED = 36, 12
CONTROL, INITIATOR, NIC, TARGET = 1, 2, 3, 4
MANUAL = 1  # origin
ISCSI_PORT = 3260


@dataclass(frozen=True)
class Table:
    """One card, one target."""

    mac: str
    address: str
    portal: str
    initiator: str
    target: str
    prefix: int = 24
    vlan: int = 0
    hostname: str = ""

    def body(self) -> bytes:
        """Everything behind the ACPI header."""
        at = {CONTROL: HEADER + RESERVED}
        at[INITIATOR] = at[CONTROL] + 32
        at[NIC] = at[INITIATOR] + 80
        at[TARGET] = at[NIC] + 112
        strings, first = b"", at[TARGET] + 112

        def text(value: str) -> bytes:
            nonlocal strings
            if not value:
                return struct.pack("<HH", 0, 0)
            place = struct.pack("<HH", len(value), first + len(strings))
            strings += value.encode() + b"\0"
            return place

        def structure(kind: int, content: bytes, size: int) -> bytes:
            head = struct.pack("<BBHBB", kind, 1, 6 + len(content), 0, 0 if kind == CONTROL else 3)
            return (head + content).ljust(size, b"\0")

        nothing = bytes(16)
        nic = (ip(self.address) + struct.pack("<BB", self.prefix, MANUAL) + nothing * 4
               + struct.pack("<H", self.vlan) + bytes.fromhex(self.mac.replace(":", ""))
               + struct.pack("<H", 0) + text(self.hostname))
        target = (ip(self.portal) + struct.pack("<H", ISCSI_PORT) + bytes(8) + struct.pack("<BB", 0, 0)
                  + text(self.target) + bytes(16))
        return bytes(RESERVED) + b"".join((
            structure(CONTROL, struct.pack("<HHHHHH", 0, at[INITIATOR], at[NIC], at[TARGET], 0, 0), 32),
            structure(INITIATOR, nothing * 4 + text(self.initiator), 80),
            structure(NIC, nic, 112),
            structure(TARGET, target, 112),
        )) + strings


def ip(address: str) -> bytes:
    """As the table has it."""
    return bytes(10) + b"\xff\xff" + IPv4Address(address).packed
