"""`nodisk ibft` reads the tables that real firmware leaves: iPXE's in low memory (BIOS) and among the
ACPI tables (UEFI), and that of UEFI's own iSCSI initiator. Taken out of the memory of the machine."""

import json
import shutil
from pathlib import Path

import pytest

from lab.nodisk import Nodisk
from lab.ovmf import Attempt, write_variables
from lab.peers import BASE_IQN
from lab.process import wait_until
from lab.qemu import OVMF_VARS, Machine

NAME, MAC, ADDRESS = "web1", "52:54:00:77:4e:91", "10.77.0.91"
LOW_MEMORY, LOW_SIZE = 0x80000, 0x80000
MEMORY = 512  # MiB, all of it below the gap for PCI
SAYS = b"BOOTED\r\n"


def boot_sector() -> bytes:
    """Says so on the serial port and halts."""
    code = b"\xba\xf8\x03" + b"".join(bytes([0xb0, letter, 0xee]) for letter in SAYS) + b"\xfa\xf4\xeb\xfd"
    return code.ljust(510, b"\0") + b"\x55\xaa"


def add_node(daemon: Nodisk, *options: str) -> None:
    """A node whose disk has a boot sector alone."""
    disk = daemon.work / "halt.raw"
    disk.write_bytes(boot_sector())
    with disk.open("r+b") as file:
        file.truncate(64 << 20)
    daemon.cli("image", "import", disk, "--name", "halt")
    daemon.cli("node", "add", NAME, "--mac", MAC, "--address", ADDRESS, "--image", "halt", *options)


def dump(machine: Machine, start: int, size: int) -> Path:
    """A piece of its memory."""
    path = machine.folder / "memory"
    machine.monitor.command("pmemsave", val=start, size=size, filename=str(path))
    return path


def read(daemon: Nodisk, memory: Path) -> dict:
    """What is in there; nothing is wrong with it."""
    table = json.loads(daemon.cli("--json", "ibft", memory, "--secrets").stdout)
    memory.unlink()
    assert table["faults"] == []
    assert table["initiator"]["name"] == f"{BASE_IQN}:{NAME}"
    return table


def check_ipxe(daemon: Nodisk, table: dict) -> None:
    """All of it is what the server has told iPXE."""
    assert table["oem_table_id"] == "iPXE"
    (card,), (target,) = table["cards"], table["targets"]
    assert (card["mac"], card["address"], card["prefix"]) == (MAC, ADDRESS, 24)
    assert (card["gateway"], card["host_name"], card["origin"]) == (daemon.address, NAME, "manual")
    assert (target["name"], target["address"]) == (f"{BASE_IQN}:{NAME}", daemon.address)
    assert (target["port"], target["lun"]) == (3260, 0)


@pytest.mark.full
def test_ipxe_on_bios(daemon: Nodisk) -> None:
    """In low memory, with the secrets of mutual CHAP."""
    add_node(daemon, "--chap", "mutual")
    with Machine(daemon.namespace, NAME, MAC, memory=256) as machine:
        machine.console.expect(SAYS.decode().strip(), 600)
        table = read(daemon, dump(machine, LOW_MEMORY, LOW_SIZE))
    check_ipxe(daemon, table)
    (target,) = table["targets"]
    assert target["chap"] == "mutual"
    assert len(target["initiator_credentials"]["secret"]) == 32
    assert len(target["target_credentials"]["secret"]) == 32


@pytest.mark.full
def test_ipxe_on_uefi(daemon: Nodisk) -> None:
    """Among the ACPI tables, while it has the disk."""
    add_node(daemon)
    with Machine(daemon.namespace, NAME, MAC, firmware="uefi", memory=MEMORY) as machine:
        wait_until("the login of firmware", lambda: daemon.json("session", "list")["sessions"] != [], 900, 0.2)
        machine.console.expect("direct.ipxe", 60)
        table = read(daemon, dump(machine, 0, MEMORY << 20))
    check_ipxe(daemon, table)
    assert table["targets"][0]["chap"] == "none"


@pytest.mark.full
def test_initiator_of_uefi(daemon: Nodisk, golden: Path) -> None:
    """Among the ACPI tables, without a host name and without gateway, since nobody has told it."""
    daemon.cli("image", "import", golden, "--name", "golden", timeout=600)
    daemon.cli("node", "add", NAME, "--mac", MAC, "--address", ADDRESS, "--image", "golden")
    iqn = f"{BASE_IQN}:{NAME}"
    machine = Machine(daemon.namespace, NAME, MAC, firmware="uefi", memory=MEMORY,
                      extra=["-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=no",
                             "-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=no"])
    machine.folder.mkdir(parents=True)
    flash = machine.folder / "vars.fd"
    shutil.copyfile(OVMF_VARS, flash)
    write_variables(flash, Attempt(MAC, iqn, daemon.address, iqn, ADDRESS).variables())
    with machine:
        machine.console.expect("GRUB|Loading Linux|Linux version", 900)
        table = read(daemon, dump(machine, 0, MEMORY << 20))
    (card,), (target,) = table["cards"], table["targets"]
    assert (card["mac"], card["address"], card["prefix"], card["origin"]) == (MAC, ADDRESS, 24, "manual")
    assert (card["host_name"], card["gateway"]) == (None, None)
    assert (target["name"], target["address"], target["port"]) == (iqn, daemon.address, 3260)
