"""A machine that nobody knows: it says what it is, waits, is adopted, and goes on by itself."""

import pytest

from lab.nodisk import Nodisk
from lab.process import wait_until
from lab.qemu import Machine

MAC = "52:54:00:77:4e:31"
SERIAL = "S&N 1${ip}"
SMBIOS = ["-smbios", f"type=1,manufacturer=ACME & Co,product=R&D 640 \"x\",serial={SERIAL},"
          "uuid=4c4c4544-0058-4b10-8032-c7c04f4a3231"]


@pytest.mark.parametrize("firmware", ["bios", pytest.param("uefi", marks=pytest.mark.full)])
def test_it_waits_and_is_adopted(daemon: Nodisk, firmware: str) -> None:
    """All that its firmware knows of it arrives whole; then it needs nobody at its keyboard."""
    daemon.stop()
    daemon.config += "unknown = register\n"
    daemon.start()
    machine = Machine(daemon.namespace, "newcomer", MAC, firmware=firmware, memory=512, extra=SMBIOS)
    with machine:
        machine.console.expect(f"the machine {MAC} waits to become a node", 600)
        (found,) = daemon.json("node", "list", "--pending")["pending"]
        assert {key: found[key] for key in ("mac", "manufacturer", "product", "uuid", "card")} == {
            "mac": MAC, "manufacturer": "ACME & Co", "product": 'R&D 640 "x"',
            "uuid": "4c4c4544-0058-4b10-8032-c7c04f4a3231", "card": "virtio-net" if firmware == "bios" else "SNP"}
        assert found["serial"] == SERIAL and found["memory"] == 512 << 20
        assert found["firmware"] == ("pcbios" if firmware == "bios" else "efi") and found["architecture"]
        daemon.cli("node", "adopt", MAC, "fresh")
        machine.console.expect(r"this machine is fresh now; starting over", 600)
        machine.console.expect(r"nodisk: fresh: has nothing to boot", 600)
        wait_until("the boot to be known", lambda: daemon.stage("fresh") == "script", 300)
    assert daemon.json("node", "list", "--pending")["pending"] == []
