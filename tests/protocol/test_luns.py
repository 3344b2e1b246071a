"""Several LUNs per target: a node's data volumes, some of them on another I/O thread."""

import os
import random
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import BASE_IQN
from iscsilab import MIB, SanDaemon, Volume, run
from lab.iscsi import (ABORT_TASK, ABORT_TASK_SET, CLEAR_TASK_SET, DATA_OUT, FINAL, LUN_RESET, TEST_UNIT_READY,
                       WARM_RESET, LoginRefused, Pdu, Session, Task, inquiry_cdb, read_cdb, write_cdb)

NODE = f"{BASE_IQN}:web1"
#: Of the report LUNS parameter list, and of command PDUs.
WIRE = [n << 48 for n in range(8)]


def report_luns(session: Session) -> list[int]:
    """What REPORT LUNS says."""
    data = session.command(bytes([0xa0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0]), 4096).data
    size = int.from_bytes(data[:4], "big")
    assert len(data) == size + 8
    return [int.from_bytes(data[i:i + 8], "big") for i in range(8, len(data), 8)]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[SanDaemon]:
    """With three I/O threads; the ids of volumes made one after the other are spread over them."""
    with SanDaemon(tmp_path / "d", threads=3) as d:
        yield d


@pytest.fixture
def disks(daemon: SanDaemon) -> list[Volume]:
    """What node web1 boots, and three data volumes; the last is on the thread of the first."""
    disks = [daemon.volume(name, size=32 * MIB, allow=()) for name in ("boot", "data1", "data2", "data3")]
    daemon.ok("node", "add", "web1", "--mac", "52:54:00:00:00:01", "--volume", "boot")
    for n in (1, 2, 3):
        assert f"LUN {n} of node web1" in daemon.ok("volume", "attach", f"data{n}", "web1")
    return disks


def log_in(disk: Volume, **how: object) -> Session:
    """As the node."""
    return Session(disk.portal, disk.target, NODE, **how).login()


def write(session: Session, lun: int, block: int, data: bytes) -> None:
    """WRITE(16) on a LUN."""
    session.good(write_cdb(block, len(data) // 512), write=data, lun=WIRE[lun])


def read(session: Session, lun: int, block: int, size: int) -> bytes:
    """READ(16) on a LUN."""
    return session.good(read_cdb(block, size // 512), read=size, lun=WIRE[lun])


def test_cli(daemon, disks):
    shown = daemon.ok("node", "show", "web1")
    assert "LUN 1" in shown and "data1" in shown
    assert "web1, LUN 2" in daemon.ok("volume", "show", "data2")
    assert "is attached to node 'web1' as LUN 1" in daemon.refused("volume", "remove", "data1")
    daemon.ok("node", "add", "web2", "--mac", "52:54:00:00:00:02")
    assert "belongs to node 'web1'" in daemon.refused("volume", "attach", "data1", "web2")
    assert "is not attached" in daemon.refused("volume", "detach", "data1", "web2")
    daemon.volume("shared", allow=("any",))
    daemon.volume("spare")
    for node in ("web1", "web2"):
        daemon.ok("volume", "attach", "shared", node, "--lun", "200")
    assert "another volume as LUN 200" in daemon.refused("volume", "attach", "spare", "web1", "--lun", "200")
    daemon.usage("volume", "attach", "boot", "web2", "--lun", "256")
    daemon.ok("volume", "detach", "data1", "web1")
    daemon.ok("volume", "remove", "data1")


def test_luns_are_listed_and_differ(daemon, disks):
    with log_in(disks[0]) as session:
        assert report_luns(session) == WIRE[:4]
        for lun in range(4):
            write(session, lun, 8, bytes([lun + 1]) * 4096)
        for lun in range(4):
            assert read(session, lun, 8, 4096) == bytes([lun + 1]) * 4096
        assert session.command(TEST_UNIT_READY, lun=WIRE[4]).sense == "05/25/00"
        # flat addressing; and what is neither
        assert session.good(read_cdb(8, 1), read=512, lun=0x4001 << 48) == bytes([2]) * 512
        assert session.command(TEST_UNIT_READY, lun=1 << 32).sense == "05/25/00"
        assert session.command(TEST_UNIT_READY, lun=0xc101 << 48).sense == "05/25/00"
        serials = {bytes(session.good(bytes([0x12, 1, 0x80, 0, 255, 0]), read=255, lun=WIRE[lun]))
                   for lun in range(4)}
        assert len(serials) == 4
        assert session.logout() == 0
    for lun, disk in enumerate(disks):
        assert disk.bytes_at(4096, 4096) == bytes([lun + 1]) * 4096


def test_large_and_residual(daemon, disks):
    data = os.urandom(5 * MIB)
    with log_in(disks[0]) as session:
        for lun in (1, 2, 3):
            write(session, lun, 0, data)
            assert read(session, lun, 0, len(data)) == data
            task = session.command(read_cdb(0, 2), read=4096, lun=WIRE[lun])
            assert task.good and task.residual == -3072 and bytes(task.data) == data[:1024]
            task = session.command(read_cdb(1 << 40, 2), read=1024, lun=WIRE[lun])
            assert task.sense == "05/21/00"
    with log_in(disks[0], keys={"HeaderDigest": "CRC32C", "DataDigest": "CRC32C", "InitialR2T": "Yes",
                                "ImmediateData": "No", "MaxBurstLength": "65536",
                                "MaxRecvDataSegmentLength": "8192"}) as session:
        write(session, 1, 3, data[:MIB])
        assert read(session, 1, 3, MIB) == data[:MIB]


def test_many_at_once(daemon, disks):
    rng = random.Random(1)
    with log_in(disks[0]) as session:
        model = [bytearray(4 * MIB) for _ in range(4)]
        for _ in range(30):
            tasks = []
            for lun in range(4):
                for part in range(4):
                    size = rng.choice([512, 4096, 65536, 524288])
                    block = part * 2048 + rng.randrange(2048 - size // 512 + 1)
                    data = rng.randbytes(size)
                    model[lun][block * 512:block * 512 + size] = data
                    tasks.append(session.start(write_cdb(block, size // 512), write=data, lun=WIRE[lun]))
            session.wait(*tasks)
            assert all(task.good for task in tasks)
            reads = [session.start(read_cdb(0, 8192), read=4 * MIB, lun=WIRE[lun]) for lun in range(4)]
            session.wait(*reads)
            for lun, task in enumerate(reads):
                assert task.good and task.data == model[lun]


def test_connections_that_end_in_the_middle(daemon, disks):
    """With commands on every LUN at every stage; the next login finds everything in order."""
    isid = 0x80 << 40 | 0x123456 << 16
    rng = random.Random(2)
    for attempt in range(40):
        session = log_in(disks[0], isid=isid)
        for lun in (1, 2, 3, 0):
            session.start(read_cdb(0, 8192), read=4 * MIB, lun=WIRE[lun])
            session.start(write_cdb(16384, 2048), write=bytes([attempt]) * MIB, lun=WIRE[lun], answers_r2t=False)
            write(session, lun, 16000, bytes([attempt]) * 512) if rng.random() < 0.5 else None
        if attempt % 3 == 0:
            session.reset()
        elif attempt % 3 == 1:
            session.close()
        # else it is replaced by the next login of the same ISID
    with log_in(disks[0], isid=isid) as session:
        for lun in range(4):
            write(session, lun, 0, b"x" * 512)
            assert read(session, lun, 0, 512) == b"x" * 512
        assert session.logout() == 0
    daemon.wait_for("sessions", 0)


def test_abort(daemon, disks):
    with log_in(disks[0]) as session:
        for lun in (1, 2, 3):
            task = session.start(write_cdb(0, 4096), write=bytes(2 * MIB), lun=WIRE[lun], answers_r2t=False)
            assert session.task_management(ABORT_TASK, task, lun=WIRE[lun]) == 0
            write(session, lun, 0, b"y" * 512)
        held = session.start(write_cdb(0, 4096), write=bytes(2 * MIB), lun=WIRE[1], answers_r2t=False)
        other = session.start(write_cdb(0, 4096), write=b"z" * 2 * MIB, lun=WIRE[2])
        assert session.task_management(ABORT_TASK_SET, lun=WIRE[1]) == 0
        session.tasks.pop(held.itt)
        assert session.wait(other).good  # of another LUN's task set
        assert session.task_management(ABORT_TASK_SET, lun=WIRE[4]) == 2
        assert session.task_management(LUN_RESET, lun=WIRE[4]) == 2
        assert session.task_management(CLEAR_TASK_SET, lun=1 << 32) == 2


def test_in_use(daemon, disks):
    """What a node works with is not detached, and not given to another machine."""
    daemon.volume("extra", allow=("iqn.2026-11.lan.example:tester",))
    daemon.ok("volume", "attach", "extra", "web1")
    with log_in(disks[0]):
        assert NODE in daemon.refused("volume", "detach", "extra", "web1")
        with pytest.raises(LoginRefused) as refused:
            Session(daemon.portal, f"{BASE_IQN}:extra", source="127.0.0.9").login()
        assert refused.value.status == 0x0301
    daemon.wait_for("sessions", 0)
    with Session(daemon.portal, f"{BASE_IQN}:extra", source="127.0.0.9").login(), log_in(disks[0]) as session:
        assert report_luns(session) == WIRE[:4]  # without it
        assert daemon.lines("logs in without LUN 4", "in use from another address")


def test_a_lun_that_cannot_be_opened(daemon, disks):
    disks[2].path.rename(disks[2].path.with_suffix(".away"))
    with log_in(disks[0]) as session:
        assert report_luns(session) == [WIRE[0], WIRE[1], WIRE[3]]
        assert session.command(TEST_UNIT_READY, lun=WIRE[2]).sense == "05/25/00"
        assert daemon.lines("logs in without LUN 2", "data2")


def test_libiscsi(daemon, disks):
    portal = f"{disks[0].portal[0]}:{disks[0].portal[1]}"
    listed = run("iscsi-ls", "-s", "-i", NODE, f"iscsi://{portal}", check=False).stdout
    assert all(f"Lun:{n}" in listed for n in range(4)), listed
    for lun in (1, 3):
        tested = subprocess.run(["iscsi-test-cu", "--dataloss", "-n", "-i", NODE, "-t", "SCSI.Read16",
                                 f"iscsi://{portal}/{disks[0].target}/{lun}"],
                                capture_output=True, text=True, timeout=60, check=False)
        assert tested.returncode == 0, tested.stdout


def test_stop_with_sessions(daemon, disks):
    """The daemon stops while several nodes' LUNs are busy."""
    session = log_in(disks[0])
    stop = threading.Event()

    def load() -> None:
        try:
            while not stop.is_set():
                for lun in range(4):
                    write(session, lun, 0, bytes(MIB))
        except OSError:
            pass

    thread = threading.Thread(target=load)
    thread.start()
    daemon.stop()
    stop.set()
    thread.join()


def test_reset_of_a_lun_reaches_everybody_on_it(daemon, disks):
    """Of a shared volume that is LUN 1 of two nodes and a target of its own."""
    shared = daemon.volume("shared", allow=("any",))
    boots = [daemon.volume(f"boot{n}", allow=()) for n in (8, 9)]
    for n in (8, 9):
        daemon.ok("node", "add", f"web{n}", "--mac", f"52:54:00:00:00:0{n}", "--volume", f"boot{n}")
        daemon.ok("volume", "attach", "shared", f"web{n}")
    first, second = (Session(daemon.portal, boots[n].target, f"{BASE_IQN}:web{n + 8}").login() for n in (0, 1))
    with first, second, shared.session() as direct:
        write(first, 1, 0, b"1" * 4096)
        assert read(second, 1, 0, 4096) == direct.read(0, 8) == b"1" * 4096
        for function, told in ((CLEAR_TASK_SET, "06/2f/00"), (LUN_RESET, "06/29/03")):
            held = [session.start(write_cdb(0, 4096), write=b"w" * (2 * MIB), lun=WIRE[lun], answers_r2t=False)
                    for session, lun in ((first, 1), (second, 1), (direct, 0))]
            for session, lun in ((second, 1), (direct, 0)):  # they are under way there
                session.good(TEST_UNIT_READY, lun=WIRE[lun])
            kept = second.start(write_cdb(0, 4096), write=b"k" * (2 * MIB), answers_r2t=False)
            assert first.task_management(function, lun=WIRE[1]) == 0
            for session, task in zip((first, second, direct), held, strict=True):
                session.tasks.pop(task.itt)
            assert second.command(TEST_UNIT_READY, lun=WIRE[1]).sense == told
            assert direct.command(TEST_UNIT_READY).sense == told
            own = first.command(TEST_UNIT_READY, lun=WIRE[1])
            assert own.sense == told if function == LUN_RESET else own.good
            for session, lun in ((first, 0), (second, 0)):  # LUN 0 has nothing to do with it
                session.good(TEST_UNIT_READY, lun=WIRE[lun])
            assert second.task_management(ABORT_TASK, kept) == 0
        assert direct.task_management(LUN_RESET) == 0  # and from the other side
        for session in (first, second):
            assert session.command(TEST_UNIT_READY, lun=WIRE[1]).sense == "06/29/03"
        assert direct.command(TEST_UNIT_READY).sense == "06/29/03"
        assert first.task_management(WARM_RESET) == 0
        assert first.command(TEST_UNIT_READY).sense == first.command(TEST_UNIT_READY, lun=WIRE[1]).sense == "06/29/00"
        assert second.command(TEST_UNIT_READY, lun=WIRE[1]).sense == "06/29/00"
        second.good(TEST_UNIT_READY)


def write_with_wrong_datasn(session: Session, lun: int) -> Task:
    """A write whose data does not come as agreed, ended."""
    task = session.start(write_cdb(0, 4096), write=bytes(2 * MIB), lun=WIRE[lun], answers_r2t=False)
    while not task.r2ts:
        session.step()
    r2t = task.r2ts.pop()
    session.send(Pdu(DATA_OUT, bytes(512), flags=FINAL, lun=WIRE[lun], itt=task.itt, ttt=r2t.ttt,
                     expstatsn=session.statsn, datasn=7, offset=r2t.offset))
    return session.wait(task)


def select_control(session: Session, lun: int = 0, d_sense: bool = False, protect: bool = False) -> None:
    """MODE SELECT(6) of the control page."""
    page = bytes([0x0a, 10, 4 * d_sense, 0x10, 8 * protect, 0, 0, 0, 0, 0, 0, 0])
    session.good(bytes([0x15, 0x10, 0, 0, 4 + len(page), 0]), write=bytes(4) + page, lun=WIRE[lun])


def test_mode_pages_belong_to_the_lun(daemon, disks):
    """Also on another thread: what is changed there holds for everybody on it, until a reset."""
    shared = daemon.volume("shared", allow=("any",))
    daemon.ok("volume", "attach", "shared", "web1", "--lun", "7")
    with log_in(disks[0]) as session, shared.session() as direct:
        select_control(session, 7, d_sense=True)
        told = direct.command(TEST_UNIT_READY)
        assert told.sense == "06/2a/01" and told.sense_descriptors
        refused = session.command(read_cdb(1 << 40, 1), read=512, lun=WIRE[7])
        assert refused.sense == "05/21/00" and refused.sense_descriptors
        refused = session.command(read_cdb(1 << 40, 1), read=512)
        assert refused.sense == "05/21/00" and not refused.sense_descriptors
        refused = write_with_wrong_datasn(session, 7)
        assert refused.sense.startswith("0b/47/") and refused.sense_descriptors
        select_control(direct, protect=True)
        assert session.command(TEST_UNIT_READY, lun=WIRE[7]).sense == "06/2a/01"
        refused = session.command(write_cdb(0, 1), write=bytes(512), lun=WIRE[7])
        assert refused.sense == "07/27/00" and not refused.sense_descriptors
        assert session.task_management(LUN_RESET, lun=WIRE[7]) == 0
        for nexus, lun in ((session, 7), (direct, 0)):
            assert nexus.command(TEST_UNIT_READY, lun=WIRE[lun]).sense == "06/29/03"
        write(session, 7, 0, b"w" * 512)


def test_data_that_does_not_come_as_agreed(daemon, disks):
    """Costs its command on another thread, too, whether it was started or not."""
    with log_in(disks[0]) as session:
        for lun in (1, 2, 3):
            assert write_with_wrong_datasn(session, lun).sense.startswith("0b/47/")
            write(session, lun, 0, b"a" * 512)


def test_acknowledged_writes_survive_a_kill(daemon, disks):
    """On LUN 1 as on LUN 0."""
    with log_in(disks[0]) as session:
        for lun in range(4):
            write(session, lun, 64, bytes([lun + 65]) * 4096)
        daemon.kill()
    for lun, disk in enumerate(disks):
        assert disk.bytes_at(64 * 512, 4096) == bytes([lun + 65]) * 4096
    daemon.start()


def naa(session: Session, lun: int) -> bytes:
    """The designator by which others call a LUN."""
    page = session.good(inquiry_cdb(0x83), read=0xff, lun=WIRE[lun])
    assert page[4:8] == b"\x01\x03\0\x08"
    return page[8:16]


def copy_list(session: Session, source: int, destination: int, block: int, to: int, blocks: int) -> bytes:
    """The parameter list of an EXTENDED COPY of one segment, with list identifier 7."""
    cscds = b"".join(b"\xe4\0\0\0\x01\x03\0\x08" + naa(session, lun) + bytes(12) + (512).to_bytes(4, "big")
                     for lun in (source, destination))
    segment = struct.pack(">BBHHHHHQQ", 0x02, 0, 0x18, 0, 1, 0, blocks, block, to)
    return struct.pack(">BBHIII", 7, 0, len(cscds), 0, len(segment), 0) + cscds + segment


def copy_cdb(size: int) -> bytes:
    """EXTENDED COPY (LID1)."""
    return b"\x83\0" + bytes(8) + size.to_bytes(4, "big") + bytes(2)


def copy_status(session: Session, lun: int) -> bytes:
    """RECEIVE COPY RESULTS: COPY STATUS."""
    return session.good(b"\x84\0\x07" + bytes(7) + (12).to_bytes(4, "big") + bytes(2), read=12, lun=WIRE[lun])


@pytest.mark.parametrize(("asked", "source", "destination"), [
    (0, 0, 1), (0, 2, 3), (1, 0, 3), (1, 1, 0), (2, 1, 2), (3, 3, 3), (3, 0, 0)])
def test_copy_offload(daemon, disks, asked, source, destination):
    """From any LUN to any, whichever is asked, on whatever threads they are."""
    blocks, to = 1500, 20000
    data = random.Random(asked).randbytes(blocks * 512)
    with log_in(disks[0]) as session:
        write(session, source, 3, data)
        parameters = copy_list(session, source, destination, 3, to, blocks)
        session.good(copy_cdb(len(parameters)), write=parameters, lun=WIRE[asked])
        assert read(session, destination, to, len(data)) == data
        assert copy_status(session, asked) == struct.pack(">IBHBI", 8, 1, 1, 0, len(data))
    assert disks[destination].bytes_at(to * 512, len(data)) == data


@pytest.mark.parametrize("asked", range(4))
def test_the_lun_that_is_asked_to_copy_needs_no_name(daemon, disks, asked):
    """CSCD descriptor ID FFFFh."""
    data = random.Random(asked).randbytes(4096)
    with log_in(disks[0]) as session:
        write(session, asked, 3, data)
        parameters = (struct.pack(">BBHIII", 7, 0, 0, 0, 28, 0)
                      + struct.pack(">BBHHHHHQQ", 0x02, 0, 0x18, 0xffff, 0xffff, 0, 8, 3, 100))
        session.good(copy_cdb(len(parameters)), write=parameters, lun=WIRE[asked])
        assert read(session, asked, 100, 4096) == data


def test_copy_offload_reaches_only_luns_of_the_node(daemon, disks):
    """A volume of somebody else can be named, but neither read nor written."""
    own, others = disks[0], daemon.volume("others", size=32 * MIB)
    with log_in(own) as session, others.session() as stranger:
        others_data = random.Random(1).randbytes(4096)
        stranger.write(0, others_data)
        write(session, 0, 0, bytes(4096))
        page = stranger.good(inquiry_cdb(0x83), read=0xff)
        parameters = copy_list(session, 0, 1, 0, 0, 8)
        for at in (16, 48):  # as what is copied from, and to
            named = parameters[:at + 8] + page[8:16] + parameters[at + 16:]
            assert session.command(copy_cdb(len(named)), write=named).sense == "0a/0d/02"
        assert session.command(copy_cdb(len(parameters) - 1), write=parameters[:-1]).sense == "05/1a/00"
        assert stranger.read(0, 8) == others_data
        assert read(session, 1, 0, 4096) == bytes(4096)


def test_a_copy_is_aborted(daemon, disks):
    """It ends, and what comes after it has the LUN to itself."""
    with log_in(disks[0]) as session:
        parameters = copy_list(session, 0, 1, 0, 0, 65535)
        for _ in range(20):
            task = session.start(copy_cdb(len(parameters)), write=parameters)
            assert session.task_management(ABORT_TASK, task) in (0, 1)  # 1: it had ended
            write(session, 1, 65000, b"x" * 512)
            assert read(session, 1, 65000, 512) == b"x" * 512
            session.tasks.pop(task.itt, None)
