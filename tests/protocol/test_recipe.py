"""What is in the golden image: the recipe's parts, and its initramfs script's, without a machine."""

import argparse
import os
import subprocess
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "data/prepare/debian/initramfs/etc/initramfs-tools/scripts/local-top/nodisk"
UUID = "11111111-2222-3333-4444-555555555555"


def recipe() -> ModuleType:
    """image/debian12/build, which has no name of a module."""
    loader = SourceFileLoader("recipe", str(ROOT / "image/debian12/build"))
    module = module_from_spec(spec_from_loader("recipe", loader))
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("stock", [True, False])
def test_a_stock_image_has_nothing_of_ours(tmp_path: Path, stock: bool) -> None:
    build, options = recipe(), argparse.Namespace(stock=stock)
    build.make_overlay(options, tmp_path / "files", UUID)
    ours = [path for path in (tmp_path / "files").rglob("*")
            if not path.is_dir() and ("nodisk" in str(path.relative_to(tmp_path)) or "multipath" in str(path))]
    packages = build.recipe_packages(options)
    assert "open-iscsi" in packages
    assert ("multipath-tools" in packages) is not stock
    assert bool(ours) is not stock, ours
    assert UUID in (tmp_path / "files/etc/fstab").read_text()
    assert (tmp_path / "files/etc/iscsi/iscsi.initramfs").exists() is stock


def functions(tmp_path: Path, programs: dict[str, str], commands: str) -> str:
    """Runs commands among the script's functions, with programs of the test's; what was said, and printed."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in programs.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    head = SCRIPT.read_text().split("\nmodprobe -q iscsi_ibft\n")[0]
    script = f'{head}\nsay() {{ echo "said: $*"; }}\n{commands}\n'
    return subprocess.run(["sh", "-c", script, "nodisk", ""], check=True, capture_output=True, text=True, timeout=60,
                          env={"PATH": f"{tools}:{os.environ['PATH']}"}).stdout


CARD = "enp0s31f6np0abc"  # as long as a name may be


def tagged(tmp_path: Path, ip: str, commands: str) -> str:
    (tmp_path / "vlan").write_text("4094\n")
    return functions(tmp_path, {"modprobe": "", "ip": ip},
                     f"nic={tmp_path} vlans= wanted=2 card={CARD}\n{commands}")


def test_a_vlan_of_a_card_with_a_long_name(tmp_path: Path) -> None:
    said = tagged(tmp_path, f'echo "$*" >>{tmp_path}/log',
                  f"enter_vlan; echo $card; card={CARD}; enter_vlan; echo $card; card=c; enter_vlan; echo $card")
    names = said.split()
    assert len(set(names)) == 3 and all(len(name) <= 15 for name in names), names
    assert f"link add link {CARD} name {names[0]} type vlan id 4094" in (tmp_path / "log").read_text()


def test_a_vlan_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    said = tagged(tmp_path, "echo RTNETLINK answers: no >&2; exit 2", "enter_vlan || echo $card")
    assert said == f"said: cannot make an interface for VLAN 4094 on {CARD}: RTNETLINK answers: no\n{CARD}\n"


@pytest.mark.parametrize(("root", "link", "tag"), [
    (f"UUID={UUID}", f"by-uuid/{UUID}", "UUID"),
    ("LABEL=root", "by-label/root", "LABEL"),
    ("PARTUUID=00000000-01", "by-partuuid/00000000-01", "PART_ENTRY_UUID"),
    ("PARTLABEL=the=root", "by-partlabel/the=root", "PART_ENTRY_NAME"),
])
@pytest.mark.parametrize("linked", [True, False])
def test_root_is_found_by_whatever_names_it(tmp_path: Path, root: str, link: str, tag: str, linked: bool) -> None:
    """By udev's link, or if that is of a local disk, by what is on the boot disk."""
    programs = {
        "readlink": f'[ "$2" = /dev/disk/{link} ] && echo {"/dev/sdy1" if linked else "/dev/sdz1"}',
        "blkid": f'[ "${{*% *}}" = "-p -o value -s {tag}" ] && echo "{root.partition("=")[2]}"',
    }
    commands = f'ROOT="{root}"; iscsi_disks() {{ echo sdy; }}; root_tag && root_device || echo nothing'
    # there is no /sys/block/sdy here, whose partitions would be looked at
    assert functions(tmp_path, programs, commands) == ("/dev/sdy1\n" if linked else "/dev/sdy*\n")


def test_a_root_that_is_named_by_its_device_is_not_looked_for(tmp_path: Path) -> None:
    assert functions(tmp_path, {}, "ROOT=/dev/sda1; root_tag || echo no") == "no\n"
