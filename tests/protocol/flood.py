"""Sends DISCOVERs with random MACs from a namespace until it is stopped, so many a second at most.

usage: flood.py INTERFACE RATE [malformed]

With `malformed` every other message is cut off or has random bytes in its options. Prints how many
it has sent when it is told to stop (SIGTERM).
"""

import os
import random
import signal
import socket
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from netlab import DISCOVER, Message, checksum  # noqa: E402

FRAMES = 4096  # different ones, prepared; their MACs are changed each round


def frame(rng: random.Random, broken: bool) -> bytearray:
    mac = bytes([0x52, 0x54, 0x77]) + rng.randbytes(3)
    data = Message(DISCOVER, mac.hex(":"), rng.getrandbits(32)).set(55, bytes([1, 3, 6, 15])).encode()
    if broken:
        data = data[:rng.randrange(len(data))] if rng.random() < 0.5 else data[:240] + rng.randbytes(60)
    udp = struct.pack("!HHHH", 68, 67, 8 + len(data), 0) + data
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), b"\xff" * 4)
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return bytearray(b"\xff" * 6 + mac + b"\x08\x00" + header + udp)


def main() -> int:
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    rng = random.Random(os.getpid())
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((sys.argv[1], 0))
        frames = [frame(rng, "malformed" in sys.argv and i % 2 == 1) for i in range(FRAMES)]
        rate, sent, told, begin = int(sys.argv[2]), 0, False, time.monotonic()
        while not stopped:
            for one in frames:
                at = 14 + 28 + 28 + 3  # chaddr behind the headers, its last three bytes
                if len(one) > at + 3:
                    struct.pack_into("!I", one, at - 1, 0x77000000 | (sent * 7919 + os.getpid()) & 0xffffff)
                try:
                    sender.send(one)
                except OSError:
                    continue  # its queue is full
                sent += 1
                if sent % 64 == 0:
                    time.sleep(max(0.0, begin + sent / rate - time.monotonic()))
            if not told and sent >= len(frames) // 2:
                told = True
                print("flooding", flush=True)
    print(sent, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
