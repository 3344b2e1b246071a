"""A node whose CHAP secrets change at each boot: it keeps those that it runs with, whoever boots in its name."""

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.iscsi import LoginRefused, Session
from lab.netns import BRIDGE, Namespace
from lab.nodisk import CONFIG, Nodisk
from lab.peers import ADDRESS as SERVER
from lab.peers import BASE_IQN
from lab.process import wait_until
from lab.qemu import Machine

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "protocol"))

from netlab import REQUEST, Message, Wire, inside  # noqa: E402

NAME, MAC, ADDRESS = "chapnode", "52:54:00:77:4e:51", "10.77.0.51"
CLONE, ELSEWHERE = "52:54:00:77:4e:52", "10.77.0.52"
PATIENCE = 1800  # seconds for a boot, on a machine that has other things to do
AUTH_FAILED = 0x0201

Secrets = tuple[str, str]  # the node's own, and the target's ("": it proves nothing)


def secrets_in_use(machine: Machine, mutual: bool) -> Secrets:
    """What the running system has, from its iBFT."""
    def read(name: str) -> str:
        return machine.run(f"cat /sys/firmware/ibft/target0/{name}", timeout=PATIENCE).output.strip()
    return read("chap-secret"), read("rev-chap-name-secret") if mutual else ""


def logins(daemon: Nodisk) -> list[str]:
    """The lines of the log about the node's sessions that began."""
    return re.findall(rf"(\w+ login of \S+:{NAME} from .*)", daemon.log())


def is_refused(daemon: Nodisk, secrets: Secrets) -> bool:
    """Does nobody get in with them? Who does may still be told that the disk is in use."""
    with inside(daemon.namespace):
        session = Session((SERVER, 3260), f"{BASE_IQN}:{NAME}", f"{BASE_IQN}:{NAME}")
    try:
        session.login_with_chap(NAME, secrets[0], "nodisk", secrets[1])
    except LoginRefused as refusal:
        return refusal.status == AUTH_FAILED
    finally:
        session.close()
    return False


@contextlib.contextmanager
def clone(daemon: Nodisk) -> Iterator[Namespace]:
    """Another machine on the network, at first with an address of its own."""
    lab = daemon.namespace
    with Namespace(lab.work / "clone", "clone") as machine:
        lab.join(machine, "eth0", f"{ELSEWHERE}/24")
        machine.run("ip", "link", "set", "eth0", "address", CLONE)
        yield machine


def ask(machine: Namespace) -> str:
    """For the node's script, as its iPXE does."""
    return machine.run("curl", "-sS", "--max-time", "60", "-A", "iPXE/1.21.1+",
                       f"http://{SERVER}/boot.ipxe?mac={MAC.replace(':', '-')}").stdout


def boot_in_its_name(daemon: Nodisk, machine: Namespace) -> Secrets:
    """DHCP of the node's firmware, from elsewhere; and then a script, from the node's address, which the server is
    made to believe is there."""
    message = Message(REQUEST, MAC).set(50, ADDRESS)
    message.options[77] = b"iPXE"
    wire = Wire(machine)
    wire.send_udp(CLONE, message.encode())
    daemon.wait_stage(NAME, "address", 60)
    wire.close()
    assert "password" not in ask(machine)  # from an address that is not the node's
    neighbour = (ADDRESS, "lladdr", CLONE, "dev", BRIDGE, "nud", "permanent")
    machine.run("ip", "addr", "flush", "dev", "eth0")
    machine.run("ip", "addr", "add", f"{ADDRESS}/24", "dev", "eth0")
    daemon.namespace.run("ip", "neigh", "replace", *neighbour)
    try:
        script = ask(machine)
    finally:
        machine.run("ip", "link", "set", "eth0", "down")
        daemon.namespace.run("ip", "neigh", "del", ADDRESS, "dev", BRIDGE)
    found = [re.search(rf"^set {prefix}password (\w+)$", script, re.MULTILINE) for prefix in ("", "reverse-")]
    assert found[0], script
    return found[0][1], found[1][1] if found[1] else ""


def reconnects(daemon: Nodisk, machine: Machine) -> None:
    """The server dies, and the node goes on with what is there then."""
    before = logins(daemon)
    daemon.kill()
    daemon.start()
    wait_until("the node to log in again", lambda: len(logins(daemon)) > len(before), PATIENCE)
    machine.run("echo 3 >/proc/sys/vm/drop_caches; cat /usr/bin/* >/dev/null; sync", timeout=PATIENCE)


def reboot(daemon: Nodisk, machine: Machine) -> None:
    here = len(machine.console.text)
    machine.start_command("systemctl reboot")
    machine.login(timeout=PATIENCE, start=here)
    daemon.wait_stage(NAME, "up", PATIENCE)


@pytest.mark.full
@pytest.mark.parametrize(("chap", "firmware"), [("one-way", "bios"), ("mutual", "uefi")])
def test_each_boot_has_secrets_of_its_own(namespace: Namespace, golden: Path, chap: str, firmware: str) -> None:
    """Two boots; between them the server dies twice, and somebody else asks for a script in the node's name."""
    daemon = Nodisk(namespace, namespace.work / "nodisk", config=CONFIG + "\n[boot]\nchap-rotation = boot\n")
    daemon.add_overlay(NAME, MAC, ADDRESS, golden)
    daemon.cli("node", "set", NAME, "--chap", chap)
    with Machine(namespace, NAME, MAC, firmware=firmware) as machine:
        machine.login(timeout=PATIENCE)
        daemon.wait_stage(NAME, "up", PATIENCE)
        first = secrets_in_use(machine, chap == "mutual")
        assert first[0] and bool(first[1]) == (chap == "mutual")
        assert daemon.json("node", "show", NAME)["chap_older"] == 0
        reconnects(daemon, machine)
        with clone(daemon) as other:
            stray = boot_in_its_name(daemon, other)
        assert stray[0] != first[0]
        assert daemon.json("node", "show", NAME)["chap_older"] == 1
        reconnects(daemon, machine)
        assert not is_refused(daemon, first)

        reboot(daemon, machine)
        second = secrets_in_use(machine, chap == "mutual")
        assert len({first[0], stray[0], second[0]}) == 3
        wait_until("the older secrets to be refused",
                   lambda: is_refused(daemon, first) and is_refused(daemon, stray), 60)
        assert not is_refused(daemon, second)
        reconnects(daemon, machine)
        machine.start_command("poweroff")
        wait_until("the node to be off", lambda: not machine.process.alive(), PATIENCE)
    words = {"one-way": " with CHAP", "mutual": " with mutual CHAP"}[chap]
    assert [line for line in logins(daemon) if not line.endswith(words)] == []
    assert not [s for s in (*first, *stray, *second) if s and s in daemon.log()]
    daemon.stop()
