"""nodisk image check and nodisk image prepare, with stand-ins for libguestfs' programs: what they are asked for, what
becomes of what they say, and what is left. tests/boot/test_image_system.py has the real ones."""

import hashlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from daemon import NODISK, Daemon, make_image, wait_until

TOOL = """#!/bin/sh
printf '%s\\n' "$@" >>"$ASKED"
for file; do case $file in *.raw) disk=$file;; esac; done
echo "progress" >&2
{more}
"""

REPORT = {"findings": [{"severity": "error", "name": "x", "stage": "up", "what": "w", "fix": "f"}], "errors": 1}


@pytest.fixture
def daemon(tmp_path: Path):
    with Daemon(tmp_path / "d") as d:
        yield d


class Lab:
    """A daemon with an image, and programs of the test's own."""

    def __init__(self, daemon: Daemon, folder: Path) -> None:
        self.daemon, self.asked, self.cache = daemon, folder / "asked", folder / "cache"
        self.tools = folder / "libexec"
        self.tools.mkdir()
        self.environment = {**os.environ, "NODISK_LIBEXEC": str(self.tools), "NODISK_CACHE": str(self.cache),
                            "ASKED": str(self.asked), "NODISK_SOCKET": str(daemon.socket)}
        self.write()
        daemon.ok("image", "import", make_image(folder / "disk.raw"), "--name", "web", "--label", "role=web")
        self.file = Path(self.versions()[0]["path"])
        self.before = hashlib.sha256(self.file.read_bytes()).hexdigest()

    def write(self, more: str = "") -> None:
        for name, text in (("nodisk-image-system", TOOL.format(more=more)), ("nodisk-prepare", "")):
            (self.tools / name).write_text(text)
            (self.tools / name).chmod(0o755)

    def versions(self) -> list[dict]:
        return json.loads(self.daemon.ok("--json", "image", "show", "web"))["versions"]

    def start(self, *words: str) -> subprocess.Popen:
        return subprocess.Popen([NODISK, "image", *words], env=self.environment, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def run(self, *words: str) -> subprocess.CompletedProcess:
        process = self.start(*words)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def check_nothing_left(self, versions: int = 1) -> None:
        wait_until(lambda: not list(self.cache.glob("*")), "the cache to be empty")
        assert [image["version"] for image in self.versions()] == list(range(1, versions + 1))
        assert hashlib.sha256(self.file.read_bytes()).hexdigest() == self.before


@pytest.fixture
def lab(daemon: Daemon, tmp_path: Path) -> Lab:
    return Lab(daemon, tmp_path)


def test_a_check_looks_at_the_version_itself(lab: Lab) -> None:
    lab.write(f"echo '{json.dumps(REPORT)}'; exit 1")
    done = lab.run("check", "web", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (1, REPORT)
    assert "progress" in done.stderr
    asked = lab.asked.read_text().splitlines()
    assert asked[-3:] == [str(lab.file), "--check", "--json"]
    assert "--write" not in asked and "--network" not in asked
    lab.check_nothing_left()


def test_what_is_prepared_becomes_the_next_version(lab: Lab) -> None:
    lab.write('printf prepared | dd of="$disk" conv=notrunc status=none; echo "12 files changed"')
    done = lab.run("prepare", "web", "--bridge", "vmbr0", "--keep-swap", "--label", "by=me", "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert made["reference"] == "web@2" and "12 files changed" in done.stderr
    assert (made["labels"]["role"], made["labels"]["by"]) == ("web", "me") and made["labels"]["prepared"]
    asked = lab.asked.read_text().splitlines()
    assert asked[asked.index("--write"):][1] == "--network"
    assert asked[-4:] == ["--no-undo", "--bridge", "vmbr0", "--keep-swap"]
    new = Path(lab.versions()[1]["path"]).read_bytes()
    assert new[:8] == b"prepared" and new[8:] == lab.file.read_bytes()[8:]
    lab.check_nothing_left(versions=2)
    done = lab.run("prepare", "web@1", "--name", "other", "--no-network")
    assert done.stdout == "image other@1 is made, of web@1\n"
    assert "--network" not in lab.asked.read_text().splitlines()[len(asked):]


def test_a_dry_run_makes_nothing(lab: Lab) -> None:
    lab.write("echo '--- a/etc/fstab'")
    assert lab.run("prepare", "web", "--dry-run").stdout == "--- a/etc/fstab\n"
    asked = lab.asked.read_text().splitlines()
    assert asked[-2:] == [str(lab.file), "--dry-run"] and "--write" not in asked
    lab.check_nothing_left()


@pytest.mark.parametrize("verb", ["check", "prepare"])
def test_what_fails_leaves_nothing(lab: Lab, verb: str) -> None:
    lab.write("echo no system is found >&2; exit 1")
    done = lab.run(verb, "web")
    assert done.returncode == 1 and "no system is found" in done.stderr and not done.stdout
    lab.check_nothing_left()
    done = lab.run(verb, "other")
    assert done.returncode == 1 and "other" in done.stderr
    (lab.tools / "nodisk-prepare").unlink()
    done = lab.run(verb, "web")
    assert done.returncode == 1 and "built without libguestfs" in done.stderr
    lab.check_nothing_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("verb", ["check", "prepare"])
def test_killed_it_leaves_nothing(lab: Lab, verb: str, number: signal.Signals) -> None:
    lab.write('echo waits >>"$ASKED"; exec sleep 300')
    process = lab.start(verb, "web")
    wait_until(lambda: lab.asked.exists() and "waits" in lab.asked.read_text(), "the program")
    assert list(lab.cache.glob("build-*"))
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == (-number if number == signal.SIGKILL else 1)
    assert number == signal.SIGKILL or "nothing was left behind" in err
    lab.check_nothing_left()
