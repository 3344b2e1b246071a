"""Many simulated nodes at once: their network, their registration, and the program that replays their boots."""

import http.client
import json
import os
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from .netns import BRIDGE, Namespace
from .nodisk import SERVER_CONFIG, Nodisk, find_binary
from .peers import ADDRESS
from .process import LabError

TRACES = Path(__file__).resolve().parents[2] / "bench/storm-traces"
#: The network is a /16; nodes have their addresses in a block of it, behind the gateway.
GATEWAY, NODES, FIRST_ADDRESS = "10.77.1.1", "10.77.16.0/20", IPv4Address("10.77.16.1")
MAX_NODES = 4000

# Nodes boot by the loader on their disk, as the recorded one did, from whichever server.
CONFIG = SERVER_CONFIG + """\

[iscsi]
threads = {threads}

[boot]
direct = no

[subnet storm]
interface = {interface}
network = {net}.0/16
range = {net}.100-{net}.199
router = {address}
lease-time = {lease_seconds}s
"""


@dataclass(frozen=True)
class StormNode:
    """The node of a number, as the replayer numbers them."""

    number: int

    @property
    def name(self) -> str:
        """Its host name."""
        return f"node{self.number}"

    @property
    def mac(self) -> str:
        """The last three bytes are its number."""
        return "52:54:00:" + self.number.to_bytes(3, "big").hex(":")

    @property
    def address(self) -> str:
        """In the block of nodes."""
        return str(FIRST_ADDRESS + self.number)


class StormNet:
    """A server's namespace and one with all nodes, joined by one cable, which is the server's `br0`.

    DHCP is between each node's own MAC and the server. Everything else goes by way of one gateway, the nodes' kernel,
    so that a thousand machines need no thousand entries in the kernel's table of neighbours, which is one for all
    namespaces and not ours to enlarge.
    """

    def __init__(self, work: Path, label: str) -> None:
        self.server = Namespace(work / "server", label)
        try:
            self.nodes = Namespace(work / "nodes", label)
        except BaseException:
            self.server.close()
            raise
        try:
            self._join()
        except BaseException:
            self.close()
            raise

    def _join(self) -> None:
        run = self.server.run
        run("ip", "link", "add", BRIDGE, "type", "veth", "peer", "name", "eth0", "netns", self.nodes.name)
        run("ip", "addr", "add", f"{ADDRESS}/16", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
        self.nodes.run("ip", "addr", "add", f"{GATEWAY}/16", "dev", "eth0")
        self.nodes.run("ip", "link", "set", "eth0", "up")
        # every address of the block is the nodes' own
        self.nodes.run("ip", "route", "add", "local", NODES, "dev", "lo")
        run("ip", "route", "add", NODES, "via", GATEWAY)

    def close(self) -> None:
        """Ends what runs in them, and removes them."""
        self.nodes.close()
        self.server.close()

    def __enter__(self) -> "StormNet":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Socket(http.client.HTTPConnection):
    """HTTP over the daemon's Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("nodisk", timeout=120)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def register(nodisk: Nodisk, nodes: list[StormNode], image: str) -> None:
    """Makes them nodes of a daemon that runs, each with an overlay over IMAGE."""
    def some(of: list[StormNode]) -> None:
        connection = _Socket(nodisk.socket)
        for node in of:
            connection.request("POST", "/v1/nodes", json.dumps(
                {"name": node.name, "macs": [node.mac], "address": node.address, "image": image}),
                {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
            if answer.status != 200 or '"error"' in text:
                raise LabError(f"{node.name} was not registered: {text}")
        connection.close()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda k: some(nodes[k::16]), range(16)))


def find_replayer() -> Path:
    """The program that replays boots, beside the daemon that is tested."""
    program = find_binary().parent / "bench/replay/bench_storm"
    if not program.exists():
        raise LabError(f"{program} is not there; build it: ninja -C {program.parents[2]}")
    return program


@dataclass
class Storm:
    """How a storm is to be; pace, spread and patience as the replayer has them."""

    trace: Path
    nodes: int
    pace: float = 1.0
    spread: float = 0.0
    patience: float = 1.0
    timeout: int = 600

    def run(self, net: StormNet) -> dict[str, float]:
        """Lets it happen; returns the replayer's report, with the processor time that it took itself. What went
        wrong on the way is in the server's work directory, in storm.log."""
        command = [*net.nodes.command(find_replayer(), "--trace", self.trace, "--interface", "eth0"),
                   "--nodes", self.nodes, "--pace", self.pace, "--spread", self.spread,
                   "--patience", self.patience, "--timeout", self.timeout, "--json", "--verbose"]
        before = os.times()
        with (net.server.work / "storm.log").open("a") as log:
            done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=log, text=True, timeout=self.timeout + 60, check=False)
        after = os.times()
        if not done.stdout:
            raise LabError(f"the storm has no report:\n{(net.server.work / 'storm.log').read_text()[-2000:]}")
        report = json.loads(done.stdout)
        report["client_cpu"] = (after.children_user + after.children_system
                                - before.children_user - before.children_system)
        return report
