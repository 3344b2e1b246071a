"""`nodisk prepare` and its doctor on a Debian whose init is sysvinit."""

import os
from pathlib import Path

import pytest
from preparelab import Tree

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files of a system are root's")

HALT = "# Default behaviour of shutdown -h / halt.\nHALT=poweroff\n# yes or no\nNETDOWN=yes\n"
LINKS = {"rcS.d/S17nodisk": "../init.d/nodisk", "rc2.d/S05nodisk-up": "../init.d/nodisk-up"}


@pytest.fixture
def plain(tmp_path: Path) -> Tree:
    """With sysvinit in place of systemd, as its packages leave it."""
    tree = Tree(tmp_path / "root")
    tree.path("usr/lib/systemd/systemd").unlink()
    for runlevel in "S2":
        tree.path(f"etc/rc{runlevel}.d").mkdir()
    tree.put("usr/share/sysvinit/inittab", "id:2:initdefault:\n")
    tree.put("etc/init.d/rc", "#!/bin/sh\n", 0o755)
    tree.put("etc/default/halt", HALT)
    tree.put("var/lib/urandom/random-seed", "seed", 0o600)
    tree.put("usr/sbin/update-rc.d", "#!/bin/sh\n", 0o755)
    return tree


@pytest.fixture
def tree(plain: Tree) -> Tree:
    """Prepared, its scripts linked as update-rc.d does it, with a good initramfs."""
    plain.prepare()
    for name, target in LINKS.items():
        plain.path(f"etc/{name}").symlink_to(target)
    plain.make_initramfs()
    return plain


def test_scripts_in_place_of_units(plain: Tree) -> None:
    said = plain.prepare()
    for script in ("nodisk", "nodisk-up"):
        assert f"left to you: update-rc.d {script} defaults (init is to start it)" in said
        assert plain.path(f"etc/init.d/{script}").stat().st_mode & 0o777 == 0o755
    assert plain.path("etc/default/halt").read_text() == HALT.replace("NETDOWN=yes", "# NETDOWN=yes") + "NETDOWN=no\n"
    assert "iscsid.startup = /etc/init.d/iscsid start\n" in plain.path("etc/iscsi/iscsid.conf").read_text()
    assert plain.path("etc/network/if-pre-up.d/nodisk").stat().st_mode & 0o111
    assert not plain.path("var/lib/urandom/random-seed").exists()
    # what is for systemd is not there, but for what was
    assert [path for path in plain.path("etc/systemd").rglob("*nodisk*")] == []


def test_a_second_run_changes_nothing(tree: Tree) -> None:
    before = tree.snapshot()
    assert tree.run() == "nothing to do: it is prepared\n"
    assert tree.run("--check") == "nothing found\n"
    assert tree.snapshot() == before


def test_undo_gives_all_back(plain: Tree) -> None:
    before = plain.snapshot()
    plain.prepare()
    plain.run("--undo", "--no-commands")
    assert plain.snapshot() == before


def test_undo_has_init_forget_the_scripts(plain: Tree) -> None:
    """By the distribution's own command, which knows in what order the others are then."""
    for name in ("sh", "dash", "true"):
        plain.add_program(name)
    for name, target in LINKS.items():
        plain.path(f"etc/{name}").symlink_to(target)
    plain.put("usr/sbin/update-initramfs", "#!/bin/dash\n", 0o755)
    plain.put("usr/sbin/update-rc.d", "#!/bin/dash\necho \"$@\" >>/update-rc.d\n", 0o755)
    plain.prepare()
    plain.run("--undo")
    assert plain.path("update-rc.d").read_text() == "nodisk remove\nnodisk-up remove\n"


FAULTS = {
    "sysvinit-netdown": lambda tree: tree.change("etc/default/halt", "NETDOWN=no", "NETDOWN=yes"),
    "sysvinit-sendsigs": lambda tree: tree.path("etc/rcS.d/S17nodisk").unlink(),
    "sysvinit-lease": lambda tree: tree.path("etc/rc2.d/S05nodisk-up").unlink(),
    "sysvinit-iscsid": lambda tree: tree.path("etc/default/iscsid").unlink(),
    "ifupdown": lambda tree: tree.path("etc/network/if-pre-up.d/nodisk").unlink(),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_doctor_finds_what_was_planted(tree: Tree, name: str) -> None:
    """And `nodisk prepare` mends it."""
    FAULTS[name](tree)
    assert list(tree.findings()) == [name]
    tree.prepare()
    for link, target in LINKS.items():
        tree.path(f"etc/{link}").unlink(missing_ok=True)
        tree.path(f"etc/{link}").symlink_to(target)
    assert tree.run("--check") == "nothing found\n"


def test_neither_of_them(plain: Tree) -> None:
    plain.path("usr/share/sysvinit/inittab").unlink()
    assert "has neither systemd nor sysvinit-core" in plain.run("--dry-run", code=1)
    assert "no-systemd" in plain.findings()
