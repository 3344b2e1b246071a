"""A node with CHAP: every login of its boot and of its life proves who it is, and its secrets stay its own."""

import re
import sqlite3
from pathlib import Path

import pytest

from lab.disk import words_found
from lab.nodisk import Nodisk
from lab.peers import Node
from lab.process import wait_until
from lab.qemu import Machine

NAME, MAC, ADDRESS = "chapnode", "52:54:00:77:4e:41", "10.77.0.41"
PATIENCE = 900  # seconds for a boot, on a machine that has other things to do


def secrets_of(daemon: Nodisk) -> list[str]:
    """The node's, from the registry's file: nodisk tells them nobody."""
    with sqlite3.connect(f"file:{daemon.work}/state/registry.db?mode=ro", uri=True) as database:
        row = database.execute("SELECT secret, target_secret FROM node_chap").fetchone()
    return [secret for secret in row if secret]


def logins(daemon: Nodisk) -> list[str]:
    """The lines of the log about the node's sessions that began."""
    return re.findall(rf"(\w+ login of \S+:{NAME} from .*)", daemon.log())


def ask_for_the_script(machine: Machine) -> str:
    """As anybody who has an account on the running node can."""
    request = rf"GET /boot.ipxe?mac={MAC.replace(':', '-')} HTTP/1.0\r\nUser-Agent: iPXE/1.21.1+\r\n\r\n"
    return machine.run(f"runuser -u nobody -- bash -c 'exec 3<>/dev/tcp/10.77.0.1/80; printf \"{request}\" >&3; "
                       "cat <&3'", timeout=PATIENCE).output


def check_node(machine: Machine, secrets: list[str]) -> None:
    """The secrets are where root alone can see them, and nowhere else."""
    ibft = "/sys/firmware/ibft/target0"
    assert machine.run(f"cat {ibft}/chap-name", timeout=PATIENCE).output == NAME
    hidden = machine.run(f"runuser -u nobody -- cat {ibft}/chap-secret", timeout=PATIENCE, check=False)
    assert hidden.status != 0 and secrets[0] not in hidden.output
    for _ in range(2):
        answer = ask_for_the_script(machine)
        assert "#!ipxe" in answer and "password" not in answer and not [s for s in secrets if s in answer]
    for place in ("dmesg", "journalctl --no-pager"):
        found = machine.run(f"{place} | grep -c -e {' -e '.join(secrets)} || true", timeout=PATIENCE)
        assert found.output == "0", place


@pytest.mark.full
@pytest.mark.parametrize("mode", ["mutual", "one-way"])
def test_every_login_is_with_chap(daemon: Nodisk, golden: Path, mode: str) -> None:
    """Firmware, initramfs, and the running system after its server has died."""
    node: Node = daemon.add_node(NAME, MAC, ADDRESS, golden)
    daemon.cli("node", "set", NAME, "--chap", mode)
    secrets = secrets_of(daemon)
    assert len(secrets) == (2 if mode == "mutual" else 1)
    words = " with mutual CHAP" if mode == "mutual" else " with CHAP"
    with Machine(daemon.namespace, NAME, MAC) as machine:
        machine.login(timeout=PATIENCE)
        daemon.wait_stage(NAME, "up", PATIENCE)
        assert not [s for s in secrets if s in machine.console.text]
        check_node(machine, secrets)
        before = logins(daemon)
        daemon.kill()
        daemon.start()
        wait_until("the node to log in again", lambda: len(logins(daemon)) > len(before), PATIENCE)
        machine.run("echo 3 >/proc/sys/vm/drop_caches; cat /usr/bin/* >/dev/null; sync", timeout=PATIENCE)
        machine.start_command("poweroff")
        wait_until("the node to be off", lambda: not machine.process.alive(), PATIENCE)
    programs = [line.split()[0] for line in logins(daemon)]
    assert programs.count("firmware") >= 1 and programs.count("initramfs") >= 2, programs
    assert [line for line in logins(daemon) if not line.endswith(words)] == []
    assert not [s for s in secrets if s in daemon.log()]
    assert not words_found(node.disk, secrets)
