"""The demonstration behind script/demo: two machines without a disk boot from one golden image."""

import argparse
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import termios
import time
import tty
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.disk import words_found  # noqa: E402
from lab.netns import Namespace  # noqa: E402
from lab.nodisk import Nodisk  # noqa: E402
from lab.peers import BASE_IQN  # noqa: E402
from lab.process import LabError, clean_exit  # noqa: E402
from lab.qemu import Machine  # noqa: E402

TREE = Path(__file__).resolve().parents[2]
RUN = Path("/run/nodisk-demo")  # sockets of a demonstration that is kept
PASSWORD = "nodisk"
BOOT_TIMEOUT = 600  # seconds; a boot takes one or two minutes without hardware acceleration
LOGIN_PROMPT = r"(?m)^\S+ login: "
STARTED = time.monotonic() - int(os.environ.get("DEMO_SECONDS", "0"))  # what script/demo has taken already


@dataclass
class DemoNode:
    """A node as the registry knows it."""

    name: str
    mac: str
    address: str
    firmware: str


NODES = [DemoNode("web1", "52:54:00:00:00:11", "10.0.0.11", "bios"),
         DemoNode("web2", "52:54:00:00:00:12", "10.0.0.12", "uefi")]


def say(text: str) -> None:
    """A line with the seconds since the start."""
    print(f"[{time.monotonic() - STARTED:4.0f}s] {text}", flush=True)


def build_image(folder: Path) -> Path:
    """The golden image: from the cache, or made now (a minute or two)."""
    image = folder / "golden.raw"
    say("3/6 golden image: Debian 12 with open-iscsi, nothing node-specific in it")
    result = subprocess.run([TREE / "image/debian12/build", "--kernel", "cloud-amd64",
                             "--root-password", PASSWORD, image], check=False)
    if result.returncode != 0:
        raise LabError("the golden image could not be built; the lines above tell why")
    return image


def start_daemon(daemon: Nodisk, image: Path) -> None:
    """The daemon, the image and the nodes, by the commands that an administrator uses."""
    say("4/6 nodisk serve, in a network namespace of its own")
    daemon.start()
    for words in (["image", "import", image, "--name", "debian12"],
                  *(["node", "add", n.name, "--mac", n.mac, "--address", n.address,
                     "--image", "debian12"] for n in NODES)):
        say("    nodisk " + " ".join(str(w) if w != image else "golden.raw" for w in words))
        daemon.cli(*words, timeout=600)


class StageView:
    """Shows each stage of each node once, when it is reached."""

    def __init__(self, daemon: Nodisk, machines: list[Machine]) -> None:
        self.daemon = daemon
        self.machines = {machine.name: machine for machine in machines}
        self.shown: set[tuple[str, str]] = set()

    def update(self) -> None:
        """Prints what is new."""
        for node in self.daemon.json("status")["nodes"]:
            for stage in (node["boot"] or {}).get("stages", []):
                key = (node["name"], stage["stage"])
                if key in self.shown:
                    continue
                self.shown.add(key)
                machine = self.machines[node["name"]]
                seconds = stage["at"] / 1e6 - machine.power_on_epoch
                say(f"    {node['name']} ({machine.firmware}): {stage['stage']:9} "
                    f"{seconds:5.1f} s after power-on   {stage['detail']}")


def boot(daemon: Nodisk, machines: list[Machine]) -> None:
    """Powers the machines on and waits until all show a login prompt."""
    say(f"5/6 power on: {len(machines)} machines without a disk")
    view = StageView(daemon, machines)
    waiting = list(machines)
    for machine in machines:
        machine.power_on()
    deadline = time.monotonic() + BOOT_TIMEOUT
    while waiting:
        view.update()
        for machine in list(waiting):
            seconds = machine.console.seconds_of(LOGIN_PROMPT)
            if seconds is not None:
                say(f"    {machine.name}: login prompt {seconds:.1f} s after power-on")
                waiting.remove(machine)
        if time.monotonic() > deadline:
            raise LabError(f"{waiting[0].name} does not come to a login prompt; see "
                           f"{waiting[0].folder}/console.log and the daemon's log")
        time.sleep(0.2)
    wait_up(daemon, view)


def wait_up(daemon: Nodisk, view: StageView) -> None:
    """Until every node has said itself that it is up."""
    deadline = time.monotonic() + 120
    while any(daemon.stage(node.name) != "up" for node in NODES):
        if time.monotonic() > deadline:
            raise LabError("a node is at its login prompt but never said that it is up")
        time.sleep(0.5)
    view.update()


class Proof:
    """Checks, printed as they are made."""

    def __init__(self) -> None:
        self.failed = 0

    def check(self, what: str, expected: object, found: object) -> None:
        """One fact."""
        good = expected == found
        self.failed += not good
        say(f"    {'ok' if good else 'WRONG':5} {what}: {found}"
            + ("" if good else f" (expected {expected})"))

    def identity(self, machine: Machine, node: DemoNode) -> None:
        """What a machine that has no settings of its own says of itself."""
        def ask(command: str) -> str:
            return machine.run(command).output.strip()
        self.check(f"{node.name}: host name", node.name, ask("hostname"))
        self.check(f"{node.name}: address", f"{node.address}/24",
                   ask("ip -4 -o addr show scope global | awk '{print $4}'"))
        self.check(f"{node.name}: the disk of / hangs on iSCSI session", "session1",
                   ask("readlink -f /sys/class/block/$(basename $(findmnt -no SOURCE /)) | "
                       "grep -o 'session[0-9]*' | head -n 1"))
        self.check(f"{node.name}: target of that session", f"{BASE_IQN}:{node.name}",
                   ask("cat /sys/class/iscsi_session/session*/targetname"))
        for field, expected in (("initiator/initiator-name", f"{BASE_IQN}:{node.name}"),
                                ("target0/target-name", f"{BASE_IQN}:{node.name}"),
                                ("target0/ip-addr", "10.0.0.1"),
                                ("ethernet0/mac", node.mac),
                                ("ethernet0/ip-addr", node.address),
                                ("ethernet0/hostname", node.name)):
            self.check(f"{node.name}: iBFT {field}", expected,
                       ask(f"cat /sys/firmware/ibft/{field}"))

    def image_is_nobody(self, image: Path) -> None:
        """The golden image holds no trace of any node."""
        words = [word for node in NODES for word in (node.name, node.mac, node.address)]
        self.check(f"golden image: which of {', '.join(words)} stand in it", "none",
                   ", ".join(words_found(image, words)) or "none")


def prove(machines: list[Machine], image: Path) -> Proof:
    """From inside the machines, over their serial consoles."""
    say("6/6 proof, from inside the machines")
    proof = Proof()
    for machine, node in zip(machines, NODES, strict=True):
        machine.login(PASSWORD)
        proof.identity(machine, node)
    proof.image_is_nobody(image)
    return proof


def keep(daemon: Nodisk, machines: list[Machine]) -> None:
    """Leaves everything running until Ctrl-C."""
    RUN.mkdir(exist_ok=True)
    (RUN / "nodisk.sock").unlink(missing_ok=True)
    (RUN / "nodisk.sock").symlink_to(daemon.socket)
    for machine in machines:
        machine.start_command("exit")
        machine.console.close()
        (RUN / machine.name).unlink(missing_ok=True)
        (RUN / machine.name).symlink_to(machine.folder / "serial")
    print(f"\nIt is all yours. In another terminal:\n"
          f"    sudo {daemon.binary} --socket {RUN}/nodisk.sock status\n"
          f"    sudo script/demo --console web1        (root, password {PASSWORD}; leave by Ctrl-])\n"
          "Stop everything by Ctrl-C here.\n", flush=True)
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        print()
    finally:
        shutil.rmtree(RUN, ignore_errors=True)


def attach(name: str) -> int:
    """Connects this terminal to a machine's serial console until Ctrl-]."""
    line = socket.socket(socket.AF_UNIX)
    try:
        line.connect(str(RUN / name))
    except OSError:
        print(f"no machine '{name}' is running; start it by: sudo script/demo --keep",
              file=sys.stderr)
        return 1
    print(f"console of {name}; press Enter; leave by Ctrl-]")
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        while True:
            for ready in select.select([sys.stdin, line], [], [])[0]:
                data = os.read(ready.fileno(), 4096)
                if not data or (ready is sys.stdin and b"\x1d" in data):
                    return 0
                (line.sendall(data) if ready is sys.stdin else os.write(1, data))
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        print()


def demonstrate(work: Path, keep_running: bool) -> int:
    """Everything but the console; the exit status."""
    image = build_image(work)
    with Namespace(work / "lab", "demo") as namespace:
        namespace.add_bridge("10.0.0.1/24")
        daemon = Nodisk(namespace, work / "nodisk", address="10.0.0.1")
        machines = [Machine(namespace, n.name, n.mac, firmware=n.firmware) for n in NODES]
        try:
            start_daemon(daemon, image)
            boot(daemon, machines)
            proof = prove(machines, image)
            if keep_running and not proof.failed:
                keep(daemon, machines)
        finally:
            for machine in machines:
                machine.kill()
        daemon.stop()
    if proof.failed:
        say(f"demo: FAILED, {proof.failed} facts are wrong")
        return 1
    say("demo: ok: two machines without a disk booted from one image, each as itself")
    return 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="script/demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave it running until Ctrl-C")
    parser.add_argument("--console", metavar="NODE", help="connect to a machine that was kept")
    options = parser.parse_args()
    if options.console:
        return attach(options.console)
    work = Path(tempfile.mkdtemp(prefix="nodisk-demo-", dir="/var/tmp"))
    try:
        with clean_exit():
            status = demonstrate(work, options.keep)
    except (LabError, OSError, subprocess.SubprocessError) as error:
        say(f"demo: FAILED: {error}")
        print(f"what every program said is in {work}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, SystemExit):  # Ctrl-C, SIGTERM
        status = 130
    shutil.rmtree(work, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
