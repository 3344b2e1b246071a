"""The command line against the real daemon."""

import json
import os
import pty
import re
import signal
import subprocess
import time

import pytest
from daemon import NODISK, Daemon, make_image, wait_until

MAC = "52:54:00:00:00:01"
OTHER = "52:54:00:00:00:02"


@pytest.fixture
def daemon(tmp_path):
    with Daemon(tmp_path / "d") as d:
        yield d


@pytest.fixture
def image(daemon, tmp_path):
    path = make_image(tmp_path / "image.raw")
    daemon.ok("image", "import", path, "--name", "debian12")
    return path


def test_a_day_with_nodes(daemon, image):
    daemon.ok("group", "add", "rack1")
    assert daemon.ok("node", "add", "web1", "--mac", MAC, OTHER, "--image", "debian12",
                     "--group", "rack1") == "node web1 is registered\n"
    table = daemon.ok("node", "list").splitlines()
    assert table[0].split() == ["NODE", "MAC", "ADDRESS", "GROUP", "IMAGE", "VOLUME", "DISK"]
    assert table[1].split() == ["web1", MAC, OTHER, "pool", "rack1", "debian12@1", "web1", "ready"]
    shown = daemon.ok("node", "show", "web1")
    assert re.search(r"^initiator: +iqn.2026-11.lan.example:web1$", shown, re.M)
    daemon.ok("node", "set", "web1", "--address", "192.0.2.9", "--group", "none")
    assert json.loads(daemon.ok("node", "show", "web1", "--json"))["address"] == "192.0.2.9"
    daemon.ok("node", "set", "web1", "--address", "none")
    assert "never booted" in daemon.ok("status")
    assert daemon.ok("node", "remove", "web1") == "node web1 is removed\n"
    assert "web1" in daemon.ok("volume", "list")  # its volume stays
    daemon.ok("node", "add", "web1", "--mac", MAC, "--volume", "web1")
    assert "and its volume are removed" in daemon.ok("node", "remove", "web1", "--with-volume")
    assert "no volumes yet" in daemon.ok("volume", "list")


def test_a_day_with_volumes(daemon, image, tmp_path):
    text = daemon.ok("volume", "create", "a", "--size", "10G", "--allow", "any")
    assert text == "volume a is ready: iqn.2026-11.lan.example:a\n"
    daemon.ok("volume", "create", "b", "--image", "debian12@1", "--allow",
              "iqn.2026-11.lan.example:x,iqn.2026-11.lan.example:y", "--block-size", "4096", "--thick", "--removable")
    own = make_image(tmp_path / "own.raw")
    done = subprocess.run([NODISK, "volume", "create", "c", "--file", "own.raw", "--read-only"],
                          cwd=tmp_path, env={**os.environ, "NODISK_SOCKET": str(daemon.socket)})
    assert done.returncode == 0  # a relative path means what it says
    rows = {line.split()[0]: line for line in daemon.ok("volume", "list").splitlines()[1:]}
    assert "10 GiB" in rows["a"] and "debian12@1" in rows["b"] and sorted(rows) == ["a", "b", "c"]
    b = json.loads(daemon.ok("--json", "volume", "show", "b"))
    assert b["block_size"] == 4096 and len(b["allow"]) == 2 and b["thick"] and b["used"] == b["size"]
    assert "thick" in daemon.ok("volume", "show", "b") and "thin" in daemon.ok("volume", "show", "a")
    assert "removable" in daemon.ok("volume", "show", "b") and "fixed" in daemon.ok("volume", "show", "a")
    c = json.loads(daemon.ok("--json", "volume", "show", "c"))
    assert c["path"] == str(own) and c["read_only"]
    assert "made from it: b" in daemon.ok("image", "show", "debian12")
    for name in "abc":
        daemon.ok("volume", "remove", name)
    assert own.exists()
    daemon.ok("image", "remove", "debian12@1")
    assert "no images yet" in daemon.ok("image", "list")


@pytest.mark.parametrize("words, says", [
    (["node", "show", "nope"], "there is no node 'nope'; see: nodisk node list"),
    (["node", "show", "a/../b"], "there is no node 'a/../b'"),
    (["node", "show", "ä %x"], "there is no node"),
    (["node", "remove", "nope"], "there is no node 'nope'"),
    (["node", "add", "x", "--mac", MAC, "--image", "nope"], "import it first"),
    (["volume", "create", "x", "--file", "/nowhere"], "/nowhere cannot be opened: No such file"),
    (["volume", "create", "x", "--device", "/dev/null"], "is not a block device"),
    (["volume", "create", "x", "--nbd", "http://10.0.0.5/"], "is not the URI of an NBD export"),
    (["volume", "create", "x", "--nbd", "nbd://a:b@10.0.0.5/"], "has no password"),
    (["volume", "create", "x", "--size", "1000"], "must be a multiple of 512"),
    (["volume", "create", "x", "--size", "1M", "--allow", "IQN.X"], "not an initiator's name"),
    (["volume", "create", "x", "--size", "1000T", "--thick"], "free some and try again"),
    (["image", "import", "/nowhere", "--name", "x"], "/nowhere cannot be opened"),
    (["image", "import", "/etc/passwd", "--name", "x"], "not a multiple of the block size 512"),
    (["group", "remove", "nope"], "there is no group 'nope'"),
])
def test_refusals_say_what_to_do(daemon, words, says):
    assert says in daemon.refused(*words)
    assert json.loads(daemon.ok("--json", "status"))["counts"] == {
        "nodes": 0, "images": 0, "volumes": 0}


@pytest.mark.parametrize("words, says", [
    ([], "usage: nodisk"),
    (["nodes"], "did you mean 'node'?"),
    (["node", "lst"], "did you mean 'node list'?"),
    (["node"], "say what to do with 'node'"),
    (["node", "add"], "NAME is missing"),
    (["node", "add", "x"], "--mac"),
    (["node", "add", "x", "--mac", "zz"], "'zz' is not a machine's address such as 52:54"),
    (["node", "add", "x", "--mac", MAC, "--address", "10.0.0"], "'10.0.0' is not an IPv4 address"),
    (["node", "add", "x", "--mca", MAC], "did you mean --mac?"),
    (["node", "set", "x"], "say what to change"),
    (["volume", "create", "x"], "exactly one of --size, --image, --file, --device, --nbd and --iscsi"),
    (["volume", "create", "x", "--size", "1G", "--file", "y"], "exactly one of"),
    (["volume", "create", "x", "--size", "huge"], "is not a size such as 10G"),
    (["volume", "create", "x", "--size", "1G", "--block-size", "1k"], "must be 512 or 4096"),
    (["image", "import", "x"], "--name"),
    (["serve", "--colour"], "usage: nodisk serve"),
])
def test_wrong_usage_has_status_2(daemon, words, says):
    assert says in daemon.usage(*words)


@pytest.mark.parametrize("words", [
    ["--help"], ["-h"], ["node", "--help"], ["node", "add", "--help"], ["image", "import", "-h"],
    ["volume", "create", "--help"], ["status", "--help"], ["watch", "--help"], ["serve", "--help"],
    ["loaders", "--help"]])
def test_help_at_every_level_needs_no_daemon(tmp_path, words):
    done = subprocess.run([NODISK, *words], capture_output=True, text=True, check=True,
                          env={**os.environ, "NODISK_SOCKET": str(tmp_path / "none")})
    assert done.stdout.startswith("usage: nodisk") and done.stderr == ""


def test_the_script_for_loaders_needs_no_daemon():
    shown = subprocess.run([NODISK, "loaders", "script"], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("#!ipxe\n") and "chain --timeout 30000 --replace ${filename} ||\n" in shown
    program = subprocess.run([NODISK, "--json", "loaders", "script"], capture_output=True, text=True, check=True)
    assert json.loads(program.stdout) == {"script": shown}


def test_no_daemon_is_told_with_what_to_do(tmp_path):
    for words in (["status"], ["watch"], ["node", "list"]):
        done = subprocess.run([NODISK, "--socket", tmp_path / "none", *words], capture_output=True,
                              text=True)
        assert done.returncode == 1 and "systemctl start nodisk" in done.stderr


def test_json_is_json_everywhere(daemon, image):
    daemon.ok("node", "add", "web1", "--mac", MAC, "--image", "debian12")
    for words in (["status"], ["node", "list"], ["node", "show", "web1"], ["image", "list"],
                  ["image", "show", "debian12"], ["volume", "list"], ["volume", "show", "web1"],
                  ["group", "list"], ["lease", "list"],
                  ["volume", "create", "x", "--size", "1M"], ["volume", "remove", "x"],
                  ["node", "set", "web1", "--mac", OTHER], ["node", "remove", "web1"]):
        assert isinstance(json.loads(daemon.ok("--json", *words)), dict)


def test_progress_without_a_terminal_is_lines_on_stderr(daemon, tmp_path):
    image = make_image(tmp_path / "image", data=4 << 20)
    done = daemon.cli("image", "import", image, "--name", "x")
    assert done.stdout == "image x@1 is imported\n" and "\r" not in done.stderr
    assert "\033" not in done.stdout + done.stderr


def on_terminal(daemon, *words, until, send=None, seconds=60):
    """Runs a command on a terminal; returns what it shows, up to `until`, and its exit status."""
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(NODISK_SOCKET=str(daemon.socket), TERM="xterm")
        os.execv(NODISK, [NODISK, *words])
    shown, deadline = b"", time.monotonic() + seconds
    while until not in shown and time.monotonic() < deadline:
        try:
            shown += os.read(fd, 4096)
        except OSError:
            break
    if send:
        os.kill(pid, send)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(fd)
    assert until in shown, shown
    return shown, status


def test_a_terminal_gets_colours_and_a_live_table(daemon, image):
    daemon.ok("node", "add", "web1", "--mac", MAC, "--image", "debian12")
    shown, status = on_terminal(daemon, "node", "list", until=b"ready")
    assert b"\033[1mNODE\033[0m" in shown and b"\033[32mready\033[0m" in shown and status == 0
    shown, status = on_terminal(daemon, "watch", until=b"Ctrl-C ends", send=signal.SIGINT)
    assert b"\033[H\033[J" in shown and b"never booted" in shown and status == 0


def test_watch_in_a_pipe_is_lines_and_ends_with_the_daemon(daemon):
    daemon.ok("node", "add", "web1", "--mac", MAC)
    plain, lines = (subprocess.Popen([NODISK, "--socket", daemon.socket, *words],
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                    for words in (["watch"], ["watch", "--json"]))
    assert plain.stdout.readline().endswith("web1: never booted\n")
    assert json.loads(lines.stdout.readline())["event"] == "snapshot"
    daemon.stop()
    assert plain.wait(60) == 1 and "the daemon has stopped" in plain.stderr.read()
    assert lines.wait(60) == 1


def test_ctrl_c_undoes_an_import(daemon, tmp_path):
    large = tmp_path / "large"
    with large.open("wb") as file:
        for _ in range(300):
            file.write(os.urandom(1 << 20))
    cli = subprocess.Popen([NODISK, "--socket", daemon.socket, "image", "import", large,
                            "--name", "large"], stderr=subprocess.PIPE, text=True)
    wait_until(lambda: cli.poll() is not None or list(daemon.state.rglob("*.tmp")), "the copy")
    cli.send_signal(signal.SIGINT)
    status = cli.wait(60)
    text = cli.stderr.read()
    if status == 0:
        pytest.skip("this disk copied 300 MiB before it could be interrupted")
    assert status == 1 and "interrupted: the daemon undoes what was not finished" in text
    wait_until(lambda: not list(daemon.state.rglob("*.tmp")), "the import to be undone")
    if not list(daemon.state.rglob("*.raw")):  # else it was finished in that very moment
        assert "no images yet" in daemon.ok("image", "list")


def test_a_full_pipe_is_told(daemon):
    daemon.ok("node", "add", "web1", "--mac", MAC)
    with open("/dev/full", "w") as full:
        done = subprocess.run([NODISK, "--socket", daemon.socket, "node", "list"], stdout=full,
                              stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "could not be written" in done.stderr


def test_the_example_configuration_is_good():
    example = os.path.join(os.path.dirname(__file__), "../../data/nodisk.conf")
    done = subprocess.run([NODISK, "serve", "--check", "--config", example], capture_output=True,
                          text=True)
    assert done.returncode == 0 and done.stdout.endswith("nodisk.conf: good\n"), done.stderr
