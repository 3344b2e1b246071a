"""Data volumes that are attached to nodes while they are logged in."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import BASE_IQN, wait_until
from iscsilab import MIB, SanDaemon, Volume, run
from lab.iscsi import (LUN_RESET, OPERATIONAL, SECURITY, TEST_UNIT_READY, LoginRefused, Session, inquiry_cdb,
                       read_cdb, write_cdb)
from lab.reservations import out

CHANGED = "06/3f/0e"  # REPORTED LUNS DATA HAS CHANGED
REQUEST_SENSE = bytes([0x03, 0, 0, 0, 255, 0])
REGISTER, RESERVE = 0, 1  # PERSISTENT RESERVE OUT
CONFLICT = 0x18
THREADS = 3


class Node:
    """A node that boots a volume of its own."""

    def __init__(self, daemon: SanDaemon, number: int) -> None:
        self.daemon, self.name = daemon, f"web{number}"
        self.initiator = f"{BASE_IQN}:{self.name}"
        self.boot = daemon.volume(f"boot{number}", size=8 * MIB, allow=())
        daemon.ok("node", "add", self.name, "--mac", f"52:54:00:00:00:0{number}", "--volume", self.boot.name)

    def session(self, **how: object) -> Session:
        """Not logged in yet."""
        return Session(self.daemon.portal, self.boot.target, self.initiator, **how)

    def log_in(self, **how: object) -> Session:
        return self.session(**how).login()

    def log_in_while_it_changes(self) -> Session:
        """As every initiator that is told to come again (0301): its volumes changed during its login."""
        while True:
            session = self.session()
            try:
                return session.login()
            except LoginRefused as refused:
                session.close()
                assert refused.status == 0x0301

    def attach(self, volume: str, *options: object) -> str:
        """What the command says."""
        return self.daemon.ok("volume", "attach", volume, self.name, *options)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[SanDaemon]:
    """Volumes that are made one after the other belong to its threads in turn."""
    with SanDaemon(tmp_path / "d", threads=THREADS) as d:
        yield d


@pytest.fixture
def node(daemon: SanDaemon) -> Node:
    return Node(daemon, 1)


@pytest.fixture
def data(daemon: SanDaemon, node: Node) -> list[Volume]:
    """One more than there are threads, so that two are on the same one, and one is with LUN 0."""
    return [daemon.volume(f"data{n}", size=8 * MIB, allow=()) for n in range(1, THREADS + 2)]


def wire(lun: int) -> int:
    """A LUN as it stands in PDUs and lists."""
    return lun << 48


def luns(session: Session, lun: int = 0) -> list[int]:
    """What REPORT LUNS says, of whichever LUN it is asked."""
    told = session.good(bytes([0xa0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0]), read=4096, lun=wire(lun))
    assert len(told) == 8 + int.from_bytes(told[:4], "big")
    numbers = [int.from_bytes(told[i:i + 8], "big") >> 48 for i in range(8, len(told), 8)]
    assert numbers == sorted(numbers)
    return numbers


def test_unit(session: Session, lun: int = 0) -> str:
    """Its sense; "": it is ready."""
    return session.command(TEST_UNIT_READY, lun=wire(lun)).sense


test_unit.__test__ = False


def write(session: Session, lun: int, block: int, content: bytes) -> None:
    session.good(write_cdb(block, len(content) // 512), write=content, lun=wire(lun))


def read(session: Session, lun: int, block: int, size: int) -> bytes:
    return bytes(session.good(read_cdb(block, size // 512), read=size, lun=wire(lun)))


def assert_works(session: Session, lun: int, volume: Volume) -> None:
    """It is this volume, and can be written to and read."""
    content = os.urandom(MIB)
    write(session, lun, 16, content)
    assert read(session, lun, 16, MIB) == content
    assert volume.bytes_at(16 * 512, MIB) == content


def test_a_session_sees_it_at_once(daemon, node, data):
    """Of a session that had LUN 0 only; on each thread."""
    assert "from the node's next login on" in node.attach(data[3].name, "--lun", 9)
    daemon.ok("volume", "detach", data[3].name, node.name)
    with node.log_in() as session:
        assert luns(session) == [0]
        for n, volume in enumerate(data, 1):
            assert test_unit(session, n) == "05/25/00"
            assert "sees it now" in node.attach(volume.name)
            known = [test_unit(session, lun) for lun in range(n)]
            assert known == [CHANGED] * n  # each of those that it knew, once
            assert test_unit(session, n) == ""  # it is new itself
            assert [test_unit(session, lun) for lun in range(n + 1)] == [""] * (n + 1)
            assert luns(session) == list(range(n + 1))
            assert_works(session, n, volume)
        shown = daemon.ok("session", "show", daemon.get("/v1/sessions").json["sessions"][0]["id"])
        assert all(volume.name in shown for volume in data)
        assert session.logout() == 0
    with node.log_in() as session:
        assert luns(session) == [0, 1, 2, 3, 4]
        assert test_unit(session) == ""  # a login tells nothing


@pytest.mark.parametrize("asked", [0, 1, 2, 3, 77])
def test_report_luns_clears_it_everywhere(daemon, node, data, asked):
    """Whichever LUN is asked, on whatever thread, or none that there is."""
    for volume in data[:3]:
        node.attach(volume.name)
    with node.log_in() as session:
        node.attach(data[3].name)
        assert session.good(inquiry_cdb(), read=255)  # is answered in spite of it
        assert luns(session, asked) == [0, 1, 2, 3, 4]
        assert [test_unit(session, lun) for lun in range(5)] == [""] * 5


def test_request_sense_reports_it(daemon, node, data):
    with node.log_in() as session:
        node.attach(data[0].name)
        node.attach(data[1].name)
        for lun in (0, 1):
            sense = session.good(REQUEST_SENSE, read=255, lun=wire(lun))
            assert (sense[2], sense[12], sense[13]) == (0x06, 0x3f, 0x0e)
            sense = session.good(REQUEST_SENSE, read=255, lun=wire(lun))
            assert (sense[2], sense[12], sense[13]) == (0, 0, 0)  # told once
        assert test_unit(session) == test_unit(session, 1) == ""
        assert session.task_management(LUN_RESET) == 0
        node.attach(data[2].name)
        assert test_unit(session) == "06/29/03"  # a reset comes first
        assert test_unit(session) == CHANGED


def test_only_who_has_it_is_told(daemon, node, data):
    """Two nodes on two threads, a second session of one of them, and somebody on the volume itself."""
    other = Node(daemon, 2)  # its volume comes behind four others: the thread is another one
    shared = daemon.volume("shared", allow=("any",))
    with node.log_in() as first, node.log_in() as second, other.log_in() as stranger, shared.session() as direct:
        node.attach("shared")
        assert test_unit(stranger) == test_unit(direct) == ""
        assert luns(stranger) == [0]
        assert luns(first) == [0, 1]
        assert test_unit(first) == ""
        assert test_unit(second) == CHANGED  # what one was told another was not
        other.attach("shared", "--lun", 5)
        assert test_unit(first) == test_unit(second) == test_unit(direct) == ""
        assert test_unit(stranger) == CHANGED
        assert luns(stranger) == [0, 5]
        write(first, 1, 0, b"f" * 4096)
        assert read(stranger, 5, 0, 4096) == direct.read(0, 8) == read(second, 1, 0, 4096) == b"f" * 4096


def test_under_load(daemon, node, data):
    """Every command is answered, well but for the news; what was written is there."""
    node.attach(data[0].name)
    stop = threading.Event()
    told: list[str] = []
    failures: list[BaseException] = []

    def load(session: Session, lun: int) -> None:
        content = os.urandom(256 * 1024)
        try:
            while not stop.is_set():
                tasks = [session.start(write_cdb(512 * n, 512), write=content, lun=wire(lun)) for n in range(4)]
                tasks += [session.start(bytes([0xa0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0]), read=4096, lun=wire(lun)),
                          session.start(TEST_UNIT_READY, lun=wire(lun))]
                session.wait(*tasks)
                for task in tasks:
                    assert task.good or task.sense == CHANGED, task
                    told.extend([task.sense] * (not task.good))
        except BaseException as failure:  # pylint: disable=broad-except
            failures.append(failure)

    with node.log_in() as first, node.log_in() as second:
        threads = [threading.Thread(target=load, args=at) for at in ((first, 0), (second, 1))]
        for thread in threads:
            thread.start()
        for volume in data[1:]:
            assert "sees it now" in node.attach(volume.name)
        stop.set()
        for thread in threads:
            thread.join()
        assert not failures
        for session in (first, second):
            assert luns(session) == [0, 1, 2, 3, 4]
        for lun, volume in enumerate(data, 1):
            assert_works(first, lun, volume)


def test_a_login_under_way_misses_nothing(daemon, node, data):
    """It was admitted before the volume was attached, and begins after that."""
    session = node.session()
    with session:
        session.exchange_login({**session.identity(), "AuthMethod": "None"}, next_stage=OPERATIONAL)
        assert session.stage != SECURITY
        assert "from the node's next login on" in node.attach(data[0].name)
        session.exchange_login(session.keys, next_stage=3)
        wait_until(lambda: luns(session) == [0, 1], "LUN 1", 60)
        assert_works(session, 1, data[0])
        assert "sees it now" in node.attach(data[1].name)
        assert test_unit(session) == CHANGED


def test_logins_and_attachments_cross(daemon, node, data):
    """Many logins, at whatever moment: each session has what there is, at once or soon."""
    done = threading.Event()

    def attach() -> None:
        for volume in data:
            node.attach(volume.name)
        done.set()

    thread = threading.Thread(target=attach)
    thread.start()
    sessions = []
    while not done.is_set():
        sessions.append(node.log_in_while_it_changes())
        if len(sessions) > 30:
            sessions.pop(0).close()
    thread.join()
    for session in sessions:
        with session:
            wait_until(lambda session=session: luns(session) == [0, 1, 2, 3, 4], "all LUNs", 60)
            assert [test_unit(session, lun) for lun in range(5)] == [""] * 5


def test_sessions_that_end_meanwhile(daemon, node, data):
    """Whatever is under way for them; the volumes are free afterwards."""
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            session = node.log_in_while_it_changes()
            session.start(read_cdb(0, 2048), read=MIB)
            session.reset()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for volume in data:
            node.attach(volume.name)
    finally:
        stop.set()
        thread.join()
    daemon.wait_for("sessions", 0)
    for volume in data:
        wait_until(lambda volume=volume: daemon.cli("volume", "detach", volume.name, node.name).returncode == 0,
                   f"{volume.name} is free", 60)


def test_what_is_seen_is_not_detached(daemon, node, data):
    with node.log_in() as session:
        node.attach(data[0].name)
        assert node.initiator in daemon.refused("volume", "detach", data[0].name, node.name)
        assert "is attached to node" in daemon.refused("volume", "remove", data[0].name)
        assert test_unit(session) == CHANGED
        assert session.logout() == 0
    daemon.wait_for("sessions", 0)
    daemon.ok("volume", "detach", data[0].name, node.name)
    with node.log_in() as session:
        assert luns(session) == [0]


def test_what_cannot_be_opened_is_told(daemon, node, data):
    """To who attaches it; the session goes on without, and the next attempt may succeed."""
    away = data[0].path.rename(data[0].path.with_suffix(".away"))
    with node.log_in() as session:
        assert "does not see it now: its volume cannot be opened" in node.attach(data[0].name)
        assert luns(session) == [0]
        assert test_unit(session) == ""
        assert daemon.lines("goes on without LUN 1", data[0].target)
        daemon.ok("volume", "detach", data[0].name, node.name)  # nobody uses it
        away.rename(data[0].path)
        assert "sees it now" in node.attach(data[0].name)
        assert luns(session) == [0, 1]
        assert_works(session, 1, data[0])


def test_what_another_machine_uses_stays_with_it(daemon, node, data):
    used = daemon.volume("used", allow=("iqn.2026-11.lan.example:tester",))
    with node.log_in() as session:
        with Session(daemon.portal, used.target, source="127.0.0.9").login() as user:
            assert "does not see it now: it is in use from another address" in node.attach("used")
            assert test_unit(session) == test_unit(user) == ""
            user.write(0, b"u" * 512)
            assert user.logout() == 0
        daemon.wait_for("sessions", 1)
        daemon.ok("volume", "detach", "used", node.name)
        assert "sees it now" in node.attach("used")
        assert read(session, 1, 0, 512) == b"u" * 512
        with pytest.raises(LoginRefused) as refused:
            Session(daemon.portal, used.target, source="127.0.0.9").login()
        assert refused.value.status == 0x0301


def test_what_is_drained_is_left_out(daemon, node, data):
    with node.log_in() as session:
        daemon.ok("session", "drain", data[0].name)
        assert "does not see it now: it is being drained" in node.attach(data[0].name)
        assert luns(session) == [0]
        daemon.ok("session", "release", data[0].name)
        node.attach(data[1].name)  # each attachment looks after all of them
        assert luns(session) == [0, 1, 2]


def test_it_is_as_after_a_login(daemon, node):
    """Reservations that survive restarts, and what the volume was made as."""
    disk = daemon.volume("kept", size=8 * MIB, allow=("any",), thick=True, removable=True)
    with disk.session() as holder:
        assert out(holder, REGISTER, 0, 7, aptpl=True).good
        assert out(holder, RESERVE, 7, kind=1).good
    daemon.kill()
    daemon.start()
    with node.log_in() as session:
        node.attach("kept")
        inquiry = session.good(inquiry_cdb(), read=255, lun=wire(1))
        assert inquiry[1] & 0x80  # RMB
        assert session.good(inquiry_cdb(0xb2), read=255, lun=wire(1))[5] & 0x80 == 0  # LBPU: it is thick
        assert session.command(write_cdb(0, 1), write=bytes(512), lun=wire(1)).status == CONFLICT
        attached = [session.good(inquiry_cdb(page), read=255, lun=wire(1)) for page in (0x80, 0x83, 0xb0, 0xb2)]
    with node.log_in() as session:
        assert attached == [session.good(inquiry_cdb(page), read=255, lun=wire(1)) for page in (0x80, 0x83, 0xb0, 0xb2)]
        assert session.command(write_cdb(0, 1), write=bytes(512), lun=wire(1)).status == CONFLICT


def attached_in_registry(daemon: SanDaemon) -> int:
    """How many attachments are committed."""
    with contextlib.closing(sqlite3.connect(f"file:{daemon.state}/registry.db?mode=ro", uri=True)) as db:
        return db.execute("SELECT count(*) FROM attachments").fetchone()[0]


def test_a_kill_between_the_registry_and_the_sessions(daemon, node, data):
    """What is committed is seen after the next login, whether somebody was told or not."""
    for n, volume in enumerate(data, 1):
        with node.log_in() as session:
            write(session, n - 1, 0, bytes([n]) * 4096)
            thread = threading.Thread(target=daemon.cli, args=("volume", "attach", volume.name, node.name))
            thread.start()
            while attached_in_registry(daemon) < n:
                pass
            daemon.kill()
            thread.join()
        daemon.start()
        with node.log_in() as session:
            assert luns(session) == list(range(n + 1))
            assert test_unit(session) == ""
            assert read(session, n - 1, 0, 4096) == bytes([n]) * 4096
            assert_works(session, n, volume)


def test_libiscsi(daemon, node, data):
    """What another initiator makes of a LUN that came while a session of the node was open."""
    portal = f"{daemon.portal[0]}:{daemon.portal[1]}"
    with node.log_in():
        node.attach(data[0].name)
        listed = run("iscsi-ls", "-s", "-i", node.initiator, f"iscsi://{portal}", check=False).stdout
        assert "Lun:0" in listed and "Lun:1" in listed, listed
        said = run("iscsi-inq", "-i", node.initiator, f"iscsi://{portal}/{node.boot.target}/1").stdout
        assert "DIRECT_ACCESS" in said, said
