"""Kills the daemon at each step of what a boot claims: a rule for one boot (`--once`) and CHAP secrets of its own,
which the registry writes down before the script goes out; and of what ends the older secrets, when a system has
logged in.

A step is a call that changes a file. After that: what was handed out is valid, and the same when the node asks
again in this boot; the secrets that the running system had are valid until the new one runs; the rule was taken
from one boot or from none, together with the secrets. The same when a step fails, and the daemon goes on.

NODISK_KILLS=N does N rounds, at steps that NODISK_SEED chooses; 100 or more: each step.
"""

import errno
import os
import random
import re
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "protocol"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import steps as at  # noqa: E402
from daemon import wait_until  # noqa: E402
from lab.iscsi import FIRMWARE, LINUX, LoginRefused, Session  # noqa: E402
from netlab import SERVER, SUBNET, Client, LabDaemon, NetLab, Wire, inside  # noqa: E402
from steps import Steps  # noqa: E402

ROUNDS = int(os.environ.get("NODISK_KILLS", "12"))
SEED = int(os.environ.get("NODISK_SEED", str(int(time.time()))))
MANY = 100  # rounds: then each step
NODE, ADDRESS = "52:54:00:10:00:01", "10.0.0.11"
IQN = "iqn.2026-11.lan.example"
#: What iscsid asks for once it has adopted the session of the initramfs.
ADOPTED = {**LINUX, "HeaderDigest": "None,CRC32C"}
#: What happens at a step.
DAMAGES = ((at.KILL_BEFORE, 0), (at.KILL_BEHIND, 0), (at.FAIL_ONCE, errno.EIO), (at.FAIL_FROM_THERE, errno.ENOSPC))

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


class Killed(LabDaemon):
    """A daemon whose steps are counted."""

    def __init__(self, lab: NetLab, steps: Steps) -> None:
        self.steps = steps
        super().__init__(lab.work / "daemon", lab.server, SUBNET + "[boot]\nchap-rotation = boot\n",
                         iscsi=f"{SERVER}:3260")

    def launch(self) -> None:
        super().launch(*self.steps.prefix)

    @property
    def is_dead(self) -> bool:
        return self.process.poll() is not None

    def wait_for_death(self) -> None:
        wait_until(lambda: self.is_dead, "the daemon to die")

    def again(self) -> None:
        """It is killed, if it is not dead yet, and started."""
        self.steps.disarm()
        self.kill()
        self.start()

    def rows(self, query: str) -> list[tuple]:
        with closing(sqlite3.connect(f"file:{self.state}/registry.db?mode=ro", uri=True)) as database:
            return database.execute(query).fetchall()


class Scene:
    """web1, which runs with `runs`, boots."""

    def __init__(self, work: Path) -> None:
        self.lab = NetLab(work)
        self.steps = Steps(work / "steps")
        self.daemon = Killed(self.lab, self.steps)
        self.namespace = self.lab.client(f"{ADDRESS}/24")
        self.wire = Wire(self.namespace)
        self.runs = ""

    def close(self) -> None:
        self.wire.close()
        if self.daemon.process:
            self.daemon.kill()
        self.lab.close()

    def begin(self) -> None:
        d = self.daemon
        d.start()
        assert d.post("/v1/volumes", name="disk1", size=1 << 20).result
        assert d.post("/v1/nodes", name="web1", macs=[NODE], address=ADDRESS, volume="disk1", chap="one-way").result
        self.power_on()
        self.runs = secret_of(self.ask())
        self.log_in(self.runs, ADOPTED)
        d.ok("boot", "web1", "local")

    def power_on(self) -> None:
        client = Client(self.wire, NODE)
        client.extra[77] = b"iPXE"
        assert client.lease() == ADDRESS

    def ask(self) -> str:
        """For the script; "": there was no answer, or not all of it."""
        done = self.namespace.run("curl", "-sS", "--fail", "--max-time", "60", "-A", "iPXE/1.0.0+",
                                  f"http://{SERVER}/boot.ipxe?mac={NODE.replace(':', '-')}", check=False)
        return done.stdout if done.returncode == 0 else ""

    def log_in(self, secret: str, keys: dict[str, str]) -> None:
        with inside(self.namespace):
            session = Session((SERVER, 3260), f"{IQN}:disk1", f"{IQN}:web1", keys=keys)
        try:
            session.login_with_chap("web1", secret).logout()
        finally:
            session.close()

    def is_refused(self, secret: str) -> bool:
        try:
            self.log_in(secret, FIRMWARE)
        except LoginRefused as refusal:
            assert refusal.status == 0x0201
            return True
        return False


def secret_of(script: str) -> str:
    found = re.search(r"^set password (\w+)$", script, re.MULTILINE)
    assert found, script
    return found[1]


def claimed(daemon: Killed) -> tuple[bool, bool]:
    """Has the last boot taken the rule, and has it secrets of its own?"""
    (boot,), = daemon.rows("SELECT max(id) FROM boots")
    rules = daemon.rows("SELECT times, boot_id FROM boot_rules WHERE slot = 'temporary'")
    (age,), = daemon.rows("SELECT boot_id FROM node_chap_age")
    assert rules in ([(0, boot)], [(1, 0)]), rules
    return rules[0][0] == 0, age == boot


def check_claim(scene: Scene, step: int, action: int, error: int) -> bool:
    """The script is asked for, and the daemon dies of that, or fails. False: it has not so many steps."""
    d, what = scene.daemon, f"{at.NAMES[action]} at step {step}"
    d.ok("boot", "web1", "--clear")
    d.ok("boot", "web1", "local")
    d.ok("boot", "web1", "volume", "--once")
    scene.power_on()
    d.lines()  # what is stored of that is no step of ours
    scene.steps.arm(step, action, error)
    script = scene.ask()
    hit = scene.steps.count >= step  # dead or about to be
    d.again()
    rule, secrets = claimed(d)
    assert rule == secrets, f"{what} ({scene.steps.what}): half of it is taken"
    handed = secret_of(script) if "boots volume" in script else ""
    assert not handed or rule, f"{what}: told before it was written down"
    assert not scene.is_refused(scene.runs), f"{what}: the running system is shut out"
    assert not handed or not scene.is_refused(handed), f"{what}: what was handed out is not valid"
    now = secret_of(scene.ask())
    assert not handed or now == handed, f"{what}: other secrets in the same boot"
    assert claimed(d) == (True, True)
    assert not scene.is_refused(now) and not scene.is_refused(scene.runs)
    scene.power_on()
    assert "boots its own disk" in scene.ask(), f"{what}: the rule is taken twice"
    return hit


def check_end(scene: Scene, step: int, action: int, error: int) -> bool:
    """The new system logs in, and the daemon dies of that, or fails."""
    d = scene.daemon
    d.ok("boot", "web1", "volume")
    scene.power_on()
    secret = secret_of(scene.ask())
    d.lines()
    scene.steps.arm(step, action, error)
    try:
        scene.log_in(secret, ADOPTED)
        wait_until(lambda: d.is_dead or scene.steps.hit or scene.is_refused(scene.runs), "that to be stored")
    except (OSError, AssertionError):
        d.wait_for_death()  # a connection may be seen to close before the process is seen to be gone
    hit = scene.steps.count >= step  # dead or about to be
    d.again()
    assert not scene.is_refused(secret), f"{at.NAMES[action]} at step {step}: the running system is shut out"
    scene.log_in(secret, ADOPTED)  # it comes back
    wait_until(lambda: scene.is_refused(scene.runs), "the older secrets to end")
    scene.runs = secret
    return hit


def rounds(steps: int) -> Iterator[tuple[int, int, int]]:
    """Steps, and what happens there: with many rounds each, until one is not there any more."""
    chance = random.Random(SEED)
    if ROUNDS < MANY:
        for n in range(ROUNDS):
            yield chance.randint(1, steps), *DAMAGES[n % len(DAMAGES)]
        return
    for damage in DAMAGES:
        for step in range(1, 1000):
            hit = yield step, *damage
            if not hit:
                break


@pytest.fixture
def scene() -> Iterator[Scene]:
    work = Path(tempfile.mkdtemp(prefix="nodisk-claims-", dir="/dev/shm"))
    s = Scene(work)
    try:
        s.begin()
        yield s
    finally:
        s.close()
        shutil.rmtree(work)


@pytest.mark.parametrize(("check", "steps"), [(check_claim, 14), (check_end, 8)])
def test_killed_or_failing(scene: Scene, check, steps: int) -> None:
    print(f"NODISK_SEED={SEED}")
    generator = rounds(steps)
    hits, turn = 0, next(generator, None)
    while turn:
        hit = check(scene, *turn)
        hits += hit
        try:
            turn = generator.send(hit)
        except StopIteration:
            break
    print(f"{check.__name__}: {hits} steps were killed or failed")
    assert hits > 0
