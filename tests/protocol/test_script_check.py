"""`nodisk script check`, on a tree of scripts as people have one."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from daemon import NODISK

TREE = Path(__file__).parent.parent / "lab" / "tree"
LOADER = Path("/usr/lib/ipxe/snponly.efi")

needs_loader = pytest.mark.skipif(not LOADER.exists(), reason="Debian's package ipxe is not installed")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TREE, tmp_path / "tree"))


def check(*words: object, code: int = 0) -> str:
    done = subprocess.run([NODISK, *map(str, words)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@needs_loader
def test_a_whole_tree_lacks_one_file(tree):
    answer = json.loads(check("--json", "script", "check", tree))
    assert (answer["scripts"], answer["errors"], answer["loaders"]) == (5, 0, ["snponly.efi"])
    (problem,) = answer["problems"]
    assert (problem["file"], problem["level"]) == ("menu.ipxe", "warning")
    assert problem["text"] == "there is no file memtest"
    (tree / "memtest").write_bytes(b"the program")
    assert json.loads(check("--json", "script", "check", tree))["problems"] == []
    assert "5 scripts of" in check("script", "check", tree) and "1 script of" in check(
        "script", "check", tree / "menu.ipxe")


@needs_loader
def test_mistakes_are_told_with_file_and_line(tree):
    (tree / "memtest.in").write_text("#!ipxe\nexit\n")
    (tree / "boot" / "hostname-a.ipxe").write_text("#!ipxe\n\nchian ${menu-url}\npoweroff\ngoto x\nchain gone ||\n")
    (tree / "boot" / "hostname-b.ipxe.in").write_text("#!ipxe\n{{#node}}\necho {{nod}}\n{{/node}}\n")
    (tree / "boot" / "hostname-c.ipxe.in").write_text("#!ipxe\n{{#node}}\npoweroff ||\n{{/node}}\necho {{mine}}\n")
    (tree / "variables").write_text("mine = 1\n")
    said = check("script", "check", tree, code=1)
    assert said.splitlines()[:-2] == [
        "boot/hostname-a.ipxe:3: error: iPXE has no command chian",
        "boot/hostname-a.ipxe:4: error: the loader snponly.efi has no command poweroff: use `exit`, or `reboot`",
        "boot/hostname-a.ipxe:5: error: there is no label :x",
        "boot/hostname-a.ipxe:6: warning: there is no file gone",
        "boot/hostname-b.ipxe.in: error: line 3: there is no variable nod",
        "boot/hostname-c.ipxe.in:3: warning: the loader snponly.efi has no command poweroff: use `exit`, or `reboot`"]
    assert said.splitlines()[-1].endswith("for snponly.efi: 4 errors, 2 warnings")
    (tree / "variables").write_text("mine = ${mac}\n")
    assert "variables: line 1: the value has characters" in check("script", "check", tree, code=1)


@needs_loader
def test_a_loader_that_does_not_tell_is_refused(tree):
    assert "name the .efi of the same build" in check(
        "script", "check", "--loader", LOADER.parent / "undionly.kpxe", tree, code=1)
    assert "does not show that it is iPXE" in check(
        "script", "check", "--loader", tree / "menu.ipxe", tree, code=1)
    assert "cannot open" in check("script", "check", tree / "nowhere", code=1)


def test_the_script_for_a_stick_is_right(tmp_path):
    """What nodisk itself prints has to pass, too, with whatever loader there is."""
    script = tmp_path / "stick.ipxe"
    script.write_text(check("loaders", "script"))
    assert ": 0 errors, 0 warnings" in check("script", "check", script)
