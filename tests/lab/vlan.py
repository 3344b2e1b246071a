"""The port of a switch on which a network is tagged (IEEE 802.1Q), for a host whose kernel has no VLANs.

    python3 vlan.py INTERFACE VLAN HERE THERE

Frames of a machine come as datagrams to port HERE of loopback (QEMU's -netdev socket,udp=): those of
the VLAN go out on INTERFACE without their tag, all others nowhere; what comes in there goes to port
THERE with it.
"""

import os
import selectors
import socket
import struct
import sys

TAGGED = 0x8100
ALL = 0x0003
MTU = 2048


def main() -> None:
    """Until it is killed."""
    interface, vlan, here, there = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    machine = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    machine.bind(("127.0.0.1", here))
    network = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
    network.bind((interface, 0))
    untagged = 0
    selector = selectors.DefaultSelector()
    selector.register(machine, selectors.EVENT_READ)
    selector.register(network, selectors.EVENT_READ)
    print("forwarding", flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is machine:
                frame = machine.recv(MTU)
                kind, tag = struct.unpack("!HH", frame[12:16])
                if kind == TAGGED and tag & 0xfff == vlan:
                    network.send(frame[:12] + frame[16:])
                else:
                    untagged += 1
                    print(f"{untagged} frames without the tag", flush=True)
            else:
                frame, address = network.recvfrom(MTU)
                if address[2] != socket.PACKET_OUTGOING:
                    machine.sendto(frame[:12] + struct.pack("!HH", TAGGED, vlan) + frame[12:], ("127.0.0.1", there))


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"vlan: {error.strerror or os.strerror(error.errno)}")
