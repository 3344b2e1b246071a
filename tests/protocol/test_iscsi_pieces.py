"""Large data that comes in pieces of every size, between small commands: each byte has its place.

The daemon receives large data segments otherwise than small PDUs, and changes from one way to the other
while they come.
"""

import os
import random
from collections.abc import Iterator

import pytest
from iscsilab import MIB, SanDaemon, Session, Volume
from lab import iscsi
from lab.iscsi import LINUX

BLOCK = 512
DIGESTS = {**LINUX, "HeaderDigest": "CRC32C", "DataDigest": "CRC32C"}
KEYS = {
    "linux": LINUX,
    "digests": DIGESTS,
    "everything by R2T": {**LINUX, "InitialR2T": "Yes", "ImmediateData": "No", "MaxOutstandingR2T": "8"},
    "everything by R2T, with digests": {**DIGESTS, "InitialR2T": "Yes", "ImmediateData": "No"},
    "unsolicited data": {**LINUX, "InitialR2T": "No", "ImmediateData": "No"},
}
PIECES = (1, 47, 49, 512, 4096, 16384, 40000, 70000, 300000)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SanDaemon]:
    with SanDaemon(tmp_path_factory.mktemp("pieces") / "d") as d:
        yield d


@pytest.fixture
def disk(daemon: SanDaemon, request: pytest.FixtureRequest) -> Iterator[Volume]:
    volume = daemon.volume(f"disk{abs(hash(request.node.name)) % 10**9}", size=16 * MIB, allow=("any",))
    yield volume
    daemon.settle()


def cut(session: Session, dice: random.Random) -> None:
    """From now on what it sends leaves in pieces of any size, often with the end of one PDU in one piece with
    the beginning of the next."""
    held = bytearray()

    def send_bytes(data: bytes) -> None:
        held.extend(data)
        while len(held) > 400000 or (held and dice.random() < 0.7):
            size = dice.choice(PIECES)
            session.socket.sendall(held[:size])
            del held[:size]

    receive = session.receive

    def receive_all() -> iscsi.Pdu:
        session.socket.sendall(held)
        held.clear()
        return receive()

    session.send_bytes = send_bytes  # type: ignore[method-assign]
    session.receive = receive_all  # type: ignore[method-assign]


@pytest.mark.parametrize("name", KEYS)
def test_large_and_small_writes_in_pieces_of_any_size(disk, name):
    dice = random.Random(name)
    noise = os.urandom(2 * MIB)
    content = bytearray(16 * MIB)
    with disk.session(keys=KEYS[name]) as session:
        cut(session, dice)
        for turn in range(4 if session.data_digest else 12):
            tasks = []
            for place in range(8):
                blocks = dice.choice((1, 8, 63, 64, 129, 512, 512, 2000) if turn % 3 else (1, 8, 16))
                lba = place * 4096 + dice.randrange(4096 - blocks)
                at = dice.randrange(MIB)
                data = noise[at:at + blocks * BLOCK]
                content[lba * BLOCK:lba * BLOCK + len(data)] = data
                tasks.append(session.start(iscsi.write_cdb(lba, blocks), write=data))
                if dice.random() < 0.3:
                    tasks.append(session.start(iscsi.read_cdb(lba + 4096 & 0x7000, 8), read=8 * BLOCK))
            session.wait(*tasks)
            assert all(task.good for task in tasks), tasks
            assert session.ping(b"still here") == b"still here"
        for lba in range(0, 32768, 2048):
            assert session.read(lba, 2048) == content[lba * BLOCK:(lba + 2048) * BLOCK]
        assert session.logout() == 0


@pytest.mark.parametrize("name", ["unsolicited data", "everything by R2T", "everything by R2T, with digests"])
def test_a_command_that_ends_while_its_data_comes(daemon, name):
    """Another machine resets the LU in the middle of a segment: the rest of it goes nowhere, and what comes behind
    it is understood."""
    volume = daemon.volume(f"disk-{len(name)}", size=MIB, allow=("any",))
    data = os.urandom(256 * 1024)
    with volume.session(keys=KEYS[name]) as session, volume.session() as other:
        for turn in range(10):
            session.write(0, data)  # something large has come already
            whole = bytearray()
            send = session.send_bytes
            session.send_bytes = whole.extend
            task = session.start(iscsi.write_cdb(512, 512), write=data, answers_r2t=False)
            session.send_bytes = send
            if name.startswith("everything"):
                send(whole)
                r2t = session.wait_for(iscsi.R2T)
                session.send_bytes = whole.extend
                whole.clear()
                session.send_data_out(task, r2t.offset, r2t.desired, r2t.ttt)
                session.send_bytes = send
            else:
                send(whole[:48])
                del whole[:48]
                assert session.ping(b"the command is there") == b"the command is there"
            send(whole[:5000 + turn * 20000])
            assert other.task_management(iscsi.LUN_RESET) == 0
            send(whole[5000 + turn * 20000:])
            session.tasks.pop(task.itt)
            for s in (session, other):
                assert s.command(iscsi.TEST_UNIT_READY).sense == "06/29/03"
        assert session.read(0, 512) == data
        assert session.logout() == 0
    daemon.settle()


def test_a_connection_that_ends_while_large_data_comes(daemon, disk):
    data = os.urandom(256 * 1024)
    for turn in range(40):
        session = disk.session(keys=DIGESTS if turn % 2 else LINUX)
        for _ in range(turn % 3):
            session.write(0, data)
        whole = bytearray()
        send = session.send_bytes
        session.send_bytes = whole.extend  # type: ignore[method-assign]
        for n in range(3):
            session.start(iscsi.write_cdb(512 * n, 512), write=data)
        send(whole[:20000 * turn])
        (session.reset if turn % 4 < 2 else session.close)()
    daemon.wait_for("sessions", 0)
    with disk.session() as session:
        session.write(0, data)
        assert session.read(0, 512) == data
