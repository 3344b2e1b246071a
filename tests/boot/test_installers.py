"""Debian's installer fills an empty volume of its node and restarts, and the node boots from it by itself.

The kernel, the initrd, its network and its preseed are Debian's. What writes the disk is the preseed's early_command:
the golden image, in place of the installer's further components, which no mirror for tests need have.
"""

import subprocess
from pathlib import Path

import pytest

from lab.installer import INITRD, KERNEL, make_initrd
from lab.nodisk import Nodisk
from lab.qemu import Machine

pytestmark = pytest.mark.full

NAME, MAC, ADDRESS = "installed", "52:54:00:77:4e:81", "10.77.0.81"
PATIENCE = 2400

SCRIPT = """\
set -e
echo "installer: on $(uname -r), answers from $1"
depmod -a
modprobe iscsi_ibft
modprobe iscsi_tcp
modprobe sd_mod
echo "installer: the iBFT names $(cat /sys/firmware/ibft/target0/target-name)"
/nodisk/ld-linux-x86-64.so.2 --library-path /nodisk /nodisk/iscsistart -b
disk=
while [ -z "$disk" ]; do
    sleep 1
    for block in /sys/block/*; do
        case "$(readlink -f "$block")" in */session*) disk=/dev/${block##*/} ;; esac
    done
done
echo "installer: writing $disk"
wget -q -O - http://10.77.0.1:8000/golden.gz | gunzip -c | dd of="$disk" bs=1M
sync
wget -q -O - "$2"
echo "installer: done, restarting"
reboot -f
"""

PRESEED = """\
d-i debian-installer/locale string en_US.UTF-8
d-i preseed/early_command string sh /nodisk/install '{{answer-url}}' '{{installed-url}}' >/dev/console 2>&1 </dev/null
"""


@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_debians_installer_fills_an_empty_volume(daemon: Nodisk, golden: Path, tmp_path: Path, firmware: str) -> None:
    """By --once; the volume is empty before, and is what the node comes up from."""
    if not KERNEL.exists():
        pytest.skip("debian-installer-12-netboot-amd64 is not installed")
    web = tmp_path / "web"
    web.mkdir()
    with (web / "golden.gz").open("wb") as output:
        subprocess.run(["gzip", "-1", "-c", golden], check=True, stdout=output)
    daemon.namespace.start("web", "python3", "-m", "http.server", "--directory", web, "8000")
    (tmp_path / "preseed").write_text(PRESEED)
    daemon.cli("volume", "create", NAME, "--size", str(golden.stat().st_size))
    daemon.cli("node", "add", NAME, "--mac", MAC, "--address", ADDRESS, "--volume", NAME)
    daemon.cli("entry", "add", "debian", "--kernel", KERNEL, "--initrd", INITRD,
               "--initrd", make_initrd(tmp_path / "initrd", SCRIPT), "--preseed", tmp_path / "preseed",
               "--args", "console=ttyS0 DEBIAN_FRONTEND=text")
    daemon.cli("boot", NAME, "debian", "--once")
    machine = Machine(daemon.namespace, NAME, MAC, firmware=firmware, memory=1536)
    with machine:
        console = machine.console
        console.expect(f"{NAME} is installed by debian onto volume {NAME}", PATIENCE)
        console.expect(rf"installer: the iBFT names \S+:{NAME}", PATIENCE)
        console.expect(r"installer: writing /dev/sd", PATIENCE)
        done = console.expect("installer: done, restarting", PATIENCE)
        machine.login(timeout=PATIENCE, start=done.end())
        assert machine.run("hostname").output == NAME
        daemon.wait_stage(NAME, "up", PATIENCE)
    assert "was installed by debian, and boots its volume from now on" in daemon.log()
    assert console.text.count("is installed by debian onto volume") == 1
