"""iPXE with the script of `nodisk loaders script` in it, as on a USB stick or in a card, or beside the loader."""

import os
import shutil
from pathlib import Path

import pytest

from lab.netns import Namespace
from lab.nodisk import CONFIG, Nodisk
from lab.qemu import Machine

IPXE = Path("/boot/ipxe.lkrn")  # of the package ipxe
NAME, MAC, ADDRESS = "stick1", "52:54:00:77:4e:81", "10.77.0.81"


@pytest.mark.full
def test_every_card_is_tried_until_the_server_is_there(namespace: Namespace) -> None:
    """The first card leads nowhere, and the server comes late: the node boots by itself."""
    if not IPXE.exists():
        pytest.skip(f"{IPXE} is not installed")
    daemon = Nodisk(namespace, namespace.work / "nodisk")
    script = namespace.work / "boot.ipxe"
    script.write_text(daemon.cli("loaders", "script").stdout)
    machine = Machine(namespace, NAME, MAC, card="virtio-net-pci,romfile=,addr=0x10",
                      extra=["-kernel", str(IPXE), "-initrd", str(script), "-netdev", "hubport,id=net1,hubid=7",
                             "-device", "virtio-net-pci,netdev=net1,mac=52:54:00:77:4e:82,romfile=,addr=0x8"])
    with machine:
        machine.console.expect(r"asking for an address with net0 \(52:54:00:77:4e:82\)", 600)
        machine.console.expect("no card has got a boot script; trying again", 300)
        daemon.start()
        daemon.cli("node", "add", NAME, "--mac", MAC, "--address", ADDRESS)
        daemon.wait_stage(NAME, "script", 300)
        machine.console.expect("stick1: has nothing to boot", 600)
    daemon.stop()


@pytest.mark.full
def test_the_script_beside_a_newer_loader(namespace: Namespace, tmp_path: Path) -> None:
    """UEFI; NODISK_NEWER_IPXE is a directory with snponly.efi, such as /usr/lib/ipxe of Debian 13."""
    newer = os.environ.get("NODISK_NEWER_IPXE")
    if not newer:
        pytest.skip("NODISK_NEWER_IPXE does not name a directory with a newer snponly.efi")
    loaders = tmp_path / "loaders"
    loaders.mkdir()
    for name in ("undionly.kpxe", "snponly.efi"):
        shutil.copy(Path(newer) / name, loaders)
    daemon = Nodisk(namespace, namespace.work / "nodisk", config=CONFIG + f"\n[tftp]\nloaders = {loaders}\n")
    (loaders / "autoexec.ipxe").write_text(daemon.cli("loaders", "script").stdout)
    daemon.start()
    daemon.cli("node", "add", NAME, "--mac", MAC, "--address", ADDRESS)
    with Machine(namespace, NAME, MAC, firmware="uefi") as machine:
        machine.console.expect(rf"asking for an address with net0 \({MAC}\)", 300)
        daemon.wait_stage(NAME, "script", 300)
        machine.console.expect(f"{NAME}: has nothing to boot", 600)
        before = len(machine.console.text)
        daemon.kill()
        machine.console.expect("has nothing to boot", 600, before)  # it asks in vain, and goes on
    daemon.stop()
