"""Hooks: programs of the operator's that are told what happens."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from daemon import BASE_IQN, NODISK, ROOT, is_gone, wait_until
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
        told = self.told / name.replace("/", "-")  # in one write: several run at once
        self.put(name, f"#!/bin/sh\ntext=$(cat)\nprintf '%s\\n' \"$text\" >> {told}\n")

    def lines(self, name: str) -> list[dict]:
        path = self.told / name.replace("/", "-")
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def hooks(tmp_path):
    return Hooks(tmp_path)


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


def test_the_example_that_adopts(lab, hooks, tmp_path):
    machines = tmp_path / "machines"
    machines.write_text("7XK2J web1 debian12\n\nnonsense\n")
    source = (ROOT / "data" / "hooks" / "registered-adopt.py").read_text()
    hooks.put("registered", source.replace("/etc/nodisk/machines", str(machines)).replace(
        '"nodisk", "node"', f'"{NODISK}", "node"'))
    daemon = lab.daemon(REGISTER + ISCSI + hooks.section)
    image = tmp_path / "image.raw"
    image.write_bytes(bytes(1 << 20))
    daemon.ok("image", "import", str(image), "--name", "debian12")
    listed, other = Machine(lab, MACS[0], serial="7XK2J"), Machine(lab, MACS[1], serial="8")
    for machine in (other, listed):
        machine.lease()
        machine.tell()
    wait_until(lambda: daemon.cli("node", "show", "web1").returncode == 0, "the hook", seconds=60)
    node = daemon.get("/v1/nodes/web1").json
    assert node["macs"] == [MACS[0]] and node["volume"] == "web1"
    daemon.wait_line(f"{MACS[1]} is in no line of {machines}")


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
    pids = [tmp_path / name for name in ("hook.pid", "child.pid", "left.pid")]
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
    assert not any(map(is_gone, found))
    if how == signal.SIGKILL:
        daemon.kill()
    else:
        daemon.stop()
    wait_until(lambda: all(map(is_gone, found)), "hooks", seconds=30)
    daemon.start()  # nothing of its sockets was kept either


def test_a_hook_that_is_slow_holds_up_nobody(lab, hooks):
    hooks.put("stage", "#!/bin/sh\nsleep 1000\n")
    daemon = lab.daemon(SUBNET + hooks.section.replace("60s", "300s"))
    machine = Machine(lab, MACS[0])
    daemon.ok("node", "add", "web1", "--mac", MACS[0])
    for _ in range(3):
        machine.lease()
        assert "#!ipxe" in machine.get()
    daemon.stop()


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


# --- what a node boots ---


@pytest.fixture
def booting(lab, hooks):
    """A daemon with a node that asks for its script."""
    daemon = lab.daemon(SUBNET + ISCSI + hooks.section)
    machine = Machine(lab, MACS[0])
    daemon.ok("volume", "create", "disk1", "--size", "1M")
    daemon.ok("node", "add", "web1", "--mac", MACS[0], "--volume", "disk1", "--address", "10.0.0.11")
    machine.lease()
    return daemon, machine


def test_a_hook_says_what_a_node_boots(lab, hooks, booting):
    daemon, machine = booting
    usual = machine.get()
    assert "sanhook" in usual
    hooks.put("plan", f"#!/bin/sh\ncat > {hooks.told}/facts\nprintf '#!ipxe\\necho hello %s\\n' \"$NODISK_NODE\"\n")
    assert machine.get() == "#!ipxe\necho hello web1\n"
    (facts,) = hooks.lines("facts")
    assert facts == {"event": "plan", "node": "web1", "mac": MACS[0], "macs": [MACS[0]], "address": "10.0.0.11",
                     "group": None, "volume": "disk1", "image": None, "initiator": f"{BASE_IQN}:web1",
                     "peer": "10.0.0.11", "boots": "volume", "failures": 0}
    wait_until(lambda: "boots what a hook says: a script of its own" in daemon.output(), "the line", seconds=60)
    for text in ("#!/bin/sh\n", "#!/usr/bin/python3\nprint('{\"boot\": \"default\"}')\n",
                 "#!/usr/bin/perl\nprint \"boot=default\\nreason=it is day\\n\";\n"):
        hooks.put("plan", text)
        assert machine.get() == usual
    wait_until(lambda: "boots what a hook says: default, since it is day" in daemon.output(), "the line", seconds=60)


def test_a_hook_names_what_a_node_boots(lab, hooks, booting, tmp_path):
    daemon, machine = booting
    usual = machine.get()
    kernel = tmp_path / "kernel"
    kernel.write_bytes(b"kernel")
    daemon.ok("entry", "add", "rescue", "--kernel", str(kernel))
    assert daemon.post("/v1/volumes", name="other", size=1 << 20, allow=[f"{BASE_IQN}:web1"]).result
    assert daemon.post("/v1/volumes", name="secret", size=1 << 20).result
    daemon.ok("boot", "web1", "off", "--times", "2")
    hooks.put("plan", "#!/bin/sh\necho boot=rescue\necho reason=it is broken\n")
    assert "/entry/rescue/kernel" in machine.get()
    wait_until(lambda: "boots what a hook says: rescue, since it is broken" in daemon.output(), "the line", seconds=60)
    told = daemon.ok("boot", "web1", "--explain")
    assert "off, by the rule: node, temporary; unless the hook plan says something else" in told
    assert re.search(r"^is asked +hook +entry:rescue", told, re.MULTILINE), told
    assert re.search(r"^decides +node, temporary +off +2 more boots", told, re.MULTILINE), told  # nothing is taken
    for answer, words in (("other", "boots volume other"), ("local", "boots its own disk"),
                          ("volume", "boots volume disk1"), ("entry:rescue", "/entry/rescue/kernel")):
        hooks.put("plan", f"#!/usr/bin/python3\nprint('{{\"boot\": \"{answer}\"}}')\n")
        assert words in machine.get()
    for answer in ("secret", "gone", "entry:gone", "volume:secret", "Bad Name"):
        hooks.put("plan", f"#!/bin/sh\necho 'boot={answer}'\n")
        assert "is to be off" in machine.get()
        wait_until(lambda answer=answer: f"answered boot={answer}, which is no entry" in daemon.output(), answer, seconds=60)
    daemon.ok("boot", "web1", "--clear")
    hooks.put("plan", "#!/bin/sh\necho boot=default\n")
    assert machine.get() == usual


def test_what_is_fetched_later_follows_what_the_hook_has_said(lab, hooks, booting):
    """/direct.ipxe is asked for without the hook: it must not be of another disk."""
    daemon, machine = booting

    def direct() -> str:
        return machine.namespace.run("curl", "-sS", "-A", "iPXE/1.0.0+", f"http://10.0.0.1/direct.ipxe?mac={MACS[0]}").stdout
    own = "this machine boots by its disk's own loader\n"
    assert daemon.post("/v1/volumes", name="other", size=1 << 20, allow=[f"{BASE_IQN}:web1"]).result
    machine.get()
    usual = direct()
    assert usual != own  # it was looked at
    hooks.put("plan", "#!/bin/sh\necho boot=local\n")
    assert direct() == own  # nobody was asked in this boot
    assert "boots its own disk" in machine.get()
    assert direct() == own  # and now it is no volume
    hooks.put("plan", "#!/bin/sh\necho boot=other\n")
    assert "boots volume other" in machine.get()
    assert direct() == usual  # an empty disk, too


@pytest.mark.parametrize("text, said", [
    ("#!/bin/sh\nexit 1\n", "failed (status 1)"),
    ("#!/bin/sh\nkill -ABRT $$\n", "crashed (signal 6)"),
    ("#!/bin/sh\nhead -c 1000000000 /dev/urandom\n", "more than 64 KiB"),
    ("#!/bin/sh\necho '<html>'\n", "neither KEY=VALUE"),
    ("#!/bin/sh\necho boot=nonsense\n", "hook "),
    ("#!/bin/sh\necho rm=-rf\n", "which is nothing that was asked"),
])
def test_nonsense_leaves_a_node_its_own_script(lab, hooks, booting, text, said):
    daemon, machine = booting
    usual = machine.get()
    hooks.put("plan", text)
    assert machine.get() == usual
    wait_until(lambda: said in daemon.output(), said, seconds=60)


def test_only_who_waits_for_a_hook_waits(lab, hooks, booting):
    """100 requests wait for a hook that never ends; DHCP, other requests and the API do not."""
    daemon, machine = booting
    waiting = []
    daemon.config.write_text(daemon.config.read_text().replace("timeout = 60s", "timeout = 300s"))
    daemon.reload()
    hooks.put("plan", f"#!/bin/sh\ntrap '' TERM\necho {{}} >> {hooks.told}/asked\nsleep 1000\n")
    try:
        for n in range(1, 101):
            mac, address = f"52-54-00-4f-00-{n:02x}", f"10.0.0.{130 + n}"
            daemon.post("/v1/nodes", name=f"more{n}", macs=[mac.replace("-", ":")], address=address)
            machine.namespace.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
            waiting.append(subprocess.Popen(
                list(map(str, machine.namespace.command(
                    "curl", "-sS", "--max-time", "300", "--interface", address,
                    f"http://10.0.0.1/boot.ipxe?mac={mac}"))), stdout=subprocess.DEVNULL))
        wait_until(lambda: len(hooks.lines("asked")) >= 16, "hooks that are asked", seconds=200)
        other = Machine(lab, MACS[1])
        other.lease()
        assert other.get().startswith("#!ipxe")  # of no node: nobody is asked
        assert daemon.get("/v1/status").status == 200
        assert all(process.poll() is None for process in waiting)
        assert len(hooks.lines("asked")) == 16  # at once
    finally:
        for process in waiting:
            process.kill()
            process.wait()


def test_a_cgi_program_behind_the_adapter(lab, hooks, booting, tmp_path):
    daemon, machine = booting
    usual = machine.get()
    cgi = tmp_path / "boot.cgi"
    adapter = (ROOT / "data" / "hooks" / "plan-cgi").read_text().replace("/etc/nodisk/cgi/boot", str(cgi))
    hooks.put("plan", adapter)

    def answer(text: str) -> None:
        cgi.write_text(text)
        cgi.chmod(0o755)

    answer("#!/usr/bin/perl\nprint \"Content-Type: text/plain\\r\\n\\r\\n#!ipxe\\necho $ENV{QUERY_STRING} "
           "$ENV{REQUEST_METHOD} $ENV{REMOTE_ADDR}\\n\";\n")
    assert machine.get() == (f"#!ipxe\necho mac={MACS[0]}&hostname=web1&ip=10.0.0.11&group=&image="
                             f"&initiator={BASE_IQN}:web1 GET 10.0.0.11\n")
    answer("#!/bin/sh\nprintf 'Status: 404 Not Found\\nContent-Type: text/plain\\n\\n#!ipxe\\nshell\\n'\n")
    assert machine.get() == usual
    answer("#!/bin/sh\nprintf 'Content-Type: text/html\\n\\n<html>\\n'\n")
    assert machine.get() == usual
    answer("#!/bin/sh\nexit 1\n")
    assert machine.get() == usual
