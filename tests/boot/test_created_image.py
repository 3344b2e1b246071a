"""What `nodisk image create` makes of Debian's packages boots, from an overlay each, on BIOS and on UEFI."""

from pathlib import Path

import pytest
from conftest import PASSWORD, ROOT

from lab.nodisk import Nodisk
from lab.qemu import Machine

pytestmark = pytest.mark.full

RELEASES = {"debian12": "12", "debian13": "13"}
MACS = {"bios": "52:54:00:77:4e:a1", "uefi": "52:54:00:77:4e:a2"}
PATIENCE = 1800  # seconds for a boot, beside others


def check_itself(machine: Machine, daemon: Nodisk, release: str) -> None:
    """The system that was asked for, on the disk that it was given; nothing in it has failed."""
    assert machine.run("systemctl is-system-running --wait", timeout=900).output == "running"
    assert machine.run(". /etc/os-release; echo $VERSION_ID").output == release
    assert machine.run("hostname").output == machine.name
    assert machine.run("findmnt -no SOURCE /").output.startswith("/dev/sda")
    assert machine.run("dpkg-query -Wf '${Status}' jq").output == "install ok installed"
    daemon.wait_stage(machine.name, "up", 600)


@pytest.mark.parametrize("system", RELEASES)
def test_a_system_out_of_nothing(daemon: Nodisk, system: str, tmp_path: Path,
                                 monkeypatch: pytest.MonkeyPatch) -> None:
    """Made, imported, booted, restarted and switched off, with a package and a password that were asked for."""
    monkeypatch.setenv("NODISK_DATA", str(ROOT))  # the recipe of this tree, which is not installed
    monkeypatch.setenv("NODISK_CACHE", str(tmp_path / "cache"))
    said = daemon.cli("image", "create", system, "--kernel", "cloud-amd64", "--root-password", PASSWORD,
                      "--package", "jq", timeout=3600)
    assert said.stdout.endswith(f"image {system}@1 is made\n")
    assert {path.suffix for path in (tmp_path / "cache").iterdir()} == {".lock"}  # nothing but who is at it
    (image,) = daemon.json("image", "show", system)["versions"]
    assert image["labels"]["os"] == system
    for firmware, mac in MACS.items():
        daemon.cli("node", "add", firmware, "--mac", mac, "--image", system)
    machines = [Machine(daemon.namespace, firmware, mac, firmware=firmware) for firmware, mac in MACS.items()]
    try:
        for machine in machines:
            machine.power_on()
        for machine in machines:
            machine.login(timeout=PATIENCE)
            check_itself(machine, daemon, RELEASES[system])
            here = len(machine.console.text)
            machine.start_command("systemctl reboot")
            machine.login(timeout=PATIENCE, start=here)
            check_itself(machine, daemon, RELEASES[system])
            machine.start_command("systemctl poweroff")
            machine.wait_off(PATIENCE)
    finally:
        for machine in machines:
            machine.kill()
