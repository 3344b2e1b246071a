"""A daemon in a network namespace with machines around it, and a DHCP client made of bytes.

    server ── br0 (10.0.0.1/24) ──┬── client namespaces (eth0)
                                  └── relay ── far (10.9.0.0/24)
"""

import contextlib
import ctypes
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from daemon import Daemon, wait_until

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from lab.netns import Namespace  # noqa: E402

SERVER = "10.0.0.1"
SUBNET = """[subnet lab]
interface = br0
network = 10.0.0.0/24
range = 10.0.0.100-10.0.0.199
router = 10.0.0.254
dns = 10.0.0.53
domain = lan.example
"""
FAR = """[subnet far]
interface = br0
network = 10.9.0.0/24
range = 10.9.0.100-10.9.0.199
router = 10.9.0.2
"""

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def inside(namespace: Namespace) -> Iterator[None]:
    """Sockets made in this block belong to the namespace."""
    with open("/proc/self/ns/net") as here, open(f"/run/netns/{namespace.name}") as there:
        if _libc.setns(there.fileno(), CLONE_NEWNET) < 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            _libc.setns(here.fileno(), CLONE_NEWNET)


class LabDaemon(Daemon):
    """The daemon inside the server's namespace."""

    def __init__(self, work: Path, namespace: Namespace, subnets: str = SUBNET, **keys: str) -> None:
        self.namespace = namespace
        self.keys = {"http": f"{SERVER}:80", "tftp": f"{SERVER}:69", "iscsi": "127.0.0.1:0",
                     "loaders": "/usr/lib/ipxe", **keys}
        super().__init__(work)
        self.write_config(subnets)

    def write_config(self, more: str = "") -> None:
        self.config.write_text(
            f"[server]\nstate-directory = {self.state}\nsocket = {self.socket}\n"
            f"base-iqn = iqn.2026-11.lan.example\n[iscsi]\nlisten = {self.keys['iscsi']}\nthreads = 1\n"
            f"[http]\nlisten = {self.keys['http']}\n"
            f"[tftp]\nlisten = {self.keys['tftp']}\nloaders = {self.keys['loaders']}\n{more}")

    def launch(self, *prefix: str) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.namespace.name, *prefix, self.program, "serve", "--config", self.config],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL)


class NetLab:
    """The namespaces."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.stack = contextlib.ExitStack()
        self.server = self.stack.enter_context(Namespace(work / "server", "server"))
        self.server.add_bridge(f"{SERVER}/24", "fe80::1/64")
        self.count = 0

    def client(self, *addresses: str, mac: str | None = None) -> Namespace:
        """Another machine on the bridge; its interface is eth0."""
        self.count += 1
        namespace = self.stack.enter_context(Namespace(self.work / f"client{self.count}", "client"))
        name = f"c{self.count}"
        self.server.run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0",
                        "netns", namespace.name)
        if mac:
            namespace.run("ip", "link", "set", "eth0", "address", mac)
        self.server.run("ip", "link", "set", name, "master", "br0", "up")
        namespace.run("sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=0", check=False)
        for address in addresses:
            nodad = ["nodad"] if ":" in address else []  # it can be used at once
            namespace.run("ip", "addr", "add", address, "dev", "eth0", *nodad)
        namespace.run("ip", "link", "set", "eth0", "up")
        # The kernel tells the bridge of the cable some time later; until then it drops what comes in.
        wait_until(lambda: "state forwarding" in self.server.run("bridge", "link", "show", "dev", name).stdout,
                   f"the bridge to forward what {name} sends")
        return namespace

    def daemon(self, subnets: str = SUBNET, **keys: str) -> LabDaemon:
        return self.stack.enter_context(LabDaemon(self.work / "daemon", self.server, subnets, **keys))

    def close(self) -> None:
        self.stack.close()


# --- DHCP by hand ---

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)


def mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def checksum(data: bytes, start: int = 0) -> int:
    if len(data) % 2:
        data += b"\0"
    total = start + sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


class Message:
    """A DHCP message, to be sent or received."""

    def __init__(self, kind: int, mac: str, xid: int = 0x1234, **options: object) -> None:
        self.kind, self.mac, self.xid = kind, mac, xid
        self.flags = 0
        self.ciaddr = self.yiaddr = self.siaddr = self.giaddr = "0.0.0.0"
        self.file = b""
        self.options: dict[int, bytes] = {}
        self.order: list[int] = []

    def set(self, code: int, value: bytes | str | int) -> "Message":
        """An option: an address as text, a number as four bytes, or bytes."""
        if isinstance(value, str):
            value = socket.inet_aton(value)
        elif isinstance(value, int):
            value = struct.pack("!I", value)
        self.options[code] = value
        return self

    def encode(self) -> bytes:
        data = struct.pack("!BBBBIHH4s4s4s4s16s64s128s4s", 1, 1, 6, 0, self.xid, 0, self.flags,
                           *(socket.inet_aton(a) for a in (self.ciaddr, self.yiaddr, self.siaddr, self.giaddr)),
                           mac_bytes(self.mac), b"", self.file, b"\x63\x82\x53\x63")
        data += bytes([53, 1, self.kind])
        for code, value in self.options.items():
            data += bytes([code, len(value)]) + value
        return data + b"\xff"

    @classmethod
    def decode(cls, data: bytes) -> "Message":
        fields = struct.unpack("!BBBBIHH4s4s4s4s16s64s128s4s", data[:240])
        message = cls(0, fields[11][:6].hex(":"), fields[4])
        message.flags = fields[6]
        message.ciaddr, message.yiaddr, message.siaddr, message.giaddr = map(socket.inet_ntoa, fields[7:11])
        message.file = fields[13].rstrip(b"\0")
        at = 240
        while at < len(data) and data[at] != 255:
            if data[at] == 0:
                at += 1
                continue
            code, size = data[at], data[at + 1]
            message.options[code] = message.options.get(code, b"") + data[at + 2:at + 2 + size]
            message.order.append(code)
            at += 2 + size
        message.kind = message.options[53][0]
        return message

    def address(self, code: int) -> str:
        return socket.inet_ntoa(self.options[code])

    def number(self, code: int) -> int:
        return int.from_bytes(self.options[code], "big")


class Wire:
    """Raw Ethernet on a machine's interface: any MAC can be posed as."""

    def __init__(self, namespace: Namespace, interface: str = "eth0") -> None:
        with inside(namespace):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.socket.bind((interface, 3))
            # PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC
            index = socket.if_nametoindex(interface)
            self.socket.setsockopt(263, 1, struct.pack("iHH8s", index, 1, 0, b""))
        self.xid = int.from_bytes(os.urandom(3), "big") << 8
        self.addresses: dict[bytes, str] = {}  # that we answer ARP for: their MACs

    def close(self) -> None:
        self.socket.close()

    def refuse_broadcasts(self) -> None:
        """From here on the kernel drops what is for everybody: answers are for a machine alone."""
        # load the first two bytes; all ones: drop, else take all of it (BPF)
        program = b"".join(struct.pack("HBBI", *code) for code in (
            (0x28, 0, 0, 0), (0x15, 0, 1, 0xFFFF), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF)))
        buffer = ctypes.create_string_buffer(program)
        self.socket.setsockopt(socket.SOL_SOCKET, 26,  # SO_ATTACH_FILTER
                               struct.pack("HP", len(program) // 8, ctypes.addressof(buffer)))

    def send(self, source: str, destination: str, ethertype: int, payload: bytes) -> None:
        self.socket.send(mac_bytes(destination) + mac_bytes(source) + struct.pack("!H", ethertype) + payload)

    def send_udp(self, mac: str, payload: bytes, source: str = "0.0.0.0", target: str = "255.255.255.255",
                 target_mac: str = "ff:ff:ff:ff:ff:ff", ports: tuple[int, int] = (68, 67)) -> None:
        udp = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
        header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0,
                             socket.inet_aton(source), socket.inet_aton(target))
        header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
        self.send(mac, target_mac, 0x0800, header + udp)

    def frames(self, seconds: float) -> Iterator[bytes]:
        """What arrives within so many seconds, without what we sent."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                frame, address = self.socket.recvfrom(4096)
            except TimeoutError:
                return
            if address[2] == 4:  # PACKET_OUTGOING
                continue
            if frame[12:14] == b"\x08\x06" and frame[38:42] in self.addresses:
                self.answer_arp(frame)
            yield frame

    def answer_arp(self, frame: bytes) -> None:
        mac = self.addresses[frame[38:42]]
        self.send(mac, frame[6:12].hex(":"), 0x0806, frame[14:20] + b"\0\2" + mac_bytes(mac) + frame[38:42]
                  + frame[22:32])

    def answer(self, xid: int, seconds: float = 60) -> tuple[Message, bytes] | None:
        """The DHCP answer to this transaction, with its frame."""
        for frame in self.frames(seconds):
            if frame[12:14] != b"\x08\x00" or frame[23] != 17 or frame[36:38] != b"\0\x44":
                continue
            assert checksum(frame[14:34]) == 0
            message = Message.decode(frame[42:])
            if message.xid == xid:
                return message, frame
        return None


class Client:
    """A machine that speaks DHCP; every method returns the answer or None."""

    def __init__(self, wire: Wire, mac: str) -> None:
        self.wire, self.mac = wire, mac
        self.frame = b""
        self.seconds = 0.0  # that the last answer took
        self.extra: dict[int, bytes] = {}

    def ask(self, message: Message, wait: float = 60, **how: object) -> Message | None:
        self.wire.xid += 1
        message.xid = self.wire.xid
        for code, value in self.extra.items():
            message.options.setdefault(code, value)
        begin = time.monotonic()
        self.wire.send_udp(self.mac, message.encode(), **how)
        found = self.wire.answer(message.xid, wait)
        self.seconds = time.monotonic() - begin
        if not found:
            return None
        message, self.frame = found
        return message

    def message(self, kind: int) -> Message:
        return Message(kind, self.mac)

    def discover(self, **how: object) -> Message | None:
        return self.ask(self.message(DISCOVER), **how)

    def select(self, address: str, server: str = SERVER, **how: object) -> Message | None:
        return self.ask(self.message(REQUEST).set(50, address).set(54, server), **how)

    def lease(self) -> str:
        """DISCOVER to ACK; the address."""
        offer = self.discover()
        assert offer and offer.kind == OFFER
        ack = self.select(offer.yiaddr)
        assert ack and ack.kind == ACK and ack.yiaddr == offer.yiaddr
        self.ack = ack
        return ack.yiaddr

    def init_reboot(self, address: str, wait: float = 60) -> Message | None:
        return self.ask(self.message(REQUEST).set(50, address), wait=wait)

    def rebind(self, address: str) -> Message | None:
        message = self.message(REQUEST)
        message.ciaddr = address
        self.wire.addresses[socket.inet_aton(address)] = self.mac
        return self.ask(message, source=address)

    def tell(self, message: Message, **how: object) -> None:
        """Sends what has no answer."""
        assert self.ask(message, wait=0.1, **how) is None
