"""A node boots from a snapshot of its disk for one boot: what may be chosen, what its firmware then finds
there, and that its disk is again what it was at the next boot."""

import sys
from contextlib import contextmanager

import pytest
from daemon import BASE_IQN, ROOT, wait_until
from netlab import SERVER, SUBNET, LabDaemon, inside
from test_boot_policy import ADDRESS, NODE, Machine

sys.path.insert(0, str(ROOT / "tests"))
from lab.iscsi import FIRMWARE, Session  # noqa: E402

OLD, NOW, TRIED = (bytes([n]) * 512 for n in (1, 2, 3))
AT_OLD = "boots snapshot old of volume disk1"
AS_IT_IS = "boots volume disk1"


@contextmanager
def logged_in(machine: Machine, firmware: bool = True):
    with inside(machine.namespace):
        session = Session((SERVER, 3260), f"{BASE_IQN}:disk1", f"{BASE_IQN}:web1",
                          **({"keys": FIRMWARE} if firmware else {}))
    with session.login():
        yield session
        session.logout()


def boot(machine: Machine, choice: str | None, data: bytes | None = None) -> bytes:
    """Switched on, and if there is a choice, chosen in the menu; logs in as iPXE, GRUB and the system do."""
    machine.boot()
    if choice:
        machine.script(f"&entry={choice}")
    for _ in range(2):
        with logged_in(machine) as session:
            found = session.read(0, 1)
    if data:
        with logged_in(machine, firmware=False) as session:
            session.write(0, data)
    return found


def trial(daemon: LabDaemon) -> dict | None:
    return daemon.get("/v1/volumes/disk1").json["overlay"]["trial"]


def names(daemon: LabDaemon) -> list[str]:
    return [s["name"] for s in daemon.get("/v1/volumes/disk1").json["overlay"]["snapshots"]]


@pytest.fixture
def machine(lab):
    m = Machine(lab)
    yield m
    m.wire.close()


def make(lab, machine: Machine, more: str = "[boot]\nmenu-snapshots = yes\n") -> LabDaemon:
    """web1's disk had OLD on it at the snapshot `old`, and has NOW."""
    daemon = lab.daemon(SUBNET + more, iscsi=f"{SERVER}:3260")
    daemon.ok("volume", "create", "disk1", "--size", "1M", "--overlay")
    daemon.ok("node", "add", "web1", "--mac", NODE, "--address", ADDRESS, "--volume", "disk1")
    boot(machine, None, OLD)
    daemon.ok("volume", "snapshot", "disk1", "old")
    assert boot(machine, None, NOW) == OLD
    daemon.ok("boot", "web1", "menu")
    return daemon


def test_it_is_for_one_boot_and_loses_nothing(lab, machine):
    daemon = make(lab, machine)
    assert "item snapshot:old " in machine.boot()
    assert AT_OLD in machine.script("&entry=snapshot:old")
    assert boot(machine, "snapshot:old", TRIED) == OLD
    assert trial(daemon) == {"snapshot": "old", "kept": "before-old"}
    told = daemon.ok("volume", "show", "disk1")
    assert "snapshot old, for this boot" in told and "is again what is snapshot before-old" in told
    assert "is what it was before" in daemon.cli("volume", "remove-snapshot", "disk1", "before-old").stderr
    assert "snapshot:before-old" not in machine.script("&entry=menu")
    assert daemon.lines("volume disk1 is its snapshot old for this boot; what it was is the snapshot before-old")
    for choice, found in (("snapshot:old", OLD), ("volume", NOW), ("snapshot:old", OLD), (None, NOW)):
        assert boot(machine, choice, TRIED if found == OLD else None) == found, choice
    assert trial(daemon) is None and names(daemon) == ["old"]
    assert daemon.lines("volume disk1 is again what it was before it was booted from a snapshot")


def test_who_thinks_again_before_it_boots_has_its_disk(lab, machine):
    daemon = make(lab, machine)
    machine.boot()
    for choice, words in (("snapshot:old", AT_OLD), ("shell", "shell ||"), ("volume", AS_IT_IS)):
        assert words in machine.script(f"&entry={choice}")
    with logged_in(machine) as session:
        assert session.read(0, 1) == NOW
    assert trial(daemon) is None


def test_a_daemon_that_is_killed_knows_what_was_chosen(lab, machine):
    daemon = make(lab, machine)
    machine.boot()
    assert AT_OLD in machine.script("&entry=snapshot:old")
    daemon.kill()
    daemon.start()
    with logged_in(machine) as session:
        assert session.read(0, 1) == OLD
    with logged_in(machine, firmware=False) as system:
        system.write(0, TRIED)
    daemon.kill()
    daemon.start()
    with logged_in(machine, firmware=False) as system:
        assert system.read(0, 1) == TRIED  # it runs on
    assert boot(machine, None) == NOW


def test_nodes_may_only_if_the_operator_says_so(lab, machine):
    """A choice that no menu offers is none; the operator's own rule needs no menu."""
    daemon = make(lab, machine, "")
    assert "item snapshot" not in machine.boot()
    assert "what is web1 to boot?" in machine.script("&entry=snapshot:old")
    assert "has no snapshot 'none'" in daemon.cli("boot", "web1", "snapshot:none").stderr
    daemon.ok("boot", "web1", "snapshot:old", "--once")
    assert "snapshot:old" in daemon.ok("boot", "web1", "--explain")
    assert boot(machine, None, TRIED) == OLD
    daemon.ok("boot", "web1", "--clear")
    assert boot(machine, None) == NOW
    daemon.ok("boot", "web1", "snapshot:old")
    for _ in range(2):
        assert boot(machine, None, TRIED) == OLD
    daemon.ok("volume", "remove-snapshot", "disk1", "old")
    assert boot(machine, None) == NOW  # what is not there decides nothing
    wait_until(lambda: names(daemon) == [], "what was kept to be the disk again")
