"""Reservations with several initiators, over what they must outlive."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import BASE_IQN
from iscsilab import MIB, SanDaemon, Volume
from lab.iscsi import GOOD, LUN_RESET, TEST_UNIT_READY, WARM_RESET, Session, Task, read_cdb, write_cdb
from lab.reservations import (CLEAR, CONFLICT, EA, EA_RO, OF_ALL, PREEMPT, PREEMPT_AND_ABORT, REGISTER,
                              REGISTER_AND_IGNORE, REGISTER_AND_MOVE, REGISTRATIONS_PREEMPTED, RELEASE, RELEASE_6,
                              REPORT_CAPABILITIES, RESERVATIONS_PREEMPTED, RESERVATIONS_RELEASED, RESERVE, RESERVE_6,
                              TYPES, WE, WE_AR, WE_RO, full_status, generation, keys, move_list, out, reserve_in,
                              start_out, transport_id)

ALICE, BOB = f"{BASE_IQN}:alice", f"{BASE_IQN}:bob"
ISIDS = {ALICE: 0x80_00_00_01_00_00, BOB: 0x80_00_00_02_00_00}
BLOCK = bytes(range(256)) * 2


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[SanDaemon]:
    with SanDaemon(tmp_path / "d", threads=3) as d:
        yield d


@pytest.fixture
def volume(daemon: SanDaemon) -> Volume:
    return daemon.volume(allow=("any",))


def log_in(volume: Volume, initiator: str, **how: object) -> Session:
    """Always the same port of an initiator, unless an ISID is given."""
    return Session(volume.portal, volume.target, initiator, **{"isid": ISIDS.get(initiator), **how}).login()


@pytest.fixture
def alice(volume: Volume) -> Iterator[Session]:
    with log_in(volume, ALICE) as session:
        yield session


@pytest.fixture
def bob(volume: Volume) -> Iterator[Session]:
    with log_in(volume, BOB) as session:
        yield session


def good(task: Task) -> None:
    assert task.good, task


def write(session: Session, lun: int = 0) -> int:
    """The status of a write."""
    return session.command(write_cdb(0, 1), write=BLOCK, lun=lun).status


def read(session: Session, lun: int = 0) -> int:
    return session.command(read_cdb(0, 1), read=512, lun=lun).status


def attention(session: Session, lun: int = 0) -> str:
    return session.command(TEST_UNIT_READY, lun=lun).sense


def reserve(session: Session, kind: int, key: int = 1, **more: object) -> None:
    """Registers and reserves."""
    good(out(session, REGISTER_AND_IGNORE, 0, key, **more))
    good(out(session, RESERVE, key, kind=kind))


@pytest.mark.parametrize("kind", TYPES)
def test_who_may_read_and_write(alice, bob, kind):
    reserve(alice, kind)
    assert (write(alice), read(alice)) == (GOOD, GOOD)
    others_read = GOOD if kind in (WE, WE_RO, WE_AR) else CONFLICT
    assert (write(bob), read(bob)) == (CONFLICT, others_read)
    good(out(bob, REGISTER, 0, 2))
    shared = kind not in (WE, EA)
    assert (write(bob), read(bob)) == ((GOOD, GOOD) if shared else (CONFLICT, others_read))
    assert [r.type for r in full_status(alice)] == [kind, kind if kind in OF_ALL else 0]
    good(out(alice, RELEASE, 1, kind=kind))
    assert attention(bob) == (RESERVATIONS_RELEASED if shared else "")
    assert (write(bob), read(bob)) == (GOOD, GOOD)


def test_registrations_are_of_ports(volume, alice):
    reserve(alice, EA)
    with log_in(volume, ALICE, isid=ISIDS[ALICE] + 1) as other_port:
        assert write(other_port) == CONFLICT
        good(out(other_port, REGISTER, 0, 1))
        assert write(other_port) == CONFLICT
        assert [(r.initiator, r.isid, r.holds) for r in full_status(other_port)] == [
            (ALICE, ISIDS[ALICE], True), (ALICE, ISIDS[ALICE] + 1, False)]


def test_registrations_outlive_sessions_and_resets(volume, bob):
    with log_in(volume, ALICE) as first:
        reserve(first, EA)
        first.logout()
    assert write(bob) == CONFLICT
    with log_in(volume, ALICE) as second:
        assert write(second) == GOOD
        with log_in(volume, ALICE) as third:  # reinstates the session
            assert write(third) == GOOD
            for function in (LUN_RESET, WARM_RESET):
                assert third.task_management(function) == 0
                assert attention(third).startswith("06/29/")
            assert write(third) == GOOD
    assert attention(bob) == "06/29/00"  # the higher reset covers the other
    assert write(bob) == CONFLICT


def test_they_outlive_the_last_session(volume):
    with log_in(volume, ALICE) as session:
        reserve(session, WE)
        before = generation(session)
        session.logout()
    for _ in range(3):  # the volume is closed and opened meanwhile
        with log_in(volume, BOB) as session:
            assert (write(session), keys(session), generation(session)) == (CONFLICT, [1], before)
            session.logout()


def test_preempting(alice, bob):
    reserve(alice, EA_RO)
    good(out(bob, REGISTER, 0, 2))
    good(out(bob, PREEMPT, 2, 1, kind=WE))
    assert attention(alice) == REGISTRATIONS_PREEMPTED
    assert out(alice, RELEASE, 1, kind=EA_RO).status == CONFLICT
    assert (write(alice), read(alice)) == (CONFLICT, GOOD)
    assert [(r.initiator, r.key, r.type) for r in full_status(alice)] == [(BOB, 2, WE)]
    good(out(alice, REGISTER, 0, 3))
    good(out(bob, CLEAR, 2))
    assert attention(alice) == RESERVATIONS_PREEMPTED
    assert keys(alice) == [] and write(alice) == GOOD


def test_registering_others(volume, alice, bob):
    good(out(alice, REGISTER, 0, 5, ports=[transport_id(BOB, ISIDS[BOB]), transport_id(f"{BASE_IQN}:carol", 7)]))
    assert keys(alice) == [5, 5, 5]
    good(out(bob, RESERVE, 5, kind=WE))
    assert write(alice) == CONFLICT
    with log_in(volume, f"{BASE_IQN}:carol", isid=7) as carol:
        good(out(carol, REGISTER, 5, 6))
    refused = out(alice, REGISTER, 5, 0, ports=[])
    assert refused.sense == "05/24/00"
    parameters = move_list(5, 9, transport_id(ALICE), unregister=True)  # a device that has one port here
    good(bob.wait(start_out(bob, REGISTER_AND_MOVE, parameters)))
    assert write(alice) == GOOD and write(bob) == CONFLICT
    assert keys(bob) == [9, 6]


def flood(session: Session, lun: int = 0) -> list[Task]:
    """Writes under way."""
    return [session.start(write_cdb(n, 2048), write=bytes([n]) * MIB, lun=lun) for n in range(1, 9)]


def assert_nothing_lands(volume: Volume, session: Session, lun: int = 0) -> None:
    """What is written from now on by who has preempted the others stays."""
    mine = b"\xee" * MIB
    for n in range(5):
        session.good(write_cdb(n * 2048, 2048), write=mine, lun=lun)
    for n in range(5):
        assert session.good(read_cdb(n * 2048, 2048), read=MIB, lun=lun) == mine
    assert volume.bytes_at(0, 5 * MIB) == mine * 5


def test_preempt_and_abort_fences(volume, alice, bob):
    good(out(bob, REGISTER, 0, 2))
    reserve(alice, WE)
    flood(alice)
    good(out(bob, PREEMPT_AND_ABORT, 2, 1, kind=WE))
    assert_nothing_lands(volume, bob)
    alice.close()
    with log_in(volume, ALICE) as again:
        assert write(again) == CONFLICT


def test_who_preempts_and_aborts_himself_is_answered_alone(volume, alice, bob):
    good(out(alice, REGISTER, 0, 1))
    flood(alice)
    good(out(alice, PREEMPT_AND_ABORT, 1, 1, kind=WE))
    assert_nothing_lands(volume, bob)
    assert not full_status(bob)


@pytest.mark.parametrize("lun", [1, 2, 3])
def test_preempt_and_abort_fences_every_lun(daemon, lun):
    """Of nodes with data volumes in common, each on the thread that it happens to be on."""
    shared = [daemon.volume(f"data{n}", allow=("any",)) for n in range(3)]
    boots = [daemon.volume(f"boot{n}", allow=()) for n in range(2)]
    for n, boot in enumerate(boots):
        daemon.ok("node", "add", f"web{n}", "--mac", f"52:54:00:00:00:0{n}", "--volume", boot.name)
        for data in shared:
            daemon.ok("volume", "attach", data.name, f"web{n}")
    first, second = (Session(boot.portal, boot.target, f"{BASE_IQN}:web{n}").login() for n, boot in enumerate(boots))
    with first, second:
        wire = lun << 48
        good(out(second, REGISTER, 0, 2, lun=wire))
        good(out(first, REGISTER, 0, 1, lun=wire))
        good(out(first, RESERVE, 1, kind=WE, lun=wire))
        assert write(second, wire) == CONFLICT
        flood(first, wire)
        good(out(second, PREEMPT_AND_ABORT, 2, 1, kind=WE, lun=wire))
        assert_nothing_lands(shared[lun - 1], second, wire)
        assert [r.initiator for r in full_status(second, wire)] == [f"{BASE_IQN}:web1"]
        with Session(shared[lun - 1].portal, shared[lun - 1].target, ALICE).login() as alice:
            assert write(alice) == CONFLICT  # the volume is a target of its own, too


def test_reserve_6_ends_with_its_session(volume, bob):
    for log_out in (True, False):
        with log_in(volume, ALICE) as alice:
            alice.good(RESERVE_6)
            assert bob.command(RESERVE_6).status == CONFLICT
            assert write(bob) == CONFLICT
            if log_out:
                alice.logout()
                bob.good(RESERVE_6)  # at once
                bob.good(RELEASE_6)
    with log_in(volume, ALICE) as alice:  # the session that held it is gone, or replaced
        assert write(alice) == GOOD


# --- restarts ---

def test_what_persists_and_what_does_not(daemon, volume):
    with log_in(volume, ALICE) as alice:
        assert reserve_in(alice, REPORT_CAPABILITIES)[2] & 1  # PTPL_C
        reserve(alice, EA, aptpl=True)
        assert reserve_in(alice, REPORT_CAPABILITIES)[3] & 1  # PTPL_A
    daemon.kill()
    daemon.start()
    with log_in(volume, BOB) as bob, log_in(volume, ALICE) as alice:
        assert (write(bob), read(bob), write(alice)) == (CONFLICT, CONFLICT, GOOD)
        assert full_status(bob)[0].isid == ISIDS[ALICE] and generation(bob) == 0
        good(out(bob, REGISTER, 0, 2, aptpl=True))
        good(out(bob, PREEMPT, 2, 1, kind=WE))
    daemon.stop()
    daemon.start()
    with log_in(volume, BOB) as bob, log_in(volume, ALICE) as alice:
        assert (write(alice), read(alice), write(bob), keys(bob)) == (CONFLICT, GOOD, GOOD, [2])
        good(out(bob, REGISTER, 2, 3))  # without APTPL: not any more
        assert not reserve_in(bob, REPORT_CAPABILITIES)[3] & 1
    daemon.kill()
    daemon.start()
    with log_in(volume, ALICE) as alice:
        assert (write(alice), keys(alice)) == (GOOD, [])


def test_they_go_with_the_volume(daemon, volume):
    with log_in(volume, ALICE) as alice:
        reserve(alice, EA, aptpl=True)
        alice.logout()
    daemon.ok("volume", "remove", volume.name)
    again = daemon.volume(allow=("any",))
    with log_in(again, BOB) as bob:
        assert (write(bob), keys(bob)) == (GOOD, [])
