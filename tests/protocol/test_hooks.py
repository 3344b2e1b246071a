"""Hooks: programs of the operator's that are told what happens."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from daemon import BASE_IQN, wait_until
from iscsilab import SanDaemon
from netlab import SUBNET
from test_newcomers import MACS, REGISTER, Machine

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")

ISCSI = "[iscsi]\nlisten = 10.0.0.1:3260\n"


class Hooks:
    """A directory of hooks, each of which writes what it is told into a file of its own."""

    def __init__(self, work: Path) -> None:
        self.directory, self.told = work / "hooks", work / "told"
        self.directory.mkdir(mode=0o755)
        self.told.mkdir()
        self.section = f"[hooks]\ndirectory = {self.directory}\ntimeout = 60s\n"

    def put(self, name: str, text: str, mode: int = 0o755) -> Path:
        path = self.directory / name
        path.parent.mkdir(mode=0o755, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def tells(self, name: str) -> None:
        """A hook that appends a line of JSON for each time that it is run."""
        self.put(name, f"#!/bin/sh\n{{ cat; echo; }} >> {self.told}/{name.replace('/', '-')}\n")

    def lines(self, name: str) -> list[dict]:
        path = self.told / name.replace("/", "-")
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def hooks(tmp_path):
    return Hooks(tmp_path)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def wait_for_pid(path: Path) -> int:
    wait_until(lambda: path.exists() and path.read_text().strip(), "hooks", seconds=60)
    return int(path.read_text())


def test_each_event_is_told_with_what_is_known(lab, hooks):
    for name in ("registered", "stage", "booted", "login.d/10-first", "login.d/20-second"):
        hooks.tells(name)
    daemon = lab.daemon(REGISTER + ISCSI + hooks.section)
    machine = Machine(lab, MACS[0], product="a'b $(id) \"c\"")
    machine.lease()
    machine.tell()
    wait_until(lambda: hooks.lines("registered"), "hooks", seconds=60)
    (registered,) = hooks.lines("registered")
    assert registered["event"] == "registered" and registered["mac"] == MACS[0]
    assert registered["product"] == "a'b $(id) \"c\"" and registered["subnet"] == "lab"

    daemon.ok("group", "add", "rack1")
    daemon.ok("volume", "create", "disk1", "--size", "1M")
    daemon.ok("node", "adopt", MACS[0], "web1", "--volume", "disk1", "--group", "rack1",
              "--address", machine.address)
    machine.lease()
    machine.get()
    machine.namespace.run("curl", "-sS", "-f", "-X", "POST",
                          f"http://10.0.0.1/up?mac={MACS[0].replace(':', '-')}")
    wait_until(lambda: hooks.lines("booted") and len(hooks.lines("stage")) >= 3, "hooks", seconds=60)
    stages = hooks.lines("stage")
    assert [told["stage"] for told in stages] == ["address", "script", "up"]
    assert stages[0] == {
        "event": "stage", "node": "web1", "mac": MACS[0], "macs": [MACS[0]], "address": machine.address,
        "group": "rack1", "volume": "disk1", "image": None, "initiator": f"{BASE_IQN}:web1",
        "stage": "address", "detail": machine.address, "at": stages[0]["at"]}
    assert hooks.lines("booted") == [{**stages[2], "event": "booted"}]
    assert "hook" not in daemon.output()


def test_logins_are_told(tmp_path, hooks):
    hooks.tells("login.d/10-first")
    hooks.tells("login.d/20-second")
    daemon = SanDaemon(tmp_path / "daemon")
    daemon.write_config(hooks.section)
    with daemon:
        volume = daemon.volume("disk1", allow=())
        daemon.ok("node", "add", "web1", "--mac", MACS[0], "--volume", "disk1")
        with volume.session(initiator=f"{BASE_IQN}:web1"):
            wait_until(lambda: hooks.lines("login.d/20-second"), "the second hook", seconds=60)
    (first,), (second,) = hooks.lines("login.d/10-first"), hooks.lines("login.d/20-second")
    assert first == second and first["node"] == "web1" and first["peer"].startswith("127.")
    assert first["target"] == f"{BASE_IQN}:disk1" and first["initiator"] == f"{BASE_IQN}:web1"




def test_what_fails_is_told_with_the_node(lab, hooks):
    hooks.put("stage.d/1-sh", "#!/bin/sh\necho it is broken >&2\nexit 7\n")
    hooks.put("stage.d/2-perl", "#!/usr/bin/perl\nkill 'SEGV', $$;\n")
    hooks.put("stage.d/3-python.py", "#!/usr/bin/python3\nimport sys\nsys.stdout.buffer.write(b'x' * (1 << 30))\n")
    hooks.put("stage.d/5-text", "no program\n", 0o644)
    hooks.put("stage.d/6-open", "#!/bin/sh\n", 0o777)
    hooks.tells("stage.d/9-last")
    daemon = lab.daemon(SUBNET + hooks.section.replace("60s", "120s"))
    machine = Machine(lab, MACS[0])
    daemon.ok("node", "add", "web1", "--mac", MACS[0])
    machine.lease()
    wait_until(lambda: hooks.lines("stage.d/9-last"), "hooks", seconds=120)
    for words in ("1-sh failed (status 7): it is broken", "2-perl crashed (signal 11)",
                  "3-python.py was stopped: it answered more than 64 KiB",
                  "5-text was not run: it is not executable",
                  "6-open was not run: others than its owner may write to it"):
        wait_until(lambda words=words: words in daemon.output(), "hooks", seconds=60)
    assert all("web1" in line for line in daemon.output().splitlines() if "hook " in line)


def test_one_that_hangs_is_ended(lab, hooks):
    hooks.put("stage.d/1-hangs", "#!/bin/sh\ntrap '' TERM\nsleep 1000\n")
    hooks.put("stage.d/2-next", f"#!/bin/sh\necho {{}} > {hooks.told}/next\n")
    daemon = lab.daemon(SUBNET + hooks.section.replace("60s", "5s"))
    machine = Machine(lab, MACS[0])
    daemon.ok("node", "add", "web1", "--mac", MACS[0])
    machine.lease()
    wait_until(lambda: "1-hangs was stopped: it took more than 5 s" in daemon.output(), "the end", seconds=120)
    wait_until(lambda: hooks.lines("next") or "2-next was stopped" in daemon.output(), "the next one", seconds=60)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_of_a_hook_when_the_daemon_goes(lab, hooks, tmp_path, how):
    pids = [tmp_path / name for name in ("hook", "child", "daemon")]
    hooks.put("stage", f"""#!/bin/sh
trap '' TERM HUP INT
sh -c 'trap "" TERM; echo $$ > {pids[1]}; sleep 1000' &
setsid sh -c 'trap "" TERM HUP; echo $$ > {pids[2]}; sleep 1000' &
echo $$ > {pids[0]}
sleep 1000
""")
    daemon = lab.daemon(SUBNET + hooks.section)
    machine = Machine(lab, MACS[0])
    daemon.ok("node", "add", "web1", "--mac", MACS[0])
    machine.lease()
    found = [wait_for_pid(path) for path in pids]
    assert all(alive(pid) for pid in found)
    if how == signal.SIGKILL:
        daemon.kill()
    else:
        daemon.stop()
    wait_until(lambda: not any(alive(pid) for pid in found), "hooks", seconds=30)
    daemon.start()  # nothing of its sockets was kept either


def test_a_hook_that_is_slow_holds_up_nobody(lab, hooks):
    hooks.put("stage", "#!/bin/sh\nsleep 1000\n")
    daemon = lab.daemon(SUBNET + hooks.section)
    machine = Machine(lab, MACS[0])
    daemon.ok("node", "add", "web1", "--mac", MACS[0])
    for _ in range(3):
        machine.lease()
        assert "#!ipxe" in machine.get()
    before = time.monotonic()
    daemon.stop()
    assert time.monotonic() - before < 45  # of the 60 s that the hook has


def test_a_reload_changes_where_hooks_are(lab, hooks, tmp_path):
    hooks.tells("stage")
    daemon = lab.daemon(SUBNET + f"[hooks]\ndirectory = {tmp_path}/nowhere\n")
    machine = Machine(lab, MACS[0])
    daemon.ok("node", "add", "web1", "--mac", MACS[0])
    machine.lease()
    daemon.config.write_text(daemon.config.read_text().replace(f"{tmp_path}/nowhere", str(hooks.directory)))
    daemon.reload()
    machine.get()
    wait_until(lambda: hooks.lines("stage"), "hooks", seconds=60)
    assert [told["stage"] for told in hooks.lines("stage")] == ["script"]
    daemon.config.write_text(daemon.config.read_text() + "[hooks]\nuser = no-such-user\n")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "there is no user 'no-such-user'" in daemon.output(), "hooks", seconds=60)
