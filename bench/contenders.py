"""Who takes part in bench/target: nodisk, tgt and the ceilings, all in one network namespace, on loopback,
with the same bytes, in the page cache."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from lab.netns import Namespace  # noqa: E402
from lab.nodisk import BASE_IQN, SERVER_CONFIG, Nodisk, find_binary  # noqa: E402
from lab.process import LabError, Process, wait_until  # noqa: E402
from lab.tgt import Tgt  # noqa: E402
from workloads import IMAGE, MEMORY, PAGE_CACHE, RAW, SENDFILE, TGT, WRITE_FILE, Workload  # noqa: E402

ADDRESS = "127.0.0.1"
TGT_PORTAL = f"{ADDRESS}:3261"
FIRST_CEILING_PORT = 3270
# as many overlays as there are nodes, up to this; more sessions take turns
OVERLAYS = 256
# Everybody's file is written in such pieces: the page cache keeps them as they came, and to overwrite 4 KiB of a
# piece of 1 MiB takes three times the processor time that it takes in one of 4 KiB (ext4, Linux 6.18)
PIECE = 256 << 10

CONFIG = SERVER_CONFIG + """\

[iscsi]
listen = {address}:3260
threads = {threads}

[http]
listen = {address}:0

[tftp]
listen = {address}:0
"""

#: How bench_ceiling is called.
CEILING_OPTIONS = {MEMORY: ("--from", "memory"), PAGE_CACHE: ("--from", "page-cache"),
                   SENDFILE: ("--from", "sendfile"), WRITE_FILE: ("--from", "page-cache", "--writes", "file")}


def programs() -> Path:
    """The directory of bench_load and bench_ceiling: beside nodisk, in its build directory."""
    folder = find_binary().resolve().parent / "bench"
    if not (folder / "bench_load").exists():
        raise LabError(f"{folder}/bench_load is not there; build it, or name another build's program by NODISK=")
    return folder


@dataclass
class Field:
    """All of them, with what they serve; `size` bytes each, of which `span` are used."""

    namespace: Namespace
    size: int
    span: int
    threads: int = 0
    nodisk: Nodisk = field(init=False)
    tgt: Tgt = field(init=False)
    ceilings: dict[str, Process] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        work = self.namespace.work
        self.disk, self.copy = work / "disk.raw", work / "ceiling.raw"
        self.nodisk = Nodisk(self.namespace, work / "nodisk", address=ADDRESS, threads=self.threads, config=CONFIG)
        self.tgt = Tgt(self.namespace, work / "tgt", TGT_PORTAL)

    # -- to make everything

    def build(self) -> None:
        """Disks and images, and whoever serves them."""
        self.namespace.run("sysctl", "-qw", "net.ipv4.tcp_congestion_control=cubic", check=False)
        self.namespace.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=10000 65000")
        with self.disk.open("wb", buffering=0) as disk, self.copy.open("wb", buffering=0) as copy:
            for _ in range(self.size // PIECE):
                piece = os.urandom(PIECE)
                disk.write(piece)
                copy.write(piece)
        self.nodisk.start(60)
        self.nodisk.cli("image", "import", self.disk, "--name", "golden", timeout=600)
        for number in range(OVERLAYS):
            self.nodisk.cli("volume", "create", f"o{number}", "--image", "golden", "--allow", "any")
        self.nodisk.cli("volume", "create", "written", "--image", "golden", "--allow", "any")
        self.nodisk.cli("volume", "create", "raw", "--size", self.size, "--allow", "any")
        self.start_others()
        self.fill("raw", self.size)
        self.fill("written", self.span)
        self.settle()

    def start_others(self) -> None:
        """tgt and the ceilings."""
        self.tgt.start()
        self.tgt.add(f"{BASE_IQN}:disk", self.disk)
        self.tgt.add(f"{BASE_IQN}:other", self.copy)
        for key in ("HeaderDigest", "DataDigest"):  # for those who want them; its default refuses
            self.tgt.adm("--mode", "target", "--op", "update", "--tid", 1, "-n", key, "-v", "CRC32C,None")
        for number, (name, options) in enumerate(CEILING_OPTIONS.items()):
            portal = f"{ADDRESS}:{FIRST_CEILING_PORT + number}"
            self.ceilings[name] = self.namespace.start(
                f"ceiling-{name}", programs() / "bench_ceiling", "--listen", portal, "--size", self.size,
                "--file", self.copy, *options)
            wait_until(f"the ceiling {name}", lambda port=portal: f"{port} " in self.namespace.run("ss", "-ltn").stdout,
                       120)

    def restart(self) -> None:
        """All of them anew."""
        self.nodisk.stop()
        self.tgt.stop()
        for process in self.ceilings.values():
            process.kill()
            self.namespace.processes.remove(process)
        self.nodisk.start(60)
        self.start_others()

    def fill(self, volume: str, span: int) -> None:
        """Writes a part of a volume of nodisk, in order."""
        self.namespace.run(programs() / "bench_load", "--portal", f"{ADDRESS}:3260", "--target", f"{BASE_IQN}:{volume}",
                           "--fill", "--block", PIECE, "--depth", "8", "--span", span, "--requests", "1", timeout=600)

    def settle(self) -> None:
        """What was written is on the disk, and what will be read is in memory."""
        os.sync()
        for path in (self.disk, self.copy, *(self.nodisk.work / "state").rglob("*.raw")):
            with path.open("rb") as file:
                while file.read(1 << 20):
                    pass

    # -- to measure

    def words_of(self, who: str, writes: bool, beside: bool = False) -> list[object]:
        """How bench_load reaches somebody. Writes go to another overlay than reads, `beside` to another disk."""
        if who in (IMAGE, RAW):
            name = "raw" if who == RAW or beside else "written" if writes else "o%d"
            many = ["--targets", OVERLAYS] if "%d" in name else []
            assert self.nodisk.process
            return ["--portal", f"{ADDRESS}:3260", "--target", f"{BASE_IQN}:{name}", *many,
                    "--pid", self.nodisk.process.pid]
        if who == TGT:
            assert self.tgt.process
            return ["--portal", TGT_PORTAL, "--target", f"{BASE_IQN}:{'other' if beside else 'disk'}", "--lun", 1,
                    "--pid", self.tgt.process.pid]
        port = FIRST_CEILING_PORT + list(CEILING_OPTIONS).index(who)
        return ["--portal", f"{ADDRESS}:{port}", "--target", f"{BASE_IQN}:disk", "--pid", self.ceilings[who].pid]

    def command(self, who: str, options: tuple[str, ...], seconds: float, beside: bool = False) -> list[object]:
        """The command line of a measurement."""
        span = [] if "--span" in options else ["--span", self.span]
        return [programs() / "bench_load", *self.words_of(who, "--reads" in options, beside), *options, *span,
                "--seconds", seconds, "--json"]

    def measure(self, workload: Workload, who: str, seconds: float) -> str:
        """What bench_load has said."""
        if workload.fresh:
            self.restart()
        if "--reads" in workload.options or workload.beside:
            os.sync()
        other = None
        if workload.beside:
            other = self.namespace.start("beside", *self.command(who, workload.beside, 600, beside=True))
        try:
            return self.namespace.run(*self.command(who, workload.options, seconds), timeout=300 + seconds).stdout
        except subprocess.TimeoutExpired as error:
            raise LabError(f"bench_load does not end: {error}") from error
        finally:
            if other:
                alive = other.alive()
                other.kill()
                self.namespace.processes.remove(other)
                if not alive:
                    raise LabError(f"what runs beside has ended: {other.output()}")
