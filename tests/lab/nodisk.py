"""The daemon in a namespace: started, asked, killed and started again."""

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from .netns import BRIDGE, Namespace
from .peers import ADDRESS, BASE_IQN, Node
from .process import LabError, Process, wait_until

#: The beginning of every configuration: what is the daemon's own.
SERVER_CONFIG = """\
[server]
state-directory = {work}/state
socket = {work}/nodisk.sock
base-iqn = {base_iqn}
"""

CONFIG = SERVER_CONFIG + """\
log-level = debug

[iscsi]
threads = {threads}

[subnet lab]
interface = {interface}
network = {net}.0/24
range = {net}.100-{net}.199
router = {address}
domain = lab.example
lease-time = {lease_seconds}s
"""


def find_binary() -> Path:
    """The program under test: $NODISK, or the one of the build directory in the tree."""
    tree = Path(__file__).resolve().parents[2]
    binary = Path(os.environ.get("NODISK", tree / "build" / "nodisk"))
    if not binary.exists():
        raise LabError(f"{binary} is not there; build it, or name another by NODISK=")
    return binary


@dataclass
class Nodisk:
    """One daemon with a /24 on the namespace's bridge, the server's own address being `address`.

    The image of a node that is added is imported at its first use. `config` is a template.
    """

    namespace: Namespace
    work: Path
    address: str = ADDRESS
    threads: int = 2
    lease_seconds: int = 3600
    config: str = CONFIG
    starts: int = field(default=0, init=False)
    process: Process | None = field(default=None, init=False, repr=False)
    images: dict[Path, str] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.binary = find_binary()
        self.work.mkdir(parents=True, exist_ok=True)

    @property
    def portal(self) -> str:
        """Where the targets are."""
        return f"{self.address}:3260"

    @property
    def socket(self) -> Path:
        """For the command line."""
        return self.work / "nodisk.sock"

    def start(self, timeout: float = 120) -> None:
        """Starts it, if it does not run, and waits until it answers."""
        if self.process and self.process.alive():
            return
        path = self.work / "nodisk.conf"
        path.write_text(self.config.format(
            work=self.work, base_iqn=BASE_IQN, threads=self.threads, interface=BRIDGE,
            address=self.address, net=self.address.rpartition(".")[0],
            lease_seconds=self.lease_seconds))
        self.starts += 1
        self.process = self.namespace.start(f"nodisk-{self.starts}", self.binary, "serve",
                                            "--config", path)
        wait_until("the daemon to answer", self._answers, timeout)

    def _answers(self) -> bool:
        assert self.process
        if not self.process.alive():
            raise LabError(f"the daemon has ended:\n{self.process.output()}")
        return self.cli("status", check=False).returncode == 0

    def stop(self) -> None:
        """Stops it as systemd would; complains if it did not end well."""
        if not self.process:
            return
        status = self.process.stop(60)
        said = self.process.output()
        self.process = None
        if status != 0:
            raise LabError(f"the daemon ended with status {status}:\n{said}")

    def kill(self) -> None:
        """kill -9, and nothing else: what it promised has to survive."""
        if self.process:
            self.process.kill()
            self.process = None

    def cpu_seconds(self) -> float:
        """What it has used since the last start."""
        return self.process.cpu_seconds() if self.process else 0.0

    def log(self) -> str:
        """What every start of it has said."""
        return "".join(path.read_text(errors="replace")
                       for path in sorted(self.namespace.work.glob("nodisk-*.log")))

    def cli(self, *words: object, check: bool = True,
            timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Runs `nodisk WORDS` against this daemon."""
        command = [str(self.binary), "--socket", str(self.socket), *map(str, words)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=timeout,
                                check=False)
        if check and result.returncode != 0:
            raise LabError(f"{' '.join(command)}: {result.stderr.strip() or result.stdout.strip()}")
        return result

    def json(self, *words: object, timeout: float = 120):
        """The same with --json, decoded."""
        return json.loads(self.cli("--json", *words, timeout=timeout).stdout)

    def import_image(self, image: Path) -> str:
        """The name of an image, imported if it was not yet."""
        if image not in self.images:
            name = f"golden{len(self.images) + 1}"
            self.cli("image", "import", image, "--name", name, timeout=600)
            self.images[image] = name
        return self.images[image]

    def add_node(self, name: str, mac: str, address: str, image: Path) -> Node:
        """Registers a node with a copy of IMAGE, which is a file to look into; starts the daemon."""
        self.start()
        self.cli("volume", "create", name, "--image", self.import_image(image), "--copy", timeout=600)
        self.cli("node", "add", name, "--mac", mac, "--address", address, "--volume", name)
        return Node(name, mac, address, self.work / "state/volumes" / f"{name}.raw")

    def add_overlay(self, name: str, mac: str, address: str, image: Path) -> None:
        """Registers a node whose disk is an overlay over IMAGE; starts the daemon for it."""
        self.start()
        self.cli("node", "add", name, "--mac", mac, "--address", address,
                 "--image", self.import_image(image), timeout=600)

    def target_of(self, node: Node) -> str:
        """The iSCSI name of the node's boot disk."""
        return f"{BASE_IQN}:{node.name}"

    def stage(self, name: str) -> str | None:
        """The stage that a node's boot has reached, or None."""
        return next((entry["boot"]["stage"] for entry in self.json("status")["nodes"]
                     if entry["name"] == name and entry["boot"]), None)

    def wait_stage(self, name: str, stage: str, timeout: float) -> None:
        """Until a node has come that far."""
        wait_until(f"{name} to reach {stage}", lambda: self.stage(name) == stage, timeout, 0.2)

    def reported_up(self, node: Node) -> bool:
        """Whether the node has phoned home in its last boot."""
        return self.stage(node.name) == "up"
