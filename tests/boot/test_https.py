"""A node whose iPXE has HTTPS boots over it alone; one without, and one that trusts nobody, say why they do not."""

import sqlite3
from pathlib import Path

import pytest

from lab.authority import Authority
from lab.capture import Capture
from lab.ipxe_source import build_with_https, ipxe_source
from lab.nodisk import CONFIG, Nodisk
from lab.peers import ADDRESS as SERVER
from lab.process import wait_until
from lab.qemu import Machine

NAME, MAC, ADDRESS = "secure", "52:54:00:77:4e:61", "10.77.0.61"
SCRIPT = f"boot.ipxe?mac={MAC.replace(':', '-')}"
PATIENCE = 900  # seconds for a boot, on a machine that has other things to do


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whose certificate the ROM trusts."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def rom(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """iPXE of the card."""
    return build_with_https(ipxe_source(tmp_path_factory.mktemp("sources")), authority.certificate)


def start(namespace, authority: Authority) -> Nodisk:
    """A daemon that gives boot scripts over HTTPS only."""
    section = authority.configure(SERVER, f"IP:{SERVER}", more="require = yes\n")
    daemon = Nodisk(namespace, namespace.work / "nodisk", config=CONFIG + section)
    daemon.start()
    return daemon


def secrets_of(daemon: Nodisk) -> list[str]:
    """The node's, from the registry's file."""
    with sqlite3.connect(f"file:{daemon.work}/state/registry.db?mode=ro", uri=True) as database:
        return list(database.execute("SELECT secret, target_secret FROM node_chap").fetchone())


def over_http(daemon: Nodisk, path: str) -> str:
    """Status and body, asked by the server's own machine."""
    return daemon.namespace.run("curl", "-sS", "-w", "%{http_code}", f"http://{SERVER}/{path}").stdout


@pytest.mark.full
def test_a_node_boots_over_https_alone(namespace, authority: Authority, rom: Path, golden: Path) -> None:
    """To the login of its system, with CHAP, whose secrets nobody sees on the wire."""
    daemon = start(namespace, authority)
    daemon.add_node(NAME, MAC, ADDRESS, golden)
    daemon.cli("node", "set", NAME, "--chap", "mutual")
    secrets = secrets_of(daemon)
    with Capture(namespace) as wire, Machine(namespace, NAME, MAC, card=f"virtio-net-pci,romfile={rom}") as machine:
        machine.login(timeout=PATIENCE)
        daemon.wait_stage(NAME, "up", PATIENCE)
        assert machine.run("cat /sys/firmware/ibft/target0/chap-name", timeout=PATIENCE).output == NAME
        assert f"https://{SERVER}/{SCRIPT}" in machine.console.text and f"http://{SERVER}/boot" not in machine.console.text
        machine.start_command("poweroff")
        wait_until("the node to be off", lambda: not machine.process.alive(), PATIENCE)
    assert "of its disk directly" in daemon.log()  # kernel and initramfs by HTTPS, too
    seen = wire.path.read_bytes()
    assert len(seen) > 10 << 20 and not [secret for secret in secrets if secret.encode() in seen]
    assert b"set initiator-iqn" not in seen and b"POST /up" in seen  # which the system says over HTTP
    script = over_http(daemon, SCRIPT)
    assert f"--replace https://{SERVER}/{SCRIPT}" in script and "initiator" not in script
    assert over_http(daemon, f"direct/kernel?mac={MAC}").endswith("403")
    daemon.stop()


@pytest.mark.full
def test_ipxe_without_https_says_so(namespace, authority: Authority) -> None:
    """That of Debian, which is told to fetch its script over HTTPS."""
    daemon = start(namespace, authority)
    daemon.cli("node", "add", NAME, "--mac", MAC, "--address", ADDRESS)
    with Machine(namespace, NAME, MAC, memory=256) as machine:
        machine.console.expect("this iPXE cannot fetch from https://10.77.0.1", PATIENCE)
        wait_until("the log to tell", lambda: f"{NAME}: https: the machine at {ADDRESS} cannot boot" in daemon.log(), PATIENCE)
        machine.console.expect("trying again in 5 seconds", PATIENCE)
    daemon.stop()


@pytest.mark.full
def test_a_certificate_of_somebody_else_is_refused(namespace, rom: Path, tmp_path: Path) -> None:
    """By iPXE, and the log tells of it."""
    daemon = start(namespace, Authority(tmp_path / "other"))
    daemon.cli("node", "add", NAME, "--mac", MAC, "--address", ADDRESS)
    with Machine(namespace, NAME, MAC, memory=256, card=f"virtio-net-pci,romfile={rom}") as machine:
        machine.console.expect("https://10.77.0.1/boot.ipxe[.]* Permission denied", PATIENCE)
        wait_until("the log to tell", lambda: f"https: {ADDRESS} connected and sent no whole request" in daemon.log(), PATIENCE)
        assert "initiator" not in machine.console.text
    daemon.stop()
