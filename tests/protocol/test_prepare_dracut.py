"""`nodisk prepare` and its doctor, on trees that look like a system whose initramfs is dracut's."""

import os
import subprocess
from pathlib import Path

import pytest
from preparelab import KERNEL, UUID, DracutTree

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files of a system are root's")

SOURCE = Path(__file__).resolve().parents[2] / "data/prepare"
MODULE = "usr/lib/dracut/modules.d/91nodisk"
INITRAMFS = f"boot/initrd.img-{KERNEL}"
CONF = "etc/dracut.conf.d/90-nodisk.conf"


@pytest.fixture
def plain(tmp_path: Path) -> DracutTree:
    return DracutTree(tmp_path / "root")


@pytest.fixture
def tree(plain: DracutTree) -> DracutTree:
    """Prepared, with a good initramfs."""
    plain.prepare()
    plain.make_initramfs()
    return plain


def test_a_prepared_tree_has_the_module(plain: DracutTree) -> None:
    said = plain.prepare()
    assert f"left to you: dracut --force /{INITRAMFS} {KERNEL} (" in said
    source = SOURCE / "dracut/initramfs"
    files = [path for path in source.rglob("*") if path.is_file()]
    assert len(files) >= 5
    for path in files:
        assert plain.path(str(path.relative_to(source))).read_bytes() == path.read_bytes()
    assert plain.path(f"{MODULE}/module-setup.sh").stat().st_mode & 0o777 == 0o755
    assert not plain.path("etc/initramfs-tools/hooks").exists()
    assert os.readlink(plain.path("etc/systemd/system/dracut-shutdown.service")) == "/dev/null"


def test_both_kinds_have_the_same_script(plain: DracutTree) -> None:
    plain.prepare()
    script = SOURCE / "debian/initramfs/etc/initramfs-tools/scripts/local-top/nodisk"
    assert plain.path(f"{MODULE}/nodisk-boot").read_bytes() == script.read_bytes()
    assert plain.path(f"{MODULE}/nodisk-boot").stat().st_mode & 0o777 == 0o755


def test_a_second_run_changes_nothing_and_undo_gives_all_back(plain: DracutTree) -> None:
    before = plain.snapshot()
    plain.prepare()
    plain.run("--undo", "--no-commands")
    assert plain.snapshot() == before
    plain.prepare()
    plain.make_initramfs()
    prepared = plain.snapshot()
    assert plain.run() == "nothing to do: it is prepared\n"
    assert plain.snapshot() == prepared


def test_each_step_is_told_once(plain: DracutTree) -> None:
    told = [line.split()[0] for line in plain.prepare().splitlines()]
    assert told.count("initramfs") == 1 and "shutdown" in told and "resume" not in told


def test_packages_of_dracut(plain: DracutTree) -> None:
    plain.put("var/lib/dpkg/status", "")
    said = plain.run("--dry-run", "--root-uuid", UUID)
    assert "--no-install-recommends dracut open-iscsi zstd libnss-myhostname (" in said


def test_a_command_that_fails_is_told(plain: DracutTree) -> None:
    """The tree has no shell to run it."""
    assert "dracut failed in" in plain.run("--root-uuid", UUID, code=1)


# --- the doctor

@pytest.mark.parametrize("packer", ["gzip", "xz", "zstd"])
def test_nothing_is_found_in_a_prepared_tree(tree: DracutTree, packer: str) -> None:
    tree.make_initramfs(packer=packer)
    assert tree.run("--check") == "nothing found\n"


def put(name: str, text: str = "x"):
    return lambda tree: tree.put(name, text)


def without(name: str):
    return lambda tree: tree.make_initramfs(without=name)


FAULTS = [
    ("no-initramfs", "error", lambda tree: tree.path(INITRAMFS).unlink()),
    ("initramfs-damaged", "error", put(INITRAMFS)),
    ("initramfs-no-script", "error", without("sbin/nodisk-boot")),
    ("initramfs-no-script", "error", without("hooks/initqueue")),
    ("initramfs-no-login-program", "error", without("sbin/iscsid")),
    ("initramfs-iscsi-ibft", "error", without("iscsi_ibft")),
    ("initramfs-file-system", "error", without("ext4")),
    ("initramfs-stale", "warning", put(f"{MODULE}/nodisk-boot", "#!/bin/sh\n")),
    ("dracut-conf", "error", lambda tree: tree.path(CONF).unlink()),
    ("dracut-conf", "error", put("etc/dracut.conf.d/95-own.conf", 'omit_dracutmodules+=" lvm nodisk "\n')),
    ("dracut-conf", "warning", put("etc/dracut.conf.d/95-own.conf", 'hostonly="yes"\n')),
    ("dracut-conf", "warning", put("etc/dracut.conf.d/95-own.conf", 'omit_dracutmodules=" iscsi "\n')),
    ("dracut-conf", "warning", put("usr/lib/dracut/dracut.conf.d/95-vendor.conf", 'hostonly="yes"\n')),
    ("dracut-conf", "warning", put("etc/dracut.conf.d/10-own.conf", 'add_dracutmodules+=" lvm network-legacy "\n')),
    ("dracut-conf", "error", put("etc/dracut.conf.d/10-own.conf", 'force_add_dracutmodules+=" systemd-networkd"\n')),
    ("dracut-conf", "error", put("etc/dracut.conf", 'force_add_dracutmodules=" iscsi "\n')),
    ("dracut-shutdown", "warning", lambda tree: tree.path("etc/systemd/system/dracut-shutdown.service").unlink()),
]


@pytest.mark.parametrize(("name", "severity", "plant"), FAULTS,
                         ids=[f"{number}-{fault[0]}" for number, fault in enumerate(FAULTS)])
def test_a_planted_fault_is_found(tree: DracutTree, name: str, severity: str, plant) -> None:
    plant(tree)
    found = tree.findings()
    assert set(found) == {name}
    assert found[name]["severity"] == severity
    if "initramfs-stale" in found:
        assert found[name]["fix"] == "dracut --force --regenerate-all"


def test_what_dracut_does_not_mind_is_not_told(tree: DracutTree) -> None:
    """Neither what ours does not leave out, nor what is read before ours, nor what dracut does not read."""
    tree.put("etc/dracut.conf", 'add_dracutmodules+=" lvm "\nhostonly="yes"\n')
    tree.put("etc/dracut.conf.d/10-own.conf", 'omit_dracutmodules=" plymouth "\nhostonly="yes"\n')
    tree.put("etc/dracut.conf.d/95-own.conf", 'omit_dracutmodules+=" plymouth "\nforce_add_dracutmodules+=" lvm "\n')
    tree.put("etc/dracut.conf.d/11-ifcfg.conf", 'add_dracutmodules+=" ifcfg "\n')  # as Debian 12 has it
    tree.put("usr/lib/dracut/dracut.conf.d/01-dist.conf", 'hostonly="yes"\n')  # as Fedora has it
    tree.put("usr/lib/dracut/dracut.conf.d/95-own.conf", 'omit_dracutmodules=" nodisk "\n')  # /etc has it, too
    tree.put("etc/dracut.conf.d/95-own.conf.dpkg-old", 'force_add_dracutmodules+=" iscsi "\n')
    assert tree.run("--check") == "nothing found\n"


def test_a_list_that_is_set_anew_is_what_counts(tree: DracutTree) -> None:
    """What it does not leave out any more is not left out, and what it does is."""
    tree.put("etc/dracut.conf.d/10-own.conf", 'add_dracutmodules+=" network network-legacy "\n')
    tree.put("etc/dracut.conf.d/95-own.conf", 'omit_dracutmodules=" network-manager "\n')
    assert [line.split()[0] for line in tree.run("--check").splitlines()].count("warning:") == 1
    tree.put("etc/dracut.conf.d/96-own.conf", 'omit_dracutmodules+=" network-legacy "\n')
    assert "/etc/dracut.conf.d/10-own.conf asks for network-legacy, which is left out" in tree.run("--check")


# --- the module itself

def test_the_hooks_run_the_script_once(tmp_path: Path) -> None:
    """As dracut sources them, in one shell."""
    text = (SOURCE / "dracut/initramfs" / MODULE / "nodisk-settled.sh").read_text()
    finished = (SOURCE / "dracut/initramfs" / MODULE / "nodisk-finished.sh").read_text()
    script = tmp_path / "nodisk-boot"
    script.write_text(f'#!/bin/sh\necho "ran with $ROOT" >>{tmp_path}/log\n')
    script.chmod(0o755)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name, hook in (("settled", text), ("finished", finished)):
        (hooks / name).write_text(hook.replace("/tmp/", f"{tmp_path}/").replace("/sbin/nodisk-boot", str(script)))
    commands = (f'getarg() {{ [ "$1" = root= ] && echo UUID=7; }}; (. {hooks}/finished) && echo early; '
                f". {hooks}/settled; . {hooks}/settled; (. {hooks}/finished) && echo finished")
    said = subprocess.run(["sh", "-c", commands], capture_output=True, text=True, check=True).stdout
    assert said == "finished\n"
    assert (tmp_path / "log").read_text() == "ran with UUID=7\n"
