"""Machines with UEFI for other processors, as far as their loader: Debian has no iPXE that could go on.

ARM64 (AAVMF), and IA32 (OVMF for 32 bits, which boots by PXE only).
"""

import shutil
from pathlib import Path

import pytest

from lab.netns import Namespace
from lab.nodisk import CONFIG, Nodisk
from lab.qemu import Machine

NAME, MAC, ADDRESS = "other1", "52:54:00:77:4e:91", "10.77.0.91"
NO_PXE = ["-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=no",
          "-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=no"]
LOADER = b"no program, but long enough to be seen\n" * 5000


class Arm64(Machine):
    """The same machine with another processor and its firmware."""

    program = "qemu-system-aarch64"
    code, vars = Path("/usr/share/AAVMF/AAVMF_CODE.fd"), Path("/usr/share/AAVMF/AAVMF_VARS.fd")
    board = ["-machine", "virt", "-cpu", "cortex-a57", "-device", "virtio-rng-pci"]

    def command_line(self) -> list[object]:
        """QEMU's arguments."""
        return [
            self.program, *self.board, "-accel", "tcg,thread=multi", "-m", self.memory, "-smp", self.cpus,
            "-nodefaults", "-display", "none", "-action", "reboot=shutdown",
            "-chardev", f"socket,id=serial,path={self.folder}/serial,server=on,wait=off", "-serial", "chardev:serial",
            "-qmp", f"unix:{self.folder}/monitor,server=on,wait=off",
            "-netdev", f"tap,id=net0,ifname={self.tap},script=no,downscript=no",
            "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={self.code}",
            "-drive", f"if=pflash,format=raw,unit=1,file={self.folder}/vars.fd",
            "-device", f"{self.card},netdev=net0,mac={self.mac},romfile=,bootindex=1", *self.extra]

    def power_on(self) -> None:
        """Starts the machine; the clock begins."""
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.vars, self.folder / "vars.fd")
        super().power_on()


class Ia32(Arm64):
    """Debian builds this firmware with SMM alone."""

    program = "qemu-system-i386"
    code, vars = Path("/usr/share/OVMF/OVMF32_CODE_4M.secboot.fd"), Path("/usr/share/OVMF/OVMF32_VARS_4M.fd")
    board = ["-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on",
             "-global", "ICH9-LPC.disable_s3=1"]


@pytest.mark.full
@pytest.mark.parametrize(("kind", "key", "way"), [
    (Arm64, "arm64", "pxe"), (Arm64, "arm64", "http"), (Ia32, "ia32", "pxe")])
def test_as_far_as_the_loader(namespace: Namespace, kind: type[Arm64], key: str, way: str) -> None:
    """Firmware is told of the loader for its processor, and fetches it whole, by TFTP or by HTTP."""
    if not kind.code.exists() or not shutil.which(kind.program):
        pytest.skip(f"{kind.program} or {kind.code} is not installed")
    work = namespace.work / "nodisk"
    loaders = work / "loaders"
    loaders.mkdir(parents=True)
    for name in ("undionly.kpxe", "snponly.efi"):
        shutil.copyfile(Path("/usr/lib/ipxe") / name, loaders / name)
    (loaders / f"{key}.efi").write_bytes(LOADER)
    daemon = Nodisk(namespace, work, config=CONFIG + f"loader-uefi-{key} = {key}.efi\n"
                    "[tftp]\nloaders = {work}/loaders\n")
    daemon.start()
    daemon.cli("node", "add", NAME, "--mac", MAC, "--address", ADDRESS)
    machine = kind(namespace, NAME, MAC, extra=NO_PXE if way == "http" else [])
    with machine:
        daemon.wait_stage(NAME, "loader", 300)
    status = daemon.json("status")
    loader = status["nodes"][0]["boot"]["detail"]
    assert loader == (f"{key}.efi" if way == "pxe" else f"{key}.efi by HTTP")
    assert (status["counters"]["tftp"]["requests"] > 0) == (way == "pxe")
    daemon.stop()
