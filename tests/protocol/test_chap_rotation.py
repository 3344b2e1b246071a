"""CHAP secrets that are made anew at each boot: which hold, as libiscsi's tools and an initiator of our own see it."""

import re
import shutil

import pytest
from daemon import wait_until
from lab.iscsi import FIRMWARE, LINUX, LoginRefused, Session
from netlab import SERVER, SUBNET, inside
from test_boot_policy import ADDRESS, MAC, NODE, Machine
from test_chap import assert_silent

IQN = "iqn.2026-11.lan.example"
INITIATOR, TARGET = f"{IQN}:web1", f"{IQN}:disk1"
PORTAL = (SERVER, 3260)
#: What iscsid asks for once it has adopted the session of the initramfs.
ADOPTED = {**LINUX, "HeaderDigest": "None,CRC32C"}
ROTATES = "[boot]\nchap-rotation = boot\n"

pytestmark = pytest.mark.skipif(not shutil.which("iscsi-inq"), reason="libiscsi's tools are not installed")


class Booting(Machine):
    """web1, with the secrets that its script gives it."""

    def secrets(self, script: str | None = None) -> tuple[str, str]:
        """The node's own, and the target's ("": it proves nothing)."""
        text = script or self.script()
        found = [re.search(rf"^set {prefix}password (\w+)$", text, re.MULTILINE) for prefix in ("", "reverse-")]
        assert found[0], text
        return tuple(m[1] if m else "" for m in found)

    def boots(self) -> tuple[str, str]:
        return self.secrets(self.boot())

    def log_in(self, secrets: tuple[str, str], keys: dict[str, str] = LINUX) -> Session:
        """With CHAP, mutual if there is a secret for that."""
        with inside(self.namespace):
            session = Session(PORTAL, TARGET, INITIATOR, keys=keys)
        try:
            session.login_with_chap("web1", secrets[0], "nodisk", secrets[1])
        except BaseException:
            session.close()
            raise
        return session

    def uses(self, secrets: tuple[str, str], keys: dict[str, str] = LINUX) -> None:
        with self.log_in(secrets, keys) as session:
            for lun in (0, 1):
                session.write(0, bytes(4096), lun=lun << 48)
            session.logout()

    def is_refused(self, secrets: tuple[str, str]) -> bool:
        """As firmware, whose logins say nothing of a system."""
        try:
            self.uses(secrets, FIRMWARE)
        except LoginRefused as refusal:
            assert refusal.status == 0x0201
            return True
        return False

    def inquiry(self, secrets: tuple[str, str]) -> bool:
        """libiscsi, which asks for what iscsid does when it has adopted a session."""
        mutual = f"?target_user=nodisk&target_password={secrets[1]}" if secrets[1] else ""
        done = self.namespace.run("iscsi-inq", f"--initiator-name={INITIATOR}",
                                  f"iscsi://web1%{secrets[0]}@{SERVER}:3260/{TARGET}/0{mutual}", check=False)
        return "Peripheral Qualifier" in done.stdout

    def is_up(self) -> None:
        assert self.namespace.run("curl", "-sS", "-X", "POST", f"http://{SERVER}/up?mac={MAC}").stdout == "welcome\n"


@pytest.fixture(params=["one-way", "mutual"])
def chap(request):
    return request.param


@pytest.fixture
def daemon(lab, chap):
    d = lab.daemon(SUBNET + ROTATES, iscsi=f"{SERVER}:3260")
    for name in ("disk1", "data1"):
        assert d.post("/v1/volumes", name=name, size=1 << 20).result
    assert d.post("/v1/nodes", name="web1", macs=[NODE], address=ADDRESS, volume="disk1", chap=chap).result
    d.ok("volume", "attach", "data1", "web1")
    return d


@pytest.fixture
def machine(lab, daemon):
    m = Booting(lab)
    yield m
    m.wire.close()


def wait_refused(machine: Booting, secrets: tuple[str, str]) -> None:
    wait_until(lambda: machine.is_refused(secrets), "the older secret to be refused")


def shown(daemon) -> dict[str, str]:
    lines = (line.partition(":") for line in daemon.ok("node", "show", "web1").splitlines())
    return {key: value.strip() for key, _, value in lines if key.startswith("chap")}


def test_each_boot_has_secrets_of_its_own(daemon, machine, chap):
    first = machine.boots()
    assert bool(first[1]) == (chap == "mutual")
    assert [machine.secrets() for _ in range(3)] == [first] * 3  # its disk failed, say
    machine.uses(first, FIRMWARE)
    assert machine.secrets() == first
    machine.uses(first)
    assert machine.inquiry(first)
    wait_until(lambda: shown(daemon)["chap older"] == "not valid", "its system to be seen")
    assert shown(daemon)["chap rotates"] == "at each boot (as [boot] says)" and shown(daemon)["chap since"] != "not known"

    second = machine.boots()
    assert not {*first} & {*second} - {""}
    assert "still valid" in shown(daemon)["chap older"]
    for secrets in (first, second):  # both, until its system runs
        machine.uses(secrets, FIRMWARE)
        assert machine.inquiry((secrets[0], ""))
        if secrets == first:
            assert not machine.is_refused(second)
    wait_refused(machine, first)
    assert not machine.inquiry(first) and machine.inquiry(second)
    assert not machine.inquiry((first[0], second[1])) and not machine.inquiry(("0" * 32, second[1]))
    if chap == "mutual":  # libiscsi does not believe a target with another secret
        assert not machine.inquiry((second[0], first[1]))
    assert_silent(daemon, *{*first, *second} - {""})


def test_a_server_that_is_killed_between_has_both(daemon, machine):
    first = machine.boots()
    machine.uses(first, ADOPTED)
    second = machine.boots()
    daemon.kill()
    daemon.start()
    machine.uses(first)  # which runs still, and reconnects
    machine.uses(second, FIRMWARE)
    assert machine.secrets() == second
    machine.uses(second)
    daemon.kill()
    daemon.start()
    assert not machine.is_refused(first)
    machine.is_up()
    wait_refused(machine, first)
    machine.uses(second)


def test_who_only_asks_for_a_script_harms_nobody(daemon, machine):
    """Somebody boots in its name again and again, while it runs and reconnects."""
    runs = machine.boots()
    machine.uses(runs, ADOPTED)
    asked = [machine.boots()]
    for _ in range(5):
        machine.uses(runs, ADOPTED)
        machine.is_up()
        asked.append(machine.boots())
    assert len({runs, *asked}) == 7
    machine.uses(runs, ADOPTED)
    assert machine.is_refused(asked[0])  # so many are not kept
    machine.uses(asked[-1], ADOPTED)  # it is the one now
    wait_refused(machine, runs)
    assert machine.is_refused(asked[-2])


def test_it_is_a_choice(daemon, machine, chap):
    first = machine.boots()
    machine.uses(first, ADOPTED)
    daemon.ok("node", "set", "web1", "--chap-rotation", "manual")
    assert machine.boots() == first and shown(daemon)["chap rotates"] == "by hand"
    machine.uses(first, ADOPTED)
    daemon.ok("node", "set", "web1", "--chap-rotation", "boot")
    assert shown(daemon)["chap rotates"] == "at each boot"
    second = machine.boots()
    assert second != first
    machine.uses(second, ADOPTED)
    wait_refused(machine, first)
    wait_until(lambda: daemon.cli("node", "set", "web1", "--chap-rotate").returncode == 0, "the node to be down")
    wait_refused(machine, second)  # by hand: at once
    assert "boot, manual or default" in daemon.usage("node", "set", "web1", "--chap-rotation", "daily")
    daemon.ok("node", "set", "web1", "--chap-rotation", "default", "--chap", "none")
    assert "set password" not in machine.boot()
    daemon.ok("node", "set", "web1", "--chap", chap)
    daemon.ok("boot", "web1", "local")
    assert "web1 boots its own disk" in machine.boot()  # which needs none
    assert shown(daemon)["chap older"] == "not valid"


def test_somebody_who_only_looks_gets_no_new_secrets(daemon, machine):
    first = machine.boots()
    machine.uses(first, ADOPTED)
    machine.power_on()
    done = machine.namespace.run("curl", "-sS", f"http://{SERVER}/boot.ipxe?mac={MAC}")
    assert machine.secrets(done.stdout) == first
    assert machine.boots() != first
