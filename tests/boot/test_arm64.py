"""An ARM64 machine with UEFI (AAVMF), as far as its loader: Debian has no iPXE for it that could go on."""

import shutil
from pathlib import Path

import pytest

from lab.netns import Namespace
from lab.nodisk import CONFIG, Nodisk
from lab.qemu import Machine

CODE, VARS = Path("/usr/share/AAVMF/AAVMF_CODE.fd"), Path("/usr/share/AAVMF/AAVMF_VARS.fd")
NAME, MAC, ADDRESS = "arm1", "52:54:00:77:4e:91", "10.77.0.91"
NO_PXE = ["-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=no",
          "-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=no"]
LOADER = b"no program, but long enough to be seen\n" * 5000


class Arm64(Machine):
    """The same machine with another processor and its firmware."""

    def command_line(self) -> list[object]:
        """QEMU's arguments."""
        return [
            "qemu-system-aarch64", "-machine", "virt", "-accel", "tcg,thread=multi", "-cpu", "cortex-a57",
            "-m", self.memory, "-smp", self.cpus, "-nodefaults", "-display", "none", "-action", "reboot=shutdown",
            "-device", "virtio-rng-pci",
            "-chardev", f"socket,id=serial,path={self.folder}/serial,server=on,wait=off", "-serial", "chardev:serial",
            "-qmp", f"unix:{self.folder}/monitor,server=on,wait=off",
            "-netdev", f"tap,id=net0,ifname={self.tap},script=no,downscript=no",
            "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={CODE}",
            "-drive", f"if=pflash,format=raw,unit=1,file={self.folder}/vars.fd",
            "-device", f"{self.card},netdev=net0,mac={self.mac},romfile=,bootindex=1", *self.extra]

    def power_on(self) -> None:
        """Starts the machine; the clock begins."""
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(VARS, self.folder / "vars.fd")
        super().power_on()


@pytest.mark.full
@pytest.mark.parametrize("way", ["pxe", "http"])
def test_as_far_as_the_loader(namespace: Namespace, way: str) -> None:
    """Firmware is told of the loader for ARM64, and fetches it whole, by TFTP or by HTTP."""
    if not CODE.exists() or not shutil.which("qemu-system-aarch64"):
        pytest.skip("qemu-system-arm and qemu-efi-aarch64 are not installed")
    work = namespace.work / "nodisk"
    loaders = work / "loaders"
    loaders.mkdir(parents=True)
    for name in ("undionly.kpxe", "snponly.efi"):
        shutil.copyfile(Path("/usr/lib/ipxe") / name, loaders / name)
    (loaders / "arm64.efi").write_bytes(LOADER)
    daemon = Nodisk(namespace, work, config=CONFIG + "loader-uefi-arm64 = arm64.efi\n"
                    "[tftp]\nloaders = {work}/loaders\n")
    daemon.start()
    daemon.cli("node", "add", NAME, "--mac", MAC, "--address", ADDRESS)
    machine = Arm64(namespace, NAME, MAC, extra=NO_PXE if way == "http" else [])
    with machine:
        daemon.wait_stage(NAME, "loader", 300)
    status = daemon.json("status")
    loader = status["nodes"][0]["boot"]["detail"]
    assert loader == ("arm64.efi" if way == "pxe" else "arm64.efi by HTTP")
    assert (status["counters"]["tftp"]["requests"] > 0) == (way == "pxe")
    daemon.stop()
