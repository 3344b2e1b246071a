"""Disks that are no files of nodisk's: a LUN of somebody else's target, with CHAP and without, and a block device."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.netns import Namespace
from lab.nodisk import Nodisk
from lab.peers import BASE_IQN, copy_image
from lab.process import run, wait_until
from lab.qemu import Machine
from lab.tgt import Tgt

NAME, MAC, ADDRESS = "web1", "52:54:00:77:4e:61", "10.77.0.61"
NAS, TARGET = "10.77.0.9", "iqn.2005-10.org.example.nas:Disks.web1"
CHAP = ("web1-user", "#correct$horse;battery")
MUTUAL = ("nas", "staple-of-the-target")
PATIENCE = 900  # seconds for a boot, on a machine that has other things to do
ROOT_OFFSET = 34 << 20  # of the root file system in the golden image
IBFT = "/sys/firmware/ibft"


@contextlib.contextmanager
def booted(daemon: Nodisk) -> Iterator[Machine]:
    """The node, logged in; switched off properly afterwards."""
    with Machine(daemon.namespace, NAME, MAC) as machine:
        machine.login(timeout=PATIENCE)
        daemon.wait_stage(NAME, "up", PATIENCE)
        yield machine
        machine.start_command("poweroff")
        wait_until("the node to be off", lambda: not machine.process.alive(), PATIENCE)


def mark(machine: Machine) -> None:
    machine.run("echo one >/root/mark; sync", timeout=PATIENCE)


def check_file_system(disk: Path) -> None:
    """The root file system on it is whole, and has what was written."""
    run("e2fsck", "-f", "-n", f"{disk}?offset={ROOT_OFFSET}", timeout=300)
    assert run("debugfs", "-R", "cat /root/mark", f"{disk}?offset={ROOT_OFFSET}").stdout == "one\n"


# --- a LUN of somebody else's target ---


@pytest.fixture
def tgt(namespace: Namespace) -> Iterator[Tgt]:
    """tgt on a machine of its own, which answers nothing else."""
    with Namespace(namespace.work / "nas", "nas") as nas:
        namespace.join(nas, "nas", f"{NAS}/24")
        server = Tgt(nas, nas.work / "tgt", f"{NAS}:3260")
        try:
            yield server.start()
        finally:
            server.stop()


def secret_file(daemon: Nodisk, name: str, secret: str) -> Path:
    path = daemon.work / name
    path.write_text(secret + "\n")
    path.chmod(0o600)
    return path


def check_ibft(machine: Machine, chap: tuple[str, str] | None, mutual: tuple[str, str] | None) -> None:
    """What firmware has left is the other target, by the node's own name."""
    def value(name: str) -> str:
        return machine.run(f"cat {IBFT}/{name} 2>/dev/null", timeout=PATIENCE, check=False).output
    assert value("target0/target-name") == TARGET
    assert value("target0/ip-addr") == NAS
    assert value("target0/port") == "3260"
    assert value("initiator/initiator-name") == f"{BASE_IQN}:{NAME}"
    assert (value("target0/chap-name"), value("target0/chap-secret")) == (chap or ("", ""))
    assert (value("target0/rev-chap-name"), value("target0/rev-chap-name-secret")) == (mutual or ("", ""))


@pytest.mark.full
@pytest.mark.parametrize("mode", ["none", "one-way", "mutual"])
def test_a_lun_of_tgt(daemon: Nodisk, tgt: Tgt, golden: Path, mode: str) -> None:
    """The node boots it, is seen to be up, and has no session here; its secrets are told nobody."""
    disk = daemon.namespace.work / "nas.raw"
    copy_image(golden, disk)
    chap = CHAP if mode != "none" else None
    mutual = MUTUAL if mode == "mutual" else None
    tgt.add(TARGET, disk, initiator=f"{BASE_IQN}:{NAME}", chap=chap, mutual=mutual)
    words = []
    if chap:
        words += ["--chap-user", chap[0], "--chap-secret-file", secret_file(daemon, "secret", chap[1])]
    if mutual:
        words += ["--chap-target-user", mutual[0], "--chap-target-secret-file",
                  secret_file(daemon, "target-secret", mutual[1])]
    daemon.cli("volume", "create", "there", "--iscsi", f"iscsi://{NAS}/{TARGET}/1", *words)
    daemon.cli("node", "add", NAME, "--mac", MAC, "--address", ADDRESS, "--volume", "there")
    with booted(daemon) as machine:
        screen = machine.console.text  # before it shows what only root sees
        check_ibft(machine, chap, mutual)
        assert tgt.initiators() and set(tgt.initiators()) == {f"{BASE_IQN}:{NAME}"}
        assert daemon.json("session", "list")["sessions"] == []
        mark(machine)
    (node,) = daemon.json("status")["nodes"]
    stages = [stage["stage"] for stage in node["boot"]["stages"]]
    assert stages == ["address", "script", "up"]
    said = screen + daemon.log()
    assert not [secret for _, secret in filter(None, (chap, mutual)) if secret in said or secret.encode().hex() in said]
    tgt.stop()
    check_file_system(disk)


# --- a block device ---


@pytest.fixture
def loop(namespace: Namespace, golden: Path) -> Iterator[str]:
    """A loop device over a copy of the golden image."""
    disk = namespace.work / "device.raw"
    copy_image(golden, disk)
    device = run("losetup", "--find", "--show", disk).stdout.strip()
    try:
        yield device
    finally:
        run("losetup", "--detach", device)


@pytest.mark.full
def test_a_block_device(daemon: Nodisk, loop: str) -> None:
    """Booted and written to; what the node has flushed and left is on the device."""
    daemon.cli("volume", "create", NAME, "--device", loop)
    daemon.cli("node", "add", NAME, "--mac", MAC, "--address", ADDRESS, "--volume", NAME)
    with booted(daemon) as machine:
        mark(machine)
    daemon.stop()
    run("blockdev", "--flushbufs", loop)
    check_file_system(Path(loop))
