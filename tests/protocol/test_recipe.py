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
    head = SCRIPT.read_text().split("\nmodprobe -q iscsi_ibft\n")[0].replace("/run/", f"{tmp_path}/run/")
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


def test_a_bridge_lets_the_vlan_through_that_is_above_it(tmp_path: Path) -> None:
    """Also once the system has made it aware of VLANs."""
    programs = {"modprobe": "", "ip": "", "bridge": f'echo "$*" >>{tmp_path}/log'}
    (tmp_path / "vlan").write_text("20\n")
    said = functions(tmp_path, programs, f"nic={tmp_path} vlans= wanted=1 BRIDGE=vmbr0 below=' {CARD} bond0'\n"
                                         "card=vmbr0; enter_vlan; echo $card; card=ens9; enter_vlan")
    assert said == "ibft-vlan\n"
    assert (tmp_path / "log").read_text() == "vlan add vid 20 dev vmbr0 self\nvlan add vid 20 dev bond0\n"


def test_a_bridge_that_cannot_be_told_of_the_vlan_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "vlan").write_text("20\n")
    said = functions(tmp_path, {"modprobe": "", "ip": "", "bridge": "echo no >&2; exit 1"},
                     f"nic={tmp_path} vlans= wanted=1 BRIDGE=vmbr0 card=vmbr0 below=' enboot'; enter_vlan; echo $card")
    assert said == ("said: cannot tell the bridge vmbr0 of VLAN 20: no: the disk is lost if it is made aware of VLANs\n"
                    "ibft-vlan\n")


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


# Writes down what it is asked, and makes of an interface what is asked of it.
LOGGED = 'echo "{} $*" >>{}/log'


def networks(tmp_path: Path, settings: str, commands: str) -> list[str]:
    """What is run of ip and modprobe for the first path's card."""
    programs = {name: LOGGED.format(name, tmp_path) for name in ("ip", "modprobe", "udevadm")}
    functions(tmp_path, programs, "has_carrier() { true; }; suffix= vlans= wanted=1 mac=52:54:00:00:00:07\n"
                                  f"nic={tmp_path}; BRIDGE= BOND= BOND_CARDS=; {settings}; {commands}")
    return (tmp_path / "log").read_text().splitlines()


def test_a_bridge_is_made_of_the_boot_card(tmp_path: Path) -> None:
    """It has the card's MAC before it is switched on, and what is below it is told."""
    ran = networks(tmp_path, "BRIDGE=vmbr0 card=enboot parent=enboot", """
        enter_networks 2>/dev/null
        echo "$card,$below" >>"$nic/log"; write_below >>"$nic/log"; write_network >>"$nic/log" """)
    assert ran[:6] == ["modprobe bridge", "ip link add name vmbr0 type bridge",
                       "ip link set vmbr0 address 52:54:00:00:00:07", "ip link set enboot master vmbr0",
                       "ip link set vmbr0 up", "vmbr0, enboot"]
    assert ran.index("Name=enboot") < ran.index("Unmanaged=yes") < ran.index("Name=vmbr0")
    assert "KeepConfiguration=yes" in ran


def test_a_further_path_has_no_bridge(tmp_path: Path) -> None:
    assert networks(tmp_path, "BRIDGE=vmbr0 suffix=-1 card=eth1", 'enter_networks; echo "$card" >>"$nic/log"') == ["eth1"]


def test_ifupdown_is_told_each_name_of_each_card(tmp_path: Path) -> None:
    """It may know those that have joined the boot card in a bond by another name than they have, too."""
    udevadm = """case $5 in
        */enboot) printf '%s\\n' ID_NET_NAME=enboot ID_NET_NAME_SLOT=ens8 ID_NET_NAME_PATH=enp0s8 ;;
        */ens9) printf '%s\\n' ID_NET_NAME_MAC=enx525400000009 ID_NET_NAME_SLOT=ens9 ID_NET_NAME_PATH=enp0s9 ;;
        esac"""
    functions(tmp_path, {"udevadm": udevadm}, "parent=enboot card=bond0 below=' enboot ens9' mac=m suffix=\n"
                                              "keep_others_away")
    names = {path.name for path in (tmp_path / "run/nodisk/boot-card").iterdir()}
    assert names == {"bond0", "enboot", "ens8", "enp0s8", "ens9", "enp0s9", "enx525400000009"}
    excluded = (tmp_path / "run/nodisk/networking").read_text().split('"')[1]
    assert set(excluded.split()) == names
    assert "interface-name:=ens9" in (tmp_path / "run/NetworkManager/conf.d/99-nodisk.conf").read_text()


def test_a_bridge_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    said = functions(tmp_path, {"ip": "echo no such kind >&2; exit 2", "modprobe": ""},
                     "BRIDGE=br0 BOND= suffix= card=enboot; enter_networks; echo $card")
    assert said == "said: cannot make the bridge br0: no such kind: going on without\nenboot\n"


def test_the_daemon_has_a_place_for_what_it_knows(tmp_path: Path) -> None:
    """Without it, iscsiadm of Debian 13 logs in to nothing."""
    programs = {name: f'echo "{name} $*" >>{tmp_path}/log' for name in ("mkdir", "mount", "cp", "mknod", "chroot")}
    programs["chroot"] += f'; echo "in $PATH" >>{tmp_path}/log'
    functions(tmp_path, {**programs, "unshare": 'shift; exec "$@"'}, "start_iscsid")
    ran = (tmp_path / "log").read_text().splitlines()
    root = f"{tmp_path}/run/nodisk/iscsid"
    assert ran.index(f"mkdir -p /var/lib/iscsi {root}/var/lib/iscsi") < ran.index(f"chroot {root} @iscsid")
    assert ran[-1].startswith("in ") and ran[-1].endswith(":/sbin"), "where it is in there, also if /sbin is not in PATH"


@pytest.mark.parametrize(("cards", "name", "bonded"), [
    ("ens4", "ens4", True), ("ens4", "ens40", False), ("ens5 eno*", "eno12", True), ("*", "x", True), ("", "x", False),
])
def test_cards_that_join_a_bond(tmp_path: Path, cards: str, name: str, bonded: bool) -> None:
    said = functions(tmp_path, {}, f"BOND_CARDS='{cards}'; is_bonded {name} && echo yes || echo no")
    assert said == ("yes\n" if bonded else "no\n")
