"""A DHCPv6 client and relay made of bytes, in a machine's namespace."""

import os
import socket
import struct
from collections.abc import Iterator

from netlab import inside, mac_bytes

from lab.netns import Namespace

SOLICIT, ADVERTISE, REQUEST, CONFIRM, RENEW, REBIND, REPLY, RELEASE, DECLINE = range(1, 10)
INFORMATION_REQUEST, RELAY_FORWARD, RELAY_REPLY = 11, 12, 13

CLIENT_ID, SERVER_ID, IA_NA, IA_TA, IA_ADDRESS, ORO, PREFERENCE = 1, 2, 3, 4, 5, 6, 7
RELAY_MESSAGE, STATUS, RAPID_COMMIT, USER_CLASS, VENDOR_CLASS, INTERFACE_ID = 9, 13, 14, 15, 16, 18
DNS, DOMAINS, IA_PD, BOOT_URL, ARCHITECTURE, CLIENT_HARDWARE = 23, 24, 25, 59, 61, 79

SERVERS = "ff02::1:2"


def option(code: int, data: bytes) -> bytes:
    return struct.pack("!HH", code, len(data)) + data


def options_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        code, size = struct.unpack_from("!HH", data)
        yield code, data[4:4 + size]
        data = data[4 + size:]


def address_option(address: str) -> bytes:
    return option(IA_ADDRESS, socket.inet_pton(socket.AF_INET6, address) + bytes(8))


def ia(*addresses: str, number: int = 1, code: int = IA_NA) -> bytes:
    times = b"" if code == IA_TA else bytes(8)
    return option(code, struct.pack("!I", number) + times + b"".join(map(address_option, addresses)))


def duid_uuid(seed: int) -> bytes:
    """What EDK2 and iPXE have: nothing of a MAC in it."""
    return b"\0\4" + bytes([seed]) * 16


def firmware(kind: str, architecture: int) -> bytes:
    """As EDK2 says it."""
    name = f"{kind}Client:Arch:{architecture:05}:UNDI:003000".encode()
    return (option(ORO, struct.pack("!4H", BOOT_URL, 60, DNS, VENDOR_CLASS)) + option(62, b"\1\3\0")
            + option(ARCHITECTURE, struct.pack("!H", architecture))
            + option(VENDOR_CLASS, struct.pack("!IH", 343, len(name)) + name))


IPXE = option(ORO, struct.pack("!3H", DNS, DOMAINS, BOOT_URL)) + option(USER_CLASS, b"\0\4iPXE")


class Answer:
    """What came back."""

    def __init__(self, data: bytes) -> None:
        self.kind, self.transaction = data[0], data[1:4]
        self.order = list(options_of(data[4:]))
        self.options = dict(self.order)

    def ia_options(self, code: int = IA_NA) -> list[tuple[int, bytes]]:
        return list(options_of(self.options[code][4 if code == IA_TA else 12:]))

    def addresses(self) -> dict[str, int]:
        """With how long each is valid."""
        return {socket.inet_ntop(socket.AF_INET6, data[:16]): int.from_bytes(data[20:24], "big")
                for code, data in self.ia_options() if code == IA_ADDRESS}

    def status(self) -> int | None:
        return int.from_bytes(self.options[STATUS][:2], "big") if STATUS in self.options else None

    @property
    def url(self) -> str | None:
        return self.options[BOOT_URL].decode() if BOOT_URL in self.options else None


class Client6:
    """Asks from its machine's link-local address."""

    def __init__(self, namespace: Namespace, duid: bytes = duid_uuid(7), port: int = 546) -> None:
        with inside(namespace):
            self.socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            self.socket.bind(("::", port))
            self.index = socket.if_nametoindex("eth0")
        self.duid = duid
        self.data = b""

    def ask(self, kind: int, *options: bytes, wait: float = 60, to: str = SERVERS) -> Answer | None:
        transaction = os.urandom(3)
        self.socket.sendto(bytes([kind]) + transaction + option(CLIENT_ID, self.duid) + b"".join(options),
                           (to, 547, 0, self.index))
        return self.answer(transaction, wait)

    def answer(self, transaction: bytes, wait: float) -> Answer | None:
        self.socket.settimeout(wait)
        try:
            while True:
                self.data = self.socket.recv(4096)
                if self.data[1:4] == transaction:
                    return Answer(self.data)
        except TimeoutError:
            return None

    def lease(self, *options: bytes) -> Answer:
        """SOLICIT to REPLY."""
        offer = self.ask(SOLICIT, ia(), *options)
        assert offer and offer.kind == ADVERTISE
        reply = self.ask(REQUEST, option(SERVER_ID, offer.options[SERVER_ID]), ia(*offer.addresses()), *options)
        assert reply and reply.kind == REPLY and reply.addresses() == offer.addresses()
        return reply

    def close(self) -> None:
        self.socket.close()


def relayed(message: bytes, link: str, peer: str, *options: bytes, hops: int = 0) -> bytes:
    """As a relay forwards it."""
    return (bytes([RELAY_FORWARD, hops]) + socket.inet_pton(socket.AF_INET6, link)
            + socket.inet_pton(socket.AF_INET6, peer) + b"".join(options) + option(RELAY_MESSAGE, message))


def hardware(mac: str) -> bytes:
    return option(CLIENT_HARDWARE, b"\0\1" + mac_bytes(mac))
