"""What `nodisk loaders list` says of the files in the loaders directory."""

import os
import shutil
from pathlib import Path

import pytest

IPXE = Path("/usr/lib/ipxe")
VERSION = "1.0.0+git-20190125.36a4c85"  # of Debian 12
SUBNET = """[subnet lab]
interface = br0
network = 10.0.0.0/24
range = 10.0.0.100-10.0.0.199
"""

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="makes network namespaces"),
    pytest.mark.skipif(not (IPXE / "snponly.efi").exists(), reason="Debian's package ipxe is not installed")]


def listed(daemon) -> dict:
    return {(entry["subnet"], entry["key"].removeprefix("loader-")): entry
            for entry in daemon.get("/v1/loaders").json["loaders"]}


def test_debians_loaders_and_what_they_can_do(lab):
    daemon = lab.daemon(SUBNET)
    answer = daemon.get("/v1/loaders").json
    assert answer["directory"] == str(IPXE) and len(answer["loaders"]) == 9
    loaders = listed(daemon)
    bios, x64, arm64 = (loaders["lab", key] for key in ("bios", "uefi-x64", "uefi-arm64"))
    assert (bios["file"], bios["state"], bios["advice"]) == ("undionly.kpxe", "ready", None)
    assert bios["size"] == (IPXE / "undionly.kpxe").stat().st_size
    assert bios["ipxe"] is True and bios["version"] is bios["features"] is bios["missing"] is None
    assert (x64["file"], x64["state"], x64["advice"]) == ("snponly.efi", "ready", None)
    assert x64["machine"] == "x86-64 UEFI" and x64["version"].startswith(VERSION)
    assert {"HTTP", "iSCSI", "menu", "DNS", "IPv6"} <= set(x64["features"])
    assert {"HTTPS", "VLAN", "imgverify", "console"} <= set(x64["missing"])
    assert not set(x64["features"]) & set(x64["missing"])
    assert arm64["file"] is arm64["size"] is arm64["ipxe"] is arm64["features"] is None and arm64["state"] == "none"

    text = daemon.ok("loaders", "list")
    rows = {line.split()[1]: line.split() for line in text.splitlines()[1:10]}
    assert rows["loader-bios"][2] == "undionly.kpxe" and rows["loader-bios"][-3:] == ["ready", "unknown", "unknown"]
    assert x64["version"] in rows["loader-uefi-x64"] and "iSCSI" in rows["loader-uefi-x64"]
    assert rows["loader-uefi-arm64"] == ["lab", "loader-uefi-arm64", "-", "-", "none", "-", "-"]
    assert text.endswith("\nin /usr/lib/ipxe\n")  # and no advice


def test_each_kind_of_damage_is_told_with_what_to_do(lab, tmp_path):
    good = (IPXE / "snponly.efi").read_bytes()
    shutil.copytree(IPXE, tmp_path / "loaders", symlinks=True)
    files = {"cut.efi": good[:-1000], "text.efi": b"no loader at all\n", "empty.efi": b"",
             "whole.efi": good, "lacking.efi": good.replace(b"\0iSCSI\0", b"\0xSCSI\0"), "other.kpxe": b"\xeb" * 9000,
             "grub.efi": good.replace(b"iPXE", b"GRUB")}
    for name, data in files.items():
        (tmp_path / "loaders" / name).write_bytes(data)
    daemon = lab.daemon(
        SUBNET + "loader-uefi-x64 = cut.efi\nloader-uefi-ia32 = text.efi\nloader-uefi-arm64 = whole.efi\n"
        "loader-uefi-arm32 = none.efi\nloader-uefi-riscv64 = empty.efi\nloader-uefi-riscv32 = ipxe.efi\n"
        "loader-uefi-loongarch64 = qemu\nloader-uefi-loongarch32 = undionly.kpxe\n"
        "[subnet more]\ninterface = br0\nnetwork = 10.9.0.0/24\nmode = off\nloader-bios = whole.efi\n"
        "loader-uefi-x64 = lacking.efi\n"
        "[subnet most]\ninterface = br0\nnetwork = 10.8.0.0/24\nmode = off\nloader-bios = other.kpxe\n"
        "loader-uefi-x64 = grub.efi\n", loaders=str(tmp_path / "loaders"))
    loaders = listed(daemon)
    expected = {
        ("lab", "bios"): ("ready", None),
        ("lab", "uefi-x64"): ("truncated", f"it has {len(good) - 1000} bytes of {len(good)} or more: copy it there anew"),
        ("lab", "uefi-ia32"): ("wrong", "it is no program for UEFI: name one for IA32 UEFI"),
        ("lab", "uefi-arm64"): ("wrong", "it is a program for UEFI of another processor: name one for ARM64 UEFI"),
        ("lab", "uefi-arm32"): ("missing", "No such file or directory; put the file into the loaders directory"),
        ("lab", "uefi-riscv64"): ("truncated", "it has 0 bytes of 1 or more"),
        ("lab", "uefi-riscv32"): ("unreadable", "Invalid cross-device link; it is a link that leads out"),
        ("lab", "uefi-loongarch64"): ("unreadable", "Is a directory; "),
        ("lab", "uefi-loongarch32"): ("wrong", "it is a program for BIOS"),
        ("more", "bios"): ("wrong", "it is a program for UEFI: name one for BIOS"),
        ("more", "uefi-x64"): ("lacking", "this iPXE has no iSCSI, by which nodes reach their disks"),
        ("most", "bios"): ("unknown", "it does not show that it is iPXE"),
        ("most", "uefi-x64"): ("unknown", "it does not show that it is iPXE"),
    }
    assert len(loaders) == 27
    for key, entry in loaders.items():
        state, advice = expected.get(key, ("none", None))
        assert entry["state"] == state, key
        assert entry["advice"] is advice or entry["advice"].startswith(advice), key
    cut = loaders["lab", "uefi-x64"]
    assert "iSCSI" in cut["features"] and cut["missing"] == []  # the rest may have what is not here
    text = daemon.ok("loaders", "list")
    assert "\nloader-uefi-arm32 of lab, none.efi: No such file or directory; put" in text
    assert text.count(" of lab, ") == 8

    (tmp_path / "loaders" / "cut.efi").write_bytes(good)  # what was advised
    assert listed(daemon)["lab", "uefi-x64"]["state"] == "ready"


def test_the_script_for_one_server_over_https(lab):
    """Whatever DHCP says."""
    daemon = lab.daemon(SUBNET)
    for server in ("10.0.0.1", "boot.example:8443", "[2001:db8::1]:8443"):
        text = daemon.ok("loaders", "script", "--https", server)
        assert f"\nchain --timeout 30000 --replace https://{server}/boot.ipxe?mac=${{net${{nic}}/mac:hexhyp}} ||\n" in text
        assert "${filename}" not in text
    for wrong in ("", "a b", "https://a", "a/b", "${filename}", "-a", "a\nb"):
        assert "must be a name or an address" in daemon.usage("loaders", "script", f"--https={wrong}"), wrong


def test_the_script_for_a_tagged_network(lab):
    daemon = lab.daemon(SUBNET)
    plain, tagged = daemon.ok("loaders", "script"), daemon.ok("loaders", "script", "--vlan", "20")
    assert "vcreate" not in plain and "\ndhcp net${nic} || goto next\n" in plain
    create = "vcreate --tag 20 net${nic} || echo "
    [at] = [i for i, line in enumerate(tagged.splitlines()) if line.startswith(create)]
    assert tagged.splitlines()[at + 1] == "dhcp net${nic}-20 || goto next"
    others = [line for i, line in enumerate(tagged.splitlines()) if i not in (at, at + 1)]
    assert others == [line for line in plain.splitlines() if not line.startswith("dhcp ")]
    for wrong in ("0", "4095", "-1", "20x", ""):
        assert "must be a number from 1 to 4094" in daemon.usage("loaders", "script", f"--vlan={wrong}")
