"""A machine boots with UEFI's own iSCSI initiator (EDK II's IScsiDxe), without iPXE and without PXE."""

import shutil
from pathlib import Path

import pytest

from lab.capture import capturing
from lab.nodisk import Nodisk
from lab.ovmf import Attempt, write_variables
from lab.process import wait_until
from lab.qemu import OVMF_VARS, Machine

NAME, MAC, ADDRESS = "setup1", "52:54:00:77:4e:51", "10.77.0.51"

# What IScsiDxe offers at login.
TRAITS = {"MaxRecvDataSegmentLength": "65536", "MaxBurstLength": "262144", "FirstBurstLength": "65536",
          "InitialR2T": "No", "ImmediateData": "Yes", "DefaultTime2Retain": "20"}


@pytest.mark.full
@pytest.mark.parametrize("address", [None, ADDRESS], ids=["address by DHCP", "own address"])
def test_uefi_initiator(server: Nodisk, golden: Path, address: str | None) -> None:
    """Firmware, GRUB and Linux read the disk that is named in the firmware's setup; the node is itself."""
    node = server.add_node(NAME, MAC, ADDRESS, golden)
    server.start()
    machine = Machine(server.namespace, NAME, MAC, firmware="uefi",
                      extra=["-fw_cfg", "name=opt/org.tianocore/IPv4PXESupport,string=no",
                             "-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=no"])
    machine.folder.mkdir(parents=True)
    flash = machine.folder / "vars.fd"
    shutil.copyfile(OVMF_VARS, flash)
    write_variables(flash, Attempt(MAC, node.initiator, server.address, server.target_of(node), address).variables())

    with capturing(server.namespace) as capture, machine:
        machine.login(timeout=900)

        def ask(command: str) -> str:
            return machine.run(command, timeout=300).output

        assert ask("hostname") == NAME
        assert ask("cat /sys/firmware/ibft/ethernet0/hostname 2>/dev/null || true") == ""
        assert ask("cat /sys/firmware/ibft/initiator/initiator-name") == node.initiator
        assert ask("sed s/.*=// /etc/iscsi/initiatorname.iscsi") == node.initiator
        assert ask("findmnt -no SOURCE /").startswith("/dev/sda")
        assert f"inet {ADDRESS}/24" in ask("ip -4 addr show")
        assert ask("dmesg | grep -c 'I/O error' || true") == "0"
        assert ask("systemctl is-system-running --wait") == "running"
        wait_until("the node phoning home", lambda: server.reported_up(node), 300)
        assert ask("echo kept >/root/kept; sync; cat /root/kept") == "kept"
    wire = capture.summary(machine.power_on_epoch)
    first = wire.logins("firmware")[0]
    assert first.keys["InitiatorName"] == node.initiator and "InitiatorAlias" not in first.keys
    assert {key: first.keys.get(key) for key in TRAITS} == TRAITS
    assert wire.logins("linux")
    assert wire.tftp == [] and [fetch.name for fetch in wire.http if fetch.name.startswith("GET")] == []
    assert server.json("status")["counters"]["iscsi"]["violations"] == 0
