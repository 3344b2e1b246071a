"""A node's disk through its life: snapshot, rollback, commit, rebase; and disks of other kinds."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.netns import Namespace
from lab.nodisk import Nodisk
from lab.process import run, wait_until
from lab.qemu import Machine

NAME, MAC, ADDRESS = "web1", "52:54:00:77:4e:51", "10.77.0.51"
PATIENCE = 900  # seconds for a boot, on a machine that has other things to do
ROOT_OFFSET = 34 << 20  # of the root file system in the golden image


@contextlib.contextmanager
def booted(daemon: Nodisk) -> Iterator[Machine]:
    """The node, logged in; switched off properly afterwards."""
    with Machine(daemon.namespace, NAME, MAC) as machine:
        machine.login(timeout=PATIENCE)
        daemon.wait_stage(NAME, "up", PATIENCE)
        yield machine
        machine.start_command("poweroff")
        wait_until("the node to be off", lambda: not machine.process.alive(), PATIENCE)


def mark(machine: Machine, text: str) -> None:
    machine.run(f"echo {text} >/root/mark; sync", timeout=PATIENCE)


def marked(machine: Machine) -> str:
    return machine.run("cat /root/mark", timeout=PATIENCE).output


def check_file_system(daemon: Nodisk, volume: str) -> None:
    """What is on the volume, seen from outside, is whole."""
    disk = daemon.work / "exported.raw"
    daemon.cli("volume", "export", volume, disk, timeout=600)
    run("e2fsck", "-f", "-n", f"{disk}?offset={ROOT_OFFSET}", timeout=300)
    disk.unlink()


@pytest.mark.full
def test_the_life_of_a_disk(daemon: Nodisk, golden: Path) -> None:
    """Five states of one disk, each booted from, and each whole."""
    daemon.add_overlay(NAME, MAC, ADDRESS, golden)
    image = daemon.images[golden]
    with booted(daemon) as machine:
        mark(machine, "one")
        daemon.cli("volume", "snapshot", NAME, "s1")
        mark(machine, "two")
        daemon.cli("volume", "commit", NAME, image, timeout=600)
        mark(machine, "three")
        assert marked(machine) == "three"
    check_file_system(daemon, NAME)
    daemon.cli("volume", "rollback", NAME, "s1", "--force")  # its session may linger
    with booted(daemon) as machine:
        assert marked(machine) == "one"
        daemon.cli("volume", "rebase", NAME, "--image", f"{image}@2", "--at-next-boot")
        assert marked(machine) == "one"
    check_file_system(daemon, NAME)
    with booted(daemon) as machine:
        assert marked(machine) == "two"
    check_file_system(daemon, NAME)
    assert daemon.json("volume", "show", NAME)["image"] == f"{image}@2"


@pytest.fixture
def qcow2(namespace: Namespace, golden: Path) -> Iterator[str]:
    """An NBD server of a qcow2 over the golden image: its URI."""
    disk, socket = namespace.work / "node.qcow2", namespace.work / "nbd.sock"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", golden, "-F", "raw", disk)
    server = namespace.start("qemu-nbd", "qemu-nbd", "--persistent", "--format", "qcow2", "--socket", socket, disk)
    try:
        wait_until("qemu-nbd to listen", socket.exists, 60)
        yield f"nbd+unix:///?socket={socket}"
    finally:
        server.stop()
    run("qemu-img", "check", "-q", disk)


@pytest.mark.full
def test_a_qcow2_behind_nbd(daemon: Nodisk, qcow2: str) -> None:
    """Booted twice: what was written is there."""
    daemon.cli("volume", "create", NAME, "--nbd", qcow2)
    daemon.cli("node", "add", NAME, "--mac", MAC, "--address", ADDRESS, "--volume", NAME)
    with booted(daemon) as machine:
        mark(machine, "one")
    with booted(daemon) as machine:
        assert marked(machine) == "one"
