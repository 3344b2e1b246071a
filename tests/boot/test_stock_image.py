"""An image that is set up for iSCSI the way Debian's own packages do it boots, too."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import PASSWORD, ROOT
from lab.capture import capturing
from lab.nodisk import Nodisk
from lab.qemu import Machine

NAME, MAC, ADDRESS = "stock", "52:54:00:77:4e:31", "10.77.0.31"


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Debian's own initramfs script and units, and nothing of ours."""
    image = tmp_path_factory.mktemp("stock") / "stock.raw"
    subprocess.run([ROOT / "image/debian12/build", "--stock", "--kernel", "cloud-amd64",
                    "--root-password", PASSWORD, image], check=True)
    yield image
    image.unlink()


@pytest.mark.full
@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_stock_image(server: Nodisk, stock: Path, firmware: str) -> None:
    """The initramfs logs in, then the system's iscsid takes the session over: both are seen."""
    server.add_node(NAME, MAC, ADDRESS, stock)
    machine = Machine(server.namespace, NAME, MAC, firmware=firmware)
    with capturing(server.namespace) as capture, machine:
        machine.login(timeout=900)
        server.wait_stage(NAME, "system", 120)
        assert machine.run("findmnt -no SOURCE /").output.startswith("/dev/sda")
        assert machine.run("hostname").output == NAME
        assert machine.run("cat /sys/class/iscsi_session/session*/targetname").output \
            == f"iqn.2026-11.lan.example:{NAME}"
        machine.run("echo kept >/root/kept; sync")
        here = len(machine.console.text)
        machine.start_command("systemctl reboot")
        machine.login(timeout=900, start=here)
        assert machine.run("cat /root/kept").output == "kept"
        server.wait_stage(NAME, "system", 120)
    wire = capture.summary(machine.power_on_epoch)
    assert len(wire.logins("linux")) == 4, "two of each boot: iscsistart and iscsid"
    stages = [stage["stage"] for stage in server.json("status")["nodes"][0]["boot"]["stages"]]
    assert stages[-3:] == ["firmware", "initramfs", "system"]
