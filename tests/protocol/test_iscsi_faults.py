"""What happens when a disk hangs, fills up or is slow to let go: nobody else notices, nothing that was
lost is called safe, and a machine gets its disk back as soon as there is one."""

import os
import threading
import time

import pytest
from daemon import listing, mounted, wait_until
from iscsilab import MIB, SanDaemon, Volume, loop_device, refusal, run
from lab import iscsi
from lab.iscsi import ABORT_TASK, FIRMWARE, LUN_RESET, Session

LOST = "03/0c/00"


@pytest.fixture
def daemon(tmp_path):
    """With one I/O thread: whoever waits in it, everybody waits."""
    with SanDaemon(tmp_path / "d", threads=1) as d:
        yield d


@pytest.fixture
def other(daemon):
    """The disk of somebody else, with a session on it."""
    with daemon.volume("other").session() as session:
        session.write(0, b"o" * 4096)
        yield session


def works(session: Session) -> None:
    """Reads and writes go on at once."""
    session.socket.settimeout(60)
    assert session.read(0, 8) == b"o" * 4096
    session.write(0, b"o" * 4096)
    session.flush()


@pytest.fixture
def overcommitted(tmp_path):
    """A block device that says it has 256 MiB, on a file system that has 8."""
    with mounted("-t", "tmpfs", "-o", "size=8m", "tmpfs", place=tmp_path / "small") as small:
        file = small / "file"
        file.touch()
        os.truncate(file, 256 * MIB)
        with loop_device(file) as device:
            yield device


class Hanging:
    """A file system whose disk can hang: what is written waits until it is well again."""

    def __init__(self, place):
        self.place = place
        self.frozen = False

    def hang(self):
        run("fsfreeze", "--freeze", self.place)
        self.frozen = True

    def recover(self):
        if self.frozen:
            run("fsfreeze", "--unfreeze", self.place)
        self.frozen = False

    def volume(self, daemon: SanDaemon, name: str = "hanging") -> Volume:
        file = self.place / name
        file.touch()
        os.truncate(file, 64 * MIB)
        return daemon.volume(name, file=str(file))


@pytest.fixture
def hanging(tmp_path):
    image = tmp_path / "image"
    image.touch()
    os.truncate(image, 256 * MIB)
    run("mkfs.ext4", "-q", image)
    with mounted("-o", "loop", image, place=tmp_path / "hanging") as place:
        disk = Hanging(place)
        try:
            yield disk
        finally:
            disk.recover()


def fill(session: Session) -> None:
    """Writes more than the disk below has; all of it is taken into the cache."""
    data = os.urandom(MIB)
    for i in range(32):
        session.write(i * MIB // 512, data)


def flush(session: Session) -> str:
    """What comes of a flush."""
    task = session.command(iscsi.SYNCHRONIZE_CACHE)
    return "good" if task.good else task.sense


# --- writes that are lost ---


def test_lost_writes_are_never_called_safe_until_the_machine_begins_anew(daemon, other, overcommitted):
    disk = daemon.volume("disk", device=overcommitted)
    with disk.session() as session:
        fill(session)
        assert flush(session) == LOST
        assert flush(session) == LOST  # the kernel has told it once, and has forgotten the writes
        assert session.command(iscsi.write_cdb(0, 8, fua=True), write=b"x" * 4096).sense == LOST
    daemon.wait_for("sessions", 1)
    with disk.session() as session:  # the same system, after its connection was lost
        assert flush(session) == LOST
        assert not session.command(iscsi.read_cdb(0, 8), read=4096).good
    daemon.wait_for("sessions", 1)
    line, = daemon.lines("volume disk: writes to")
    assert "are lost" in line and "restart its machine" in line
    works(other)
    with disk.session(keys=FIRMWARE) as session:  # the machine was reset
        assert flush(session) == "good"
        session.write(0, b"n" * 4096)
        session.flush()


def test_a_machine_that_begins_anew_need_not_wait_for_the_old_sessions_end(daemon, overcommitted):
    disk = daemon.volume("disk", device=overcommitted)
    with disk.session() as old:
        fill(old)
        assert flush(old) == LOST
        with disk.session(keys=FIRMWARE) as session:
            assert flush(session) == "good"
        old.expect_close()


def test_who_logs_out_has_let_go_of_what_was_lost(daemon, overcommitted):
    disk = daemon.volume("disk", device=overcommitted)
    session = disk.session()
    fill(session)
    assert flush(session) == LOST
    assert session.logout() == 0
    with disk.session() as session:
        assert flush(session) == "good"


@pytest.fixture
def short_of_space(tmp_path):
    """A state directory whose layers are on a disk that has less than it says, and a file below it
    that takes what it may need to be mended."""
    state = tmp_path / "state"
    state.mkdir()
    with mounted("-t", "tmpfs", "-o", "size=40m", "tmpfs", place=tmp_path / "below") as below:
        reserve, image = below / "reserve", below / "image"
        reserve.write_bytes(os.urandom(16 * MIB))
        image.touch()
        os.truncate(image, 512 * MIB)
        # what it knows of itself is never lost, but without a journal nor does that end everything
        run("mkfs.ext4", "-q", "-O", "^has_journal", "-E", "nodiscard,lazy_itable_init=1", image)
        with mounted("-o", "loop,errors=continue", image, place=state / "layers"):
            yield state, reserve


def test_a_failed_overlay_is_mended_for_who_comes_back_at_once(tmp_path, short_of_space):
    state, reserve = short_of_space
    with SanDaemon(tmp_path / "d", state=state) as daemon:
        disk = daemon.volume("disk", size=128 * MIB, overlay=True)
        session = disk.session()
        fill(session)
        assert flush(session) == LOST
        assert session.logout() == 0
        reserve.unlink()
        with disk.session() as session:  # while the device of a sound overlay would still be open
            assert flush(session) == "good"
            session.write(0, b"n" * 4096)
            session.flush()
            assert session.read(0, 8) == b"n" * 4096


def test_lost_writes_are_told_to_everybody_who_flushes(daemon, overcommitted):
    disk = daemon.volume("disk", device=overcommitted)
    with disk.session() as session:
        fill(session)
        flushes = [session.start(iscsi.SYNCHRONIZE_CACHE) for _ in range(8)]
        session.wait(*flushes)
        assert [task.sense for task in flushes] == [LOST] * 8


# --- disks that hang ---


def test_a_disk_that_hangs_does_not_stop_others(daemon, other, hanging):
    disk = hanging.volume(daemon)
    with disk.session() as session:
        session.write(0, b"h" * MIB)
        session.flush()
        hanging.hang()
        tasks = [session.start(iscsi.write_cdb(i * 8, 8), write=b"w" * 4096) for i in range(30)]
        tasks += [session.start(iscsi.write_same_cdb(i * 8, 8), write=bytes(512)) for i in range(30)]
        tasks += [session.start(iscsi.SYNCHRONIZE_CACHE) for _ in range(30)]
        time.sleep(0.5)
        works(other)
        assert not any(task.done for task in tasks[:60])
        hanging.recover()
        session.wait(*tasks)
        assert all(task.good for task in tasks)


def test_a_session_whose_disk_hung_ends_when_it_is_well_again(daemon, hanging):
    """Linux's ladder: abort what takes too long, then give the session up."""
    disk = hanging.volume(daemon)
    session = disk.session(isid=0x00023d000001)
    session.write(0, b"h" * 4096)
    hanging.hang()
    on_disk = session.start(iscsi.write_cdb(0, 8), write=b"w" * 4096)
    session.start(iscsi.write_cdb(8, 2048), write=b"r" * MIB, immediate=0, unsolicited=0, answers_r2t=False)
    session.wait_for(iscsi.R2T)
    session.send(iscsi.Pdu(iscsi.TASK_MANAGEMENT | iscsi.IMMEDIATE, flags=iscsi.FINAL | ABORT_TASK, itt=9999,
                           referenced=on_disk.itt, cmdsn=session.cmdsn, expstatsn=session.statsn))
    time.sleep(0.3)
    session.close()
    daemon.wait_for("sessions", 0)
    hanging.recover()
    for isid in (0x00023d000001, 0x400000000007):
        with disk.session(isid=isid) as again:
            again.write(0, b"a" * 4096)
            assert again.read(0, 8) == b"a" * 4096
    daemon.stop()


def test_an_abort_waits_for_its_own_write_and_for_nothing_else(daemon, hanging):
    disk = hanging.volume(daemon)
    with disk.session() as session:
        session.write(0, b"h" * 4096)
        hanging.hang()
        on_disk = session.start(iscsi.write_cdb(0, 8), write=b"w" * 4096)
        waiting = session.start(iscsi.write_cdb(8, 2048), write=b"r" * MIB, immediate=0, unsolicited=0,
                                answers_r2t=False)
        session.wait_for(iscsi.R2T)
        session.send(iscsi.Pdu(iscsi.TASK_MANAGEMENT | iscsi.IMMEDIATE, flags=iscsi.FINAL | ABORT_TASK, itt=9999,
                               referenced=on_disk.itt, cmdsn=session.cmdsn, expstatsn=session.statsn))
        assert session.task_management(ABORT_TASK, waiting) == 0  # the other one still waits
        assert session.read(0, 8) == b"h" * 4096
        hanging.recover()
        answer = session.wait_for(iscsi.TASK_MANAGEMENT_RESPONSE)
        assert answer.itt == 9999 and answer.response == 0
        assert session.read(0, 8) == b"w" * 4096  # it was on its way, and landed before the answer


def test_a_login_that_has_to_wait_for_the_disk_is_told_so(daemon, hanging):
    disk = hanging.volume(daemon)
    session = disk.session()
    session.write(0, b"h" * 4096)
    hanging.hang()
    session.start(iscsi.write_cdb(0, 8), write=b"w" * 4096)
    time.sleep(0.3)
    session.close()
    assert refusal(daemon.portal, disk.target) == 0x0301
    assert daemon.lines("refused", "what its last session wrote is still on its way to the disk")
    assert daemon.counter("violations") == 0
    hanging.recover()
    with disk.session() as session:
        assert session.read(0, 8) == b"w" * 4096


def test_a_disk_that_is_slow_to_let_go_holds_up_only_its_own_machine(daemon, other, hanging):
    """Closing a block device writes all that is cached of it."""
    file = hanging.place / "file"
    file.touch()
    os.truncate(file, 64 * MIB)
    with loop_device(file) as device:
        disk = daemon.volume("slow", device=device)
        session = disk.session()
        session.write(0, b"s" * MIB)
        hanging.hang()
        session.close()
        daemon.wait_for("sessions", 1)
        time.sleep(0.5)
        works(other)
        result = []
        login = threading.Thread(target=lambda: result.append(refusal(daemon.portal, disk.target)))
        login.start()
        works(other)
        login.join()
        assert result == [0x0301]
        works(other)
        hanging.recover()
        wait_until(lambda: not is_open(daemon, device), "the device to be closed")
        with disk.session() as session:
            assert session.read(0, 8) == b"s" * 4096
        wait_until(lambda: not is_open(daemon, device), "the device to be closed")


def is_open(daemon: SanDaemon, device: str) -> bool:
    """Does the daemon have it open?"""
    return device in listing(f"/proc/{daemon.process.pid}/fd", os.readlink)


# --- peers that do not read ---


def test_a_machine_that_logged_out_without_reading_gets_in_again_at_once(daemon):
    disk = daemon.volume()
    session = disk.session(receive_buffer=4096)
    for _ in range(32):
        session.send(session.command_pdu(iscsi.read_cdb(0, 2048), read=MIB))
    session.send(iscsi.Pdu(iscsi.LOGOUT, flags=iscsi.FINAL, itt=9999, cmdsn=session.cmdsn))
    time.sleep(0.3)
    with disk.session() as again:
        again.write(0, b"a" * 4096)
    session.close()


def test_a_tag_is_free_as_soon_as_its_status_was_read(daemon):
    disk = daemon.volume()
    with disk.session(receive_buffer=8192) as session:
        session.write(0, b"t" * 4096)
        many = session.command_pdu(iscsi.read_cdb(0, 8), read=4096, itt=1).encode()
        many += b"".join(session.command_pdu(iscsi.read_cdb(0, 512), read=MIB // 4, itt=100 + i).encode()
                         for i in range(64))
        session.send_bytes(many)  # so that all answers leave in one piece
        while True:
            pdu = session.receive()
            if pdu.itt == 1:
                break
        time.sleep(0.2)
        session.send(session.command_pdu(iscsi.read_cdb(0, 8), read=4096, itt=1))
        while session.receive().itt != 1:
            pass
    daemon.wait_for("sessions", 0)
    assert daemon.counter("violations") == 0


def test_a_reset_does_not_wait_for_machines_that_do_not_read(daemon):
    disk = daemon.volume()
    with disk.session(receive_buffer=4096) as deaf, disk.session() as session:
        for _ in range(32):
            deaf.send(deaf.command_pdu(iscsi.read_cdb(0, 2048), read=MIB))
        time.sleep(0.3)
        assert session.task_management(LUN_RESET) == 0
