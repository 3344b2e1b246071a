"""nodisk image create, with a recipe of the test's own: what it is asked for, and what it leaves."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from daemon import NODISK, ROOT, Daemon, wait_until

SIZE = 4 << 20

RECIPE = """#!/bin/sh
printf '%s\\n' "$@" "password:$NODISK_ROOT_PASSWORD" "nodisk:$NODISK" >>"$ASKED"
echo "installing"
for file; do :; done
printf data >"$file"
truncate -s {size} "$file"
{more}
"""


@pytest.fixture
def daemon(tmp_path: Path):
    with Daemon(tmp_path / "d") as d:
        yield d


class Lab:
    """The daemon, with a recipe in place of Debian's."""

    def __init__(self, daemon: Daemon, folder: Path) -> None:
        self.daemon, self.asked, self.cache = daemon, folder / "asked", folder / "cache"
        self.recipe = folder / "data/image/debian12/build"
        self.recipe.parent.mkdir(parents=True)
        self.environment = {**os.environ, "NODISK_DATA": str(folder / "data"), "NODISK_CACHE": str(self.cache),
                            "ASKED": str(self.asked)}
        self.write()

    def write(self, more: str = "") -> None:
        self.recipe.write_text(RECIPE.format(size=SIZE, more=more))
        self.recipe.chmod(0o755)

    def start(self, *words: str) -> subprocess.Popen:
        return subprocess.Popen([NODISK, "--socket", self.daemon.socket, "image", "create", *words],
                                env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def create(self, *words: str) -> subprocess.CompletedProcess:
        process = self.start(*words)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def check_nothing_left(self) -> None:
        assert list(self.cache.glob("*")) == []
        assert self.daemon.get("/v1/images").json["images"] == []


@pytest.fixture
def lab(daemon: Daemon, tmp_path: Path) -> Lab:
    return Lab(daemon, tmp_path)


def test_what_is_made_becomes_an_image(lab: Lab) -> None:
    done = lab.create("debian13", "--name", "web", "--package", "vim", "--package", "lldpd,jq", "--size", "2G",
                      "--ssh-key", "a.pub", "--root-password", "secret", "--label", "role=web", "--json")
    assert done.returncode == 0, done.stderr
    image = json.loads(done.stdout)
    assert (image["reference"], image["size"]) == ("web@1", SIZE)
    assert image["labels"]["os"] == "debian13" and image["labels"]["role"] == "web" and image["labels"]["prepared"]
    assert "installing" in done.stderr
    asked = lab.asked.read_text().splitlines()
    assert asked[:-3] == ["--no-cache", "--suite", "trixie", "--package", "vim", "--package", "lldpd,jq",
                          "--size", "2G", "--ssh-key", "a.pub"]
    # no other user sees a password in the list of processes
    assert asked[-2:] == ["password:secret", f"nodisk:{os.path.realpath(NODISK)}"]
    assert list(lab.cache.glob("*")) == []
    assert lab.create("debian12", "--name", "web", "--label", "os=mine").stdout == "image web@2 is made\n"
    assert json.loads(lab.daemon.cli("image", "show", "web@2", "--json").stdout)["versions"][0]["labels"]["os"] == "mine"


def test_the_recipe_is_given_all_that_was_said(lab: Lab) -> None:
    packages = [word for i in range(60) for word in ("--package", f"package{i}")]
    assert lab.create("debian12", *packages).returncode == 0
    assert lab.asked.read_text().splitlines()[3:-3] == packages


@pytest.mark.parametrize("words", [["--root-password", "s3cret"], ["--root-password=s3cret"]])
def test_a_password_is_in_no_list_of_processes(lab: Lab, words: list[str]) -> None:
    """Not in that of the recipe, nor in our own, which takes minutes."""
    lab.write("tr '\\0' ' ' </proc/$PPID/cmdline >>\"$ASKED\"")
    done = lab.create("debian12", *words)
    assert done.returncode == 0, done.stderr
    asked = lab.asked.read_text()
    assert "password:s3cret" in asked and "image create debian12 --root-password" in asked
    assert asked.count("s3cret") == 1


def test_a_recipe_that_fails_leaves_nothing(lab: Lab) -> None:
    lab.write("echo no mirror answers >&2; exit 3")
    done = lab.create("debian12")
    assert done.returncode == 1
    assert "no mirror answers" in done.stderr and "build has failed; it says why above" in done.stderr
    lab.check_nothing_left()


def test_a_recipe_that_is_not_there_is_told(lab: Lab) -> None:
    lab.recipe.unlink()
    done = lab.create("debian12")
    assert done.returncode == 1 and "cannot be run" in done.stderr
    lab.check_nothing_left()


def test_a_system_that_nobody_knows_is_refused_before_anything_is_done(lab: Lab) -> None:
    done = lab.create("debian11")
    assert (done.returncode, "debian12 or debian13" in done.stderr) == (2, True)
    assert not lab.asked.exists()


def test_without_a_daemon_nothing_is_built(lab: Lab) -> None:
    lab.environment["NODISK_SOCKET"] = "/nowhere"
    done = subprocess.run([NODISK, "image", "create", "debian12"], env=lab.environment, capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 1 and "no daemon" in done.stderr
    assert not lab.asked.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_cleans_up(lab: Lab, number: signal.Signals) -> None:
    lab.write('trap \'echo told >>"$ASKED"; kill $!; exit 143\' TERM; echo waits >>"$ASKED"; sleep 300 >/dev/null 2>&1 & wait')
    process = lab.start("debian12")
    wait_until(lambda: lab.asked.exists() and "waits" in lab.asked.read_text(), "the recipe")
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "nothing was left behind" in err
    assert "told" in lab.asked.read_text()
    lab.check_nothing_left()


def test_killed_it_cleans_up(lab: Lab) -> None:
    lab.write('echo waits >>"$ASKED"; exec sleep 300')
    process = lab.start("debian12")
    wait_until(lambda: lab.asked.exists() and "waits" in lab.asked.read_text(), "the recipe")
    (held,) = lab.cache.glob("build-*")
    process.kill()
    process.communicate(timeout=60)
    wait_until(lambda: not held.exists(), "the directory to be removed")
    lab.check_nothing_left()


def test_what_a_power_cut_left_is_cleared_by_the_next_build(lab: Lab) -> None:
    lab.write('echo waits >>"$ASKED"; exec sleep 300')
    process = lab.start("debian12")
    wait_until(lambda: lab.asked.exists() and "waits" in lab.asked.read_text(), "the recipe")
    (held,) = lab.cache.glob("build-*")
    left = lab.cache / "build-left"
    left.mkdir()
    (left / "debian12.raw").write_text("half")
    subprocess.run(["python3", "-c", "import sys; from importlib.machinery import SourceFileLoader as L; "
                    "from pathlib import Path; L('b', sys.argv[1]).load_module().remove_leftovers(Path(sys.argv[2]))",
                    ROOT / "image/debian12/build", lab.cache], check=True, timeout=60,
                   env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    assert held.exists() and not left.exists()  # somebody works in the other
    process.terminate()
    process.communicate(timeout=60)
    lab.check_nothing_left()
