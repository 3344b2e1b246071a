"""A DHCP relay that makes a machine whose ROM is iPXE look like one whose ROM is not.

    python3 plain_rom.py INTERFACE OWN-ADDRESS SERVER

QEMU's card has no other ROM for BIOS. The relay (RFC 2131, RFC 1542) takes out of requests what
tells iPXE from a card maker's ROM: its user class and its encapsulated options. So the server gives
the loader, and the ROM loads it, as any PXE ROM would. Requests of the loader itself (it says
"iPXE", too, but its options tell that it is not the ROM) would pass in the same way; the test
counts them on the wire.
"""

import socket
import struct
import sys

USER_CLASS, IPXE, PAD, END = 77, 175, 0, 255
FIXED = 240  # up to and with the magic cookie
SERVER_PORT, CLIENT_PORT = 67, 68
HOPS, GIADDR = 3, 24


def without(message: bytes, unwanted: set[int]) -> bytes:
    """The message without these options."""
    kept, at = bytearray(message[:FIXED]), FIXED
    while at < len(message) and message[at] != END:
        size = 1 if message[at] == PAD else 2 + message[at + 1]
        if message[at] not in unwanted:
            kept += message[at:at + size]
        at += size
    return bytes(kept + bytes([END]))


def relay(interface: str, own: str, server: str) -> None:
    """For ever."""
    inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    inside.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    inside.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    inside.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    inside.bind(("", SERVER_PORT))
    outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    outside.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # answers go to the relay's address inside, and come in by another interface
    outside.bind((own, SERVER_PORT))
    print("relaying", flush=True)
    while True:
        message, _ = inside.recvfrom(4096)
        request = bytearray(without(message, {USER_CLASS, IPXE}))
        request[HOPS] += 1
        request[GIADDR:GIADDR + 4] = socket.inet_aton(own)
        outside.sendto(request, (server, SERVER_PORT))
        outside.settimeout(2)
        try:
            answer = outside.recv(4096)
        except TimeoutError:
            continue
        if struct.unpack(">I", answer[4:8]) == struct.unpack(">I", message[4:8]):
            inside.sendto(answer, ("255.255.255.255", CLIENT_PORT))


if __name__ == "__main__":
    relay(*sys.argv[1:4])
