"""A plain Debian, prepared by `nodisk prepare` and nothing else, is one that boots diskless."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_golden_image import ADDRESS, HANGS, MAC, NAME, Setup, check_running, debugfs

from lab.nodisk import Nodisk
from lab.prepared import MACHINE_ID, SUITES, make_image, plain_tar, prepare, snapshot, unpack
from lab.process import wait_until
from lab.qemu import Machine

pytestmark = pytest.mark.full


@pytest.fixture(scope="module", params=SUITES)
def plain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A plain Debian 12 or 13 in a directory, in which every card would be set up by DHCP."""
    root = tmp_path_factory.mktemp("plain") / "root"
    unpack(plain_tar(suite=request.param), root)
    yield root
    shutil.rmtree(root)


def test_a_real_debian(plain: Path) -> None:
    """The doctor finds much, then nothing; a second run does nothing; undo gives all back."""
    before = snapshot(plain)
    root_uuid = str(uuid.uuid4())
    assert "error: initramfs-iscsi-auto" in prepare(plain, "--check", code=1)
    assert "files changed" in prepare(plain, "--root-uuid", root_uuid)
    assert prepare(plain, "--check") == "nothing found\n"
    assert snapshot(plain) != before
    prepared = snapshot(plain)
    assert prepare(plain) == "nothing to do: it is prepared\n"
    assert snapshot(plain) == prepared
    prepare(plain, "--undo")
    assert snapshot(plain) == before
    assert "error: initramfs-iscsi-auto" in prepare(plain, "--check", code=1)


@pytest.fixture(scope="module")
def image(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk of it, prepared."""
    work = tmp_path_factory.mktemp("disk")
    yield make_image(plain, work)
    shutil.rmtree(work)


def check_left_alone(machine: Machine) -> None:
    """ifupdown runs, but has not touched the card, and does not when it is asked again."""
    assert {"ens3", "enp0s3"} <= set(machine.run("ls /run/nodisk/boot-card").output.split())
    assert machine.run("systemctl is-active networking.service").output == "active"
    machine.run("systemctl restart networking.service systemd-networkd.service", timeout=300)
    assert "dhclient" not in machine.run("cat /proc/[0-9]*/comm || true").output
    assert f"inet {ADDRESS}/24" in machine.run("ip -4 addr show").output


def test_boot(server: Nodisk, image: Path) -> None:
    """It comes up as itself on the disk that the server gave it, with a card that nobody else sets up,
    reboots and switches off in good order."""
    node = server.add_node(NAME, MAC, ADDRESS, image)
    server.start()
    machine = Machine(server.namespace, NAME, MAC)
    setup = Setup(machine, node, server)
    with machine:
        # it makes its SSH host keys, which takes long without hardware acceleration
        machine.login(timeout=900)
        assert machine.run("systemctl is-system-running --wait", timeout=600).output == "running"
        check_running(setup)
        wait_until("the node phoning home", lambda: server.reported_up(node), 300)
        check_left_alone(machine)
        assert machine.run("ls /etc/ssh/ssh_host_*_key | wc -l").output == "3"
        assert len(machine.run("cat /etc/machine-id").output) == 32
        assert machine.run("cat /etc/machine-id").output != MACHINE_ID

        machine.run("echo kept >/root/kept")  # not synced: shutdown has to do it
        here = len(machine.console.text)
        begin = machine.seconds()
        machine.start_command("systemctl reboot")
        machine.login(timeout=900, start=here)
        assert machine.console.seconds_of(r"reboot: Restarting system", here) - begin < HANGS
        assert machine.run("cat /root/kept").output == "kept"
        begin = machine.seconds()
        machine.start_command("systemctl poweroff")
        assert machine.wait_off(HANGS) - begin < HANGS
    server.stop()
    assert "needs_recovery" not in debugfs(node.disk, "show_super_stats -h")
