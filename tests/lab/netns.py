"""Network namespaces: a bridge with taps for machines, and further namespaces joined to it."""

import contextlib
import itertools
import os
import signal
from pathlib import Path

from .process import LabError, Process, run

_numbers = itertools.count(1)

BRIDGE = "br0"


class Namespace:
    """A network namespace with a name of its own, and all that was started in it.

    Interface names are only unique inside a namespace, so laboratories that run
    beside one another never meet.
    """

    def __init__(self, work: Path, label: str = "lab") -> None:
        if os.geteuid() != 0:
            raise LabError("the laboratory needs root (network namespaces); run it with sudo")
        self.name = f"nodisk-{label}-{os.getpid()}-{next(_numbers)}"
        self.work = work
        self.processes: list[Process] = []
        work.mkdir(parents=True, exist_ok=True)
        run("ip", "netns", "add", self.name)
        try:
            self.run("ip", "link", "set", "lo", "up")
        except BaseException:
            self.close()
            raise

    def command(self, *words: object) -> list[object]:
        """The command line that runs WORDS in the namespace."""
        return ["ip", "netns", "exec", self.name, *words]

    def run(self, *words: object, check: bool = True, timeout: float = 120):
        """Runs a command in the namespace to its end."""
        return run(*self.command(*words), check=check, timeout=timeout)

    def start(self, name: str, *words: object, env: dict[str, str] | None = None) -> Process:
        """Starts a program in the namespace; its output is in WORK/NAME.log."""
        process = Process(name, self.command(*words), self.work / f"{name}.log", env)
        self.processes.append(process)
        return process

    def add_bridge(self, *addresses: str, name: str = BRIDGE) -> None:
        """A bridge with ADDRESSES (10.0.0.1/24). It forwards at once (no STP delay)."""
        self.run("ip", "link", "add", name, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        for address in addresses:
            # nodad: an IPv6 address can be used at once
            nodad = ["nodad"] if ":" in address else []
            self.run("ip", "addr", "add", address, "dev", name, *nodad)
        self.run("ip", "link", "set", name, "up")

    def add_tap(self, name: str, bridge: str = BRIDGE) -> None:
        """A tap on the bridge, for one machine's network card."""
        self.run("ip", "tuntap", "add", name, "mode", "tap")
        self.run("ip", "link", "set", name, "master", bridge, "up")

    def join(self, other: "Namespace", name: str, *addresses: str, bridge: str = BRIDGE) -> None:
        """Connects OTHER to our bridge; there the interface is NAME with ADDRESSES."""
        self.run("ip", "link", "add", f"to-{name}", "type", "veth",
                 "peer", "name", name, "netns", other.name)
        self.run("ip", "link", "set", f"to-{name}", "master", bridge, "up")
        for address in addresses:
            other.run("ip", "addr", "add", address, "dev", name)
        other.run("ip", "link", "set", name, "up")

    def close(self) -> None:
        """Stops every program that was started here, last first, also those that went into the background,
        and removes the namespace."""
        while self.processes:
            self.processes.pop().stop()
        for pid in run("ip", "netns", "pids", self.name, check=False).stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        run("ip", "netns", "del", self.name, check=False)

    def __enter__(self) -> "Namespace":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
