"""`nodisk ibft` reads the tables that real firmware leaves: iPXE's in low memory (BIOS) and among the
ACPI tables (UEFI), and that of UEFI's own iSCSI initiator. Taken out of the memory of the machine, and
seen from the running system, where it is also what systemd-networkd goes by."""

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from lab.nodisk import Nodisk, find_binary
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
        machine.console.expect("direct.ipxe", 600)
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


# --- on the node ---

VLAN_MAC = "52:54:00:77:4e:99"  # of a second card, whose cable leads nowhere
PATIENCE = 600
NIC_POINTER, ORIGIN_AT, VLAN_AT, MAC_AT = 58, 23, 88, 90


def pack_tools(daemon: Nodisk) -> Path:
    """The program under test and the libraries that the image has not, and a table with a VLAN, as a disk."""
    path = daemon.work / "tools.tar"
    libraries = subprocess.run(["ldd", find_binary()], capture_output=True, text=True, check=True).stdout
    with tarfile.open(path, "w") as tar:
        tar.add(find_binary(), "nodisk")
        for line in libraries.splitlines():
            name, _, file = line.strip().partition(" => ")
            if file and not name.startswith(("libc.", "libm.")):
                tar.add(Path(file.split()[0]).resolve(), name)
        tar.add(vlan_table(daemon), "vlan-table")
    with path.open("ab") as file:
        file.truncate(-(-path.stat().st_size // (1 << 20)) << 20)
    return path


def vlan_table(daemon: Nodisk) -> Path:
    """A real one, of the other card, with VLAN 42."""
    table = bytearray((Path(__file__).parents[1] / "fuzz/corpus/ibft_decode/ipxe-bios").read_bytes())
    nic = int.from_bytes(table[NIC_POINTER:NIC_POINTER + 2], "little")
    table[nic + VLAN_AT] = 42
    table[nic + MAC_AT:nic + MAC_AT + 6] = bytes.fromhex(VLAN_MAC.replace(":", ""))
    table[9] = (table[9] - sum(table)) % 256
    path = daemon.work / "vlan-table"
    path.write_bytes(table)
    return path


@pytest.mark.full
@pytest.mark.parametrize("firmware", ["bios", "uefi"])
def test_on_the_node(daemon: Nodisk, golden: Path, firmware: str) -> None:
    """The table is found, the machine is what it says, and networkd keeps the card's address by it."""
    daemon.cli("image", "import", golden, "--name", "golden", timeout=600)
    daemon.cli("node", "add", NAME, "--mac", MAC, "--address", ADDRESS, "--image", "golden", "--chap", "mutual")
    machine = Machine(daemon.namespace, NAME, MAC, firmware=firmware, extra=[
        "-drive", f"if=none,id=tools,format=raw,readonly=on,file={pack_tools(daemon)}",
        "-device", "virtio-blk-pci,drive=tools",
        "-netdev", "hubport,id=net1,hubid=7", "-device", f"virtio-net-pci,netdev=net1,mac={VLAN_MAC},romfile="])

    def ask(command: str) -> str:
        return machine.run(command, timeout=PATIENCE).output

    def ibft(words: str) -> str:
        return ask(f"LD_LIBRARY_PATH=/root/tools /root/tools/nodisk {words}")

    with machine:
        machine.login(timeout=900)
        daemon.wait_stage(NAME, "up", PATIENCE)
        ask("mkdir /root/tools && tar -C /root/tools -xf /dev/vda")
        table = json.loads(ibft("--json ibft --secrets"))
        assert table["faults"] == []
        check_ipxe(daemon, table)
        if firmware == "uefi":
            assert table["source"] == "/sys/firmware/acpi/tables/iBFT"
        else:
            assert table["source"].startswith(("/dev/mem at 0x", "/sys/firmware/ibft"))
        shown = json.loads(ibft("--json ibft --secrets /sys/firmware/ibft"))
        assert shown["faults"] == [] and shown["targets"] == table["targets"]
        assert shown["cards"] == table["cards"]
        assert ibft("ibft --compare") == "there is no daemon here; the machine is what the table says"

        ask("rm /run/systemd/network/*; LD_LIBRARY_PATH=/root/tools /root/tools/nodisk ibft --format networkd "
            "--output /run/systemd/network && systemctl restart systemd-networkd")
        card = ask(f"grep -l {MAC} /sys/class/net/*/address | cut -d/ -f5")
        wait_until("networkd to have the card", lambda: "05-ibft.network" in ask(f"networkctl status {card}"), 300, 1)
        ask("systemctl stop systemd-networkd.socket systemd-networkd")
        assert f"inet {ADDRESS}/24" in ask(f"ip -4 addr show {card}")
        assert "ok" in ask("echo 3 >/proc/sys/vm/drop_caches; sync && echo ok")

        ibft("ibft --format networkd --output /run/systemd/network /root/tools/vlan-table || true")
        ask("systemctl start systemd-networkd")
        wait_until("networkd to make the VLAN", lambda: "10.77.0.91/24" in ask(
            "ip -4 addr show ibft-vlan 2>/dev/null || true"), 60, 1)
        assert "vlan protocol 802.1Q id 42" in ask("ip -d link show ibft-vlan")
        machine.start_command("poweroff")
        wait_until("the node to be off", lambda: not machine.process.alive(), PATIENCE)
