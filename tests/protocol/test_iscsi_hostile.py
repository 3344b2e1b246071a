"""The iSCSI target and those who mean it no good: nobody else notices, and the log stays short.

Each peer has an address of its own. Whatever it has done, afterwards the daemon serves others as
before, has let go of the connection, has counted it, and has said so in one line.

NODISK_SEED and NODISK_MUTATIONS choose the noise.
"""

import contextlib
import itertools
import os
import random
import select
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from daemon import BASE_IQN, plain_program, wait_until
from iscsilab import INITIATOR, MIB, SanDaemon, Session, Volume
from lab import iscsi
from lab.iscsi import (
    CONTINUE,
    FINAL,
    FIRMWARE,
    FULL_FEATURE,
    IMMEDIATE,
    LINUX,
    OPERATIONAL,
    LoginRefused,
    Pdu,
    discover,
)

SEED = int(os.environ.get("NODISK_SEED", "1"))
MUTATIONS = int(os.environ.get("NODISK_MUTATIONS", "3000"))
DIGESTS = {**LINUX, "HeaderDigest": "CRC32C", "DataDigest": "CRC32C"}

_addresses = itertools.count(1)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    with SanDaemon(tmp_path_factory.mktemp("hostile") / "d") as d:
        yield d


@pytest.fixture(scope="module")
def disk(daemon) -> Volume:
    return daemon.volume(size=MIB, allow=("any",))


def check_service(disk: Volume) -> None:
    """What everybody else wants of the daemon."""
    data = os.urandom(8192)
    with disk.session() as session:
        session.write(16, data)
        assert session.read(16, 16) == data
        assert session.logout() == 0


class Peer:
    """Somebody with an address of his own."""

    def __init__(self, daemon: SanDaemon, disk: Volume) -> None:
        n = next(_addresses)
        self.daemon, self.disk = daemon, disk
        self.source = f"127.1.{n >> 8}.{n & 255}"
        self.before = {name: daemon.counter(name) for name in ("violations", "refused")}

    def connect(self, **how: object) -> Session:
        """A connection, before any login."""
        return Session(self.disk.portal, self.disk.target, source=self.source, **how)

    def session(self, **how: object) -> Session:
        """A session that is logged in."""
        return self.disk.session(source=self.source, **how)

    def wait_counted(self, name: str, times: int) -> None:
        """Until so many deeds of this peer are counted."""
        self.daemon.wait_for(name, self.before[name] + times)

    def lines(self, *words: str) -> list[str]:
        """Warnings about this peer."""
        return self.daemon.lines("warning: ", f"from {self.source} ", *words)

    def check_alone(self) -> None:
        """Nobody else has noticed, and there is at most one line of each kind."""
        assert self.daemon.process.poll() is None, self.daemon.output()
        check_service(self.disk)
        self.daemon.wait_for("sessions", 0)
        assert len(self.lines("dropped")) <= 1 and len(self.lines("refused")) <= 1


@pytest.fixture
def peer(daemon, disk):
    peer = Peer(daemon, disk)
    yield peer
    peer.check_alone()


def drain(sock: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while got := sock.recv(65536):
            data += got
    sock.close()
    return data


# --- strangers ---


def test_a_stranger_who_asks_for_targets_again_and_again_does_not_fill_the_log(peer):
    for _ in range(10):
        discover(peer.disk.portal, "iqn.2020-01.org.example:stranger", source=peer.source)
    assert len(peer.daemon.lines(f"from {peer.source}")) <= 2


def test_who_cannot_be_served_may_try_again_and_again_without_filling_the_log(peer):
    broken = peer.daemon.volume("broken", size=MIB, allow=("any",))
    broken.path.unlink()
    for _ in range(10):
        with Session(broken.portal, broken.target, source=peer.source) as session, pytest.raises(LoginRefused):
            session.login()
    assert len(peer.daemon.lines("error: ", "volume broken")) == 1


def test_who_was_admitted_as_one_cannot_become_another(peer):
    """Discovery is open to everybody; a disk is not."""
    with Session(peer.disk.portal, None, "iqn.2020-01.org.example:stranger", source=peer.source) as session:
        session.exchange_login({**session.identity(), "AuthMethod": "None"})
        with pytest.raises(LoginRefused) as refused:
            session.exchange_login({"SessionType": "Normal", "TargetName": peer.disk.target}, next_stage=FULL_FEATURE)
    assert refused.value.status == 0x0200
    with Session(peer.disk.portal, peer.disk.target, source=peer.source) as session:
        session.exchange_login({**session.identity(), "AuthMethod": "None"})
        session.exchange_login(session.identity())  # to say it again does no harm
        with pytest.raises(LoginRefused) as refused:
            session.exchange_login({"InitiatorName": "iqn.2020-01.org.example:stranger"})
    assert refused.value.status == 0x0200
    assert "stranger" not in "".join(peer.lines("refused", peer.disk.target))


# --- what is no login ---


@pytest.mark.parametrize("greeting", [
    pytest.param(b"GET / HTTP/1.1\r\nHost: example\r\nAccept: everything\r\n\r\n", id="HTTP"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), id="TLS"),
    pytest.param(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3 and some more words\r\n", id="SSH"),
    pytest.param(bytes(48), id="zeroes"),
    pytest.param(b"\xff" * 4096, id="ones"),
    pytest.param(Pdu(iscsi.COMMAND, flags=0x81, itt=1).encode(), id="a command"),
    pytest.param(Pdu(iscsi.NOP_OUT | IMMEDIATE, flags=FINAL, length=0xffffff).encode(), id="a ping of 16 MiB"),
])
def test_what_is_no_login_is_dropped_at_once(peer, greeting):
    for _ in range(5):
        connection = peer.connect()
        connection.send_bytes(greeting)
        assert drain(connection.socket) == b""
    peer.wait_counted("violations", 5)
    line, = peer.lines("dropped")
    assert line.endswith("connection of an initiator without a name from "
                         f"{peer.source} dropped: does not speak iSCSI login")


def name_of(size: int) -> str:
    return (BASE_IQN + ":" + "x" * 300)[:size]


def keys(session: Session, **changes: str | None) -> dict[str, str]:
    """The keys of a first request, with changes."""
    return {key: value for key, value in {**session.identity(), "AuthMethod": "None", **changes}.items() if value}


#: A first login request that is refused: what is wrong, how it is made, status.
REFUSED: dict[str, tuple[Callable[[Session], Pdu], int]] = {
    "no InitiatorName": (lambda s: s.login_pdu(keys(s, InitiatorName=None), 1), 0x0207),
    "no TargetName": (lambda s: s.login_pdu(keys(s, TargetName=None), 1), 0x0207),
    "no keys at all": (lambda s: s.login_pdu({}, 1), 0x0207),
    "unknown session type": (lambda s: s.login_pdu(keys(s, SessionType="Curious"), 1), 0x0209),
    "a version to come": (lambda s: s.login_pdu(keys(s), 1, version_min=1), 0x0205),
    "CHAP or nothing": (lambda s: s.login_pdu(keys(s, AuthMethod="CHAP"), 1), 0x0201),
    "unknown target": (lambda s: s.login_pdu(keys(s, TargetName=f"{BASE_IQN}:none"), 1), 0x0203),
    "T and C at once": (lambda s: s.login_pdu(keys(s), 1, more=True), 0x0200),
    "stage 2": (lambda s: s.login_pdu(keys(s), flags=0x08), 0x0200),
    "stage 3": (lambda s: s.login_pdu(keys(s), flags=0x0c), 0x0200),
    "a transition to stage 2": (lambda s: s.login_pdu(keys(s), 2), 0x0200),
    "a transition to itself": (lambda s: s.login_pdu(keys(s), 0), 0x0200),
    "a transition backwards": (lambda s: s.login_pdu(keys(s), flags=0x84), 0x0200),
    "text without =": (lambda s: login_with(s, b"InitiatorName\0"), 0x0200),
    "text without a key": (lambda s: login_with(s, b"=value\0"), 0x0200),
    "a key of 64 letters": (lambda s: login_with(s, b"k" * 64 + b"=1\0"), 0x0200),
    "binary text": (lambda s: login_with(s, bytes(range(128, 256)) * 8), 0x0200),
    "a name of 224 letters": (lambda s: s.login_pdu(keys(s, InitiatorName=name_of(224)), 1), 0x0200),
    "a name of 8000 letters": (lambda s: s.login_pdu(keys(s, InitiatorName="iqn." + "x" * 7990), 1), 0x0200),
    "a name of two lines": (lambda s: s.login_pdu(keys(s, InitiatorName="iqn.x\nwarning: forged"), 1), 0x0200),
    "a target of two lines": (lambda s: s.login_pdu(keys(s, TargetName="iqn.x\nwarning: forged"), 1), 0x0200),
    "a name with a path": (lambda s: s.login_pdu(keys(s, TargetName="../../etc/passwd"), 1), 0x0200),
}


def login_with(session: Session, data: bytes, next_stage: int | None = OPERATIONAL, more: bool = False) -> Pdu:
    """A request with this text; by default a first one."""
    pdu = session.login_pdu((), next_stage, more=more)
    pdu.data = data
    return pdu.set(length=len(data))


@pytest.mark.parametrize("name", REFUSED)
def test_a_login_request_that_is_refused(peer, name):
    make, status = REFUSED[name]
    with peer.connect() as session:
        request = make(session)
        session.send(request)
        with pytest.raises(LoginRefused) as refused:
            session.login_response(request)
        assert refused.value.status == status
        session.expect_close()
    peer.wait_counted("refused", 1)
    assert peer.daemon.lines("forged") == []


def test_a_login_that_never_comes_to_an_end(peer):
    with peer.connect() as session:
        session.exchange_login(keys(session))
        with pytest.raises(LoginRefused) as refused:
            for _ in range(100):
                session.exchange_login({})
        assert refused.value.status == 0x0200
    with peer.connect() as session, pytest.raises(LoginRefused) as refused:
        for _ in range(100):
            session.exchange_login({"X-a": "x" * 4000}, more=True)
    assert refused.value.status == 0x0200
    peer.wait_counted("refused", 2)


@pytest.mark.parametrize("change", [{"isid": 1}, {"cid": 7}, {"flags": 0x83}])
def test_a_login_that_changes_its_mind(peer, change):
    with peer.connect() as session, pytest.raises(LoginRefused) as refused:
        session.exchange_login(keys(session), next_stage=OPERATIONAL)
        session.exchange_login(LINUX, next_stage=FULL_FEATURE, **change)
    assert refused.value.status == 0x0200
    peer.wait_counted("refused", 1)


def test_values_that_no_key_may_have_are_rejected_one_by_one(peer):
    wrong = {"HeaderDigest": "MD5", "DataDigest": "", "MaxConnections": "0", "InitialR2T": "Perhaps",
             "ImmediateData": "yes", "MaxRecvDataSegmentLength": "511", "MaxBurstLength": "16777216",
             "FirstBurstLength": "-1", "DefaultTime2Wait": "3601", "MaxOutstandingR2T": "0x10000",
             "ErrorRecoveryLevel": "3", "DataPDUInOrder": "1", "TaskReporting": "Everything"}
    with peer.connect() as session:
        session.exchange_login(keys(session), next_stage=OPERATIONAL)
        session.keys = {}
        session.exchange_login({**wrong, "X-unknown": "1"}, next_stage=FULL_FEATURE)
        for key in wrong:
            expected = None if key == "MaxRecvDataSegmentLength" else "Reject"
            assert expected is None or session.agreed[key] == expected, key
        assert session.agreed["X-unknown"] == "NotUnderstood"
        # the defaults of the standard hold
        session.agreed = {"MaxRecvDataSegmentLength": "262144"}
        session.write(0, b"d" * 100000)
        assert session.read(0, 100000 // 512) == b"d" * (100000 // 512 * 512)
        session.logout()


# --- answers that are longer than a PDU (RFC 7143 6.2) ---

LONG = {f"X-com.example.{n:04}": "1" for n in range(300)}  # answered in 9600 bytes


@pytest.mark.parametrize("segment", (8192, 512))
def test_a_long_answer_to_a_login_request_comes_in_parts(peer, segment):
    with peer.connect() as session:
        session.keys = {"MaxRecvDataSegmentLength": str(segment)}
        session.exchange_login(keys(session), next_stage=OPERATIONAL)
        session.receive_limit = segment
        session.exchange_login({**session.keys, **LONG}, next_stage=FULL_FEATURE)
        assert session.stage == FULL_FEATURE
        assert {key: session.agreed.get(key) for key in LONG} == dict.fromkeys(LONG, "NotUnderstood")
        assert session.agreed["MaxRecvDataSegmentLength"] == "262144"
        session.write(0, b"d" * 512)
        assert session.read(0, 1) == b"d" * 512
        session.logout()


@pytest.mark.parametrize("more", ({"Y": "1"}, {}))
def test_whoever_does_not_fetch_the_rest_of_an_answer_is_refused(peer, more):
    with peer.connect() as session:
        session.exchange_login(keys(session), next_stage=OPERATIONAL)
        request = session.login_pdu(LONG, next_stage=FULL_FEATURE)
        session.send(request)
        assert session.login_response(request).flags & CONTINUE
        with pytest.raises(LoginRefused) as refusal:
            session.exchange_login(more, **({"next_stage": FULL_FEATURE} if more else {"more": True}))
        assert refusal.value.status == 0x0200
        session.expect_close()


def test_an_answer_that_would_take_more_than_64_kib_is_refused(peer):
    with peer.connect() as session:
        session.exchange_login(keys(session), next_stage=OPERATIONAL)
        keys_not_known = b"a=\0" * 2700
        first = login_with(session, keys_not_known[:8100], None, more=True)
        session.send(first)
        session.login_response(first)
        last = login_with(session, keys_not_known, FULL_FEATURE)
        session.send(last)
        with pytest.raises(LoginRefused) as refusal:
            session.login_response(last)
        assert refusal.value.status == 0x0200
        session.expect_close()
    wait_until(lambda: peer.lines("too many keys in one login request"), "the reason in the log")


# --- PDUs that are cut off ---


def every_pdu(session: Session) -> dict[str, Pdu]:
    """One of each kind that an initiator sends."""
    write = session.command_pdu(iscsi.write_cdb(0, 8), write=bytes(4096))
    write.data = bytes(4096)
    write.set(length=4096)
    return {
        "ping": Pdu(iscsi.NOP_OUT | IMMEDIATE, b"x" * 99, flags=FINAL, itt=77, ttt=iscsi.RESERVED_TAG, cmdsn=2),
        "read": session.command_pdu(iscsi.read_cdb(0, 8), read=4096),
        "write": write,
        "write with an AHS": Pdu(iscsi.COMMAND, bytes(512), ahs=bytes(252), flags=0xa1, edtl=512, cmdsn=1, itt=78,
                                 cdb=int.from_bytes(iscsi.write_cdb(0, 1), "big")),
        "task management": Pdu(iscsi.TASK_MANAGEMENT | IMMEDIATE, flags=FINAL | 2, itt=79, cmdsn=1),
        "login": session.login_pdu(LINUX, 3),
        "text": Pdu(iscsi.TEXT, b"SendTargets=\0", flags=FINAL, itt=80, ttt=iscsi.RESERVED_TAG, cmdsn=1),
        "data-out": Pdu(iscsi.DATA_OUT, bytes(4096), flags=FINAL, itt=81, ttt=0),
        "logout": Pdu(iscsi.LOGOUT | IMMEDIATE, flags=FINAL, itt=82, cmdsn=1),
        "snack": Pdu(iscsi.SNACK, flags=FINAL, itt=83),
        "unknown": Pdu(0x1f, bytes(100), flags=FINAL, itt=84),
    }


@pytest.mark.parametrize("keys", [LINUX, DIGESTS], ids=["plain", "digests"])
def test_every_kind_of_pdu_cut_off_anywhere(peer, keys):
    for name in every_pdu(peer.connect()):
        size = 1 << 20
        for cut in (1, 3, 4, 8, 47, 48, 49, 52, 100, 300, size):
            with peer.session(keys=keys) as session:
                data = every_pdu(session)[name].encode(session.header_digest, session.data_digest)
                size = len(data)
                session.send_bytes(data[:min(cut, size - 1)])
                session.socket.shutdown(socket.SHUT_WR)
                drain(session.socket)
    for cut in (0, 1, 47, 48, 49, 200):
        with peer.connect() as connection:
            connection.send_bytes(connection.login_pdu(LINUX, 1).encode()[:cut])
    assert peer.lines() == []


def test_connections_that_break_in_the_middle_of_data(peer):
    data = os.urandom(300 * 1024)
    for n in range(60):
        session = peer.session(keys=FIRMWARE if n % 2 else LINUX)
        tasks = [session.start(iscsi.write_cdb(0, 600), write=data, answers_r2t=False, immediate=0, unsolicited=0)]
        session.start(iscsi.read_cdb(0, 2048), read=MIB)
        session.wait_for(iscsi.R2T if n % 3 else iscsi.DATA_IN)
        for r2t in tasks[0].r2ts:
            pdu = Pdu(iscsi.DATA_OUT, data[:8192], itt=tasks[0].itt, ttt=r2t.ttt, offset=r2t.offset)
            session.send_bytes(pdu.encode()[:48 + n * 100])
        if n % 4 < 2:
            session.reset()
        else:
            session.close()
    peer.daemon.wait_for("sessions", 0)
    assert peer.lines() == []


# --- what breaks the protocol ends the connection ---


def r2t_of(session: Session, size: int = 65536) -> tuple[iscsi.Task, Pdu]:
    """A write of which everything is asked for."""
    task = session.start(iscsi.write_cdb(0, size // 512), write=b"w" * size, immediate=0, unsolicited=0,
                         answers_r2t=False)
    return task, session.wait_for(iscsi.R2T)


def answer_r2t(session: Session, size: int = 8192, **fields: int) -> None:
    """A Data-Out that is right but for `fields`."""
    task, r2t = r2t_of(session)
    session.send(Pdu(iscsi.DATA_OUT, task.data_out[:size],
                     **{"itt": task.itt, "ttt": r2t.ttt, "offset": r2t.offset, **fields}))


def unsolicited(session: Session, size: int = 4096, **fields: int) -> None:
    """A write that announces unsolicited data, and a Data-Out that is right but for `fields`."""
    pdu = session.command_pdu(iscsi.write_cdb(0, 128), write=b"w" * 65536, flags=0x21)
    session.send(pdu)
    session.send(Pdu(iscsi.DATA_OUT, b"w" * size, **{"itt": pdu.itt, "ttt": iscsi.RESERVED_TAG, **fields}))


def same_tag_twice(session: Session) -> None:
    task, _ = r2t_of(session)
    session.send(session.command_pdu(iscsi.TEST_UNIT_READY, itt=task.itt))


def immediate_data(session: Session, size: int) -> None:
    pdu = session.command_pdu(iscsi.write_cdb(0, 1024), write=bytes(524288))
    pdu.data = bytes(size)
    session.send(pdu.set(length=size))


def damaged(session: Session, at: int) -> None:
    pdu = bytearray(Pdu(iscsi.NOP_OUT | IMMEDIATE, b"ping" * 4, flags=FINAL, itt=5).encode(True, True))
    pdu[at] ^= 0x10
    session.send_bytes(pdu)


def ping(session: Session, **fields: int) -> None:
    session.send(Pdu(iscsi.NOP_OUT, **{"flags": FINAL, "itt": 5, "cmdsn": session.cmdsn, **fields}))


def text_pdu(session: Session, data: bytes, **fields: int) -> None:
    session.send(Pdu(iscsi.TEXT | IMMEDIATE, data, **{"flags": FINAL, "itt": 5, "ttt": iscsi.RESERVED_TAG,
                                                     "cmdsn": session.cmdsn, **fields}))


#: What is done in a session, with which keys, and what the log says of it.
VIOLATIONS: dict[str, tuple[Callable[[Session], object], dict[str, str], str]] = {
    "a segment of 16 MiB": (lambda s: ping(s, length=0xffffff), LINUX, "longer than agreed"),
    "a segment of one byte too many": (lambda s: ping(s, length=262145), LINUX, "longer than agreed"),
    "a command with 16 MiB": (lambda s: s.send(s.command_pdu(iscsi.write_cdb(0, 1), write=b"x", length=0xffffff)),
                              LINUX, "longer than agreed"),
    "a Data-Out of 16 MiB": (lambda s: s.send(Pdu(iscsi.DATA_OUT, itt=1, length=0xfffffc)), LINUX,
                             "longer than agreed"),
    "an unknown request of 16 MiB": (lambda s: s.send(Pdu(0x1e, itt=1, length=0xfffffc)), LINUX,
                                     "longer than agreed"),
    "a login after the login": (lambda s: s.send(s.login_pdu(LINUX, 3)), LINUX, "login request after the login"),
    "a gap in CmdSN": (lambda s: ping(s, cmdsn=s.cmdsn + 1), LINUX, "left out a CmdSN"),
    "a tag in use": (same_tag_twice, LINUX, "the tag of another one under way"),
    "Data-Out at a wrong place": (lambda s: answer_r2t(s, offset=512), LINUX, "not asked for"),
    "Data-Out far behind the end": (lambda s: answer_r2t(s, offset=0xfffffe00), LINUX, "not asked for"),
    "unsolicited data out of order": (lambda s: unsolicited(s, offset=512), LINUX, "out of order"),
    "a damaged header": (lambda s: damaged(s, 20), DIGESTS, "header digest error"),
    "a damaged length": (lambda s: damaged(s, 6), DIGESTS, "header digest error"),
    "damaged data": (lambda s: damaged(s, 55), DIGESTS, "data digest error"),
    "a damaged data digest": (lambda s: damaged(s, -1), DIGESTS, "data digest error"),
    "text that is no text": (lambda s: text_pdu(s, b"SendTargets\0"), LINUX, "not key=value"),
    "long text": (lambda s: text_pdu(s, b"X-a=1234\0" * 8000), LINUX, "too long"),
    "text of strange keys": (lambda s: text_pdu(s, b"X a\x80=1\0"), LINUX, "not key=value"),
    "what firmware never asks for": (lambda s: s.send(Pdu(0x1c, itt=1)), FIRMWARE, "not supported"),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violation_ends_the_connection_and_is_told(peer, name):
    act, keys, reason = VIOLATIONS[name]
    for _ in range(2):
        with peer.session(keys=keys) as session:
            act(session)
            with contextlib.suppress(OSError):
                session.send_bytes(bytes(4096))  # whatever comes behind is not looked at
            session.expect_close()
    peer.wait_counted("violations", 2)
    line, = peer.lines("dropped")
    assert f"connection of {INITIATOR} from {peer.source} dropped: " in line and reason in line


# --- what is wrong but harms nobody but its sender ---


def spoiled_r2t(session: Session, size: int = 8192, **fields: int) -> None:
    """A Data-Out that is wrong in `fields`, and what ends its sequence."""
    task, r2t = r2t_of(session)
    right = {"itt": task.itt, "ttt": r2t.ttt, "offset": r2t.offset}
    session.send(Pdu(iscsi.DATA_OUT, task.data_out[:size], **{**right, **fields}))
    if not fields.get("flags"):
        session.send(Pdu(iscsi.DATA_OUT, b"", flags=FINAL, **right))


def spoiled_unsolicited(session: Session, **how: int) -> None:
    unsolicited(session, **how)
    session.send(Pdu(iscsi.DATA_OUT, b"", flags=FINAL, itt=session.itt, ttt=iscsi.RESERVED_TAG))


def damaged_data_out(session: Session) -> None:
    task, r2t = r2t_of(session)
    pdu = bytearray(Pdu(iscsi.DATA_OUT, task.data_out, flags=FINAL, itt=task.itt, ttt=r2t.ttt).encode(True, True))
    pdu[1000] ^= 1
    session.send_bytes(pdu)
    assert session.receive().response == 2  # a Reject


COLD_RESET = 7
UNEXPECTED, AMOUNT, SEQUENCE = (0x0b, 0x0c, 0x0c), (0x0b, 0x0c, 0x0d), (0x0b, 0x47, 0x05)
SHORT_BURST = {**LINUX, "FirstBurstLength": "4096"}

#: Data that does not come as agreed, with which keys, and the sense that its command ends with (11.4.7.2).
SPOILED: dict[str, tuple[Callable[[Session], object], dict[str, str], tuple[int, int, int]]] = {
    "immediate data although No": (lambda s: immediate_data(s, 512), FIRMWARE, UNEXPECTED),
    "too much immediate data": (lambda s: immediate_data(s, 5120), SHORT_BURST, AMOUNT),
    "a wrong DataSN": (lambda s: spoiled_r2t(s, datasn=1), LINUX, SEQUENCE),
    "a wrong DataSN from firmware": (lambda s: spoiled_r2t(s, datasn=1), FIRMWARE, SEQUENCE),
    "more than asked for": (lambda s: spoiled_r2t(s, size=66048), LINUX, AMOUNT),
    "a sequence that ends early": (lambda s: spoiled_r2t(s, flags=FINAL), LINUX, AMOUNT),
    "a sequence that does not end": (lambda s: spoiled_r2t(s, size=65536), LINUX, AMOUNT),
    "unsolicited data with a wrong DataSN": (lambda s: spoiled_unsolicited(s, datasn=7), LINUX, SEQUENCE),
    "too much unsolicited data": (lambda s: spoiled_unsolicited(s, size=8192), SHORT_BURST, AMOUNT),
    "unsolicited data far behind the end": (lambda s: spoiled_unsolicited(s, offset=0xfffffff0), LINUX, AMOUNT),
    "damaged data": (damaged_data_out, DIGESTS, SEQUENCE),
}


@pytest.mark.parametrize("name", SPOILED)
def test_data_that_does_not_come_as_agreed_costs_its_command_only(peer, name):
    act, keys, sense = SPOILED[name]
    with peer.session(keys=keys) as session:
        session.write(0, b"k" * 65536)
        for _ in range(2):
            act(session)
            while (pdu := session.receive()).opcode != iscsi.RESPONSE:
                assert pdu.opcode == iscsi.R2T
            assert pdu.header[3] == 0x02
            assert (pdu.data[4] & 15, pdu.data[14], pdu.data[15]) == sense
        assert session.read(0, 128) == b"k" * 65536
        assert session.logout() == 0
    assert peer.lines() == []


@pytest.mark.parametrize("opcode", [0x07, 0x0f, 0x11, 0x1c, 0x1f, 0x20, 0x21, 0x25, 0x31, 0x32, 0x3f])
def test_an_unknown_opcode_is_rejected_with_its_header(peer, opcode):
    with peer.session() as session:
        bad = Pdu(opcode, b"data", flags=FINAL, itt=7, cmdsn=session.cmdsn)
        session.send(bad)
        pdu = session.wait_for(iscsi.REJECT)
        assert pdu.response == 0x05 and pdu.data == bytes(bad.header)
        assert session.ping(b"alive") == b"alive"
        session.logout()


def test_text_out_of_order_is_rejected(peer):
    with peer.session() as session:
        for how in ({"ttt": 1}, {"ttt": 7}, {"flags": 0xc0}):
            text_pdu(session, b"", **how)
            assert session.wait_for(iscsi.REJECT).response == 0x04
        assert session.ping(b"alive") == b"alive"
        session.logout()


def test_a_snack_is_rejected(peer):
    with peer.session() as session:
        session.send(Pdu(iscsi.SNACK, flags=FINAL, itt=7))
        assert session.wait_for(iscsi.REJECT).response == 0x03
        assert session.ping(b"alive") == b"alive"


@pytest.mark.parametrize("cmdsn", [-1, -1000, -(1 << 31), 128, 1000, (1 << 31) - 1])
def test_a_command_outside_of_the_window_is_ignored(peer, cmdsn):
    with peer.session() as session:
        outside = session.cmdsn + cmdsn & 0xffffffff
        session.send(session.command_pdu(iscsi.TEST_UNIT_READY, cmdsn=outside))
        pdu = session.command_pdu(iscsi.write_cdb(0, 8), write=bytes(4096), cmdsn=outside)
        pdu.data = b"w" * 4096
        session.send(pdu.set(length=4096))
        assert session.ping(b"alive") == b"alive"  # and nothing came before it
        assert session.read(0, 8) != b"w" * 4096


def test_data_that_belongs_to_nothing_is_let_pass(peer):
    with peer.session() as session:
        for fields in ({"itt": 0x1234, "ttt": 0}, {"itt": 0x1234, "ttt": iscsi.RESERVED_TAG},
                       {"itt": iscsi.RESERVED_TAG, "ttt": iscsi.RESERVED_TAG}):
            session.send(Pdu(iscsi.DATA_OUT, bytes(8192), flags=FINAL, **fields))
        task, r2t = r2t_of(session)
        session.send(Pdu(iscsi.DATA_OUT, b"x" * 65536, flags=FINAL, itt=task.itt, ttt=r2t.ttt ^ 0x5555))
        session.send_data_out(task, 0, 65536, r2t.ttt)
        session.send(Pdu(iscsi.DATA_OUT, b"x" * 65536, flags=FINAL, itt=task.itt, ttt=r2t.ttt))  # again
        session.wait(task)
        assert task.good and session.read(0, 128) == b"w" * 65536
        reading = session.start(iscsi.read_cdb(0, 2048), read=MIB)
        session.send(Pdu(iscsi.DATA_OUT, b"x" * 65536, flags=FINAL, itt=reading.itt, ttt=3))
        assert session.wait(reading).good


def test_additional_header_segments_are_skipped(peer):
    with peer.session(keys=DIGESTS) as session:
        for words in (1, 2, 63, 255):
            pdu = session.command_pdu(iscsi.read_cdb(0, 1), read=512, ahs_length=words)
            pdu.ahs = os.urandom(4 * words)
            session.tasks[pdu.itt] = task = iscsi.Task(pdu.itt, b"", 512)
            session.send(pdu)
            assert session.wait(task).good
        session.logout()


def test_flags_and_luns_that_make_no_sense(peer):
    with peer.session() as session:
        for flags in (0x80, 0xc1, 0xa1, 0xe1, 0x9a, 0xfb):
            task = session.start(iscsi.TEST_UNIT_READY, flags=flags)
            assert session.wait(task).good
        for flags in (0x84, 0x9f, 0xff):  # task attributes that there are not
            task = session.start(iscsi.TEST_UNIT_READY, flags=flags)
            assert session.wait(task).sense == "05/49/00"
        for lun in (1, 1 << 48, 0xffff << 48, 0x4001 << 48, (1 << 64) - 1):
            assert session.command(iscsi.TEST_UNIT_READY, lun=lun).sense == "05/25/00"
            assert session.good(iscsi.inquiry_cdb(), read=255, lun=lun)[0] == 0x7f
        for opcode in range(256):
            session.command(bytes([opcode]) + bytes(15), read=4096)
            session.command(bytes([opcode]) + b"\xff" * 15, read=4096)
            session.command(bytes([opcode]) + b"\xff" * 15, write=bytes(4096))
        assert session.ping(b"alive") == b"alive"


@pytest.mark.parametrize("header, sense", [
    (struct.pack("!HHI", 6, 0, 0), ""), (struct.pack("!HHI", 0, 0, 0), ""),
    (struct.pack("!HHI", 0xffff, 16, 0), "05/26/00"), (struct.pack("!HHI", 22, 0xfff0, 0), "05/26/00"),
    (struct.pack("!HHIQII", 22, 16, 0, 1 << 63, 1, 0), "05/21/00"),
    (struct.pack("!HHIQII", 22, 16, 0, 0, 0xffffffff, 0), "05/21/00"),
    (struct.pack("!HHIQII", 22, 16, 0, (1 << 64) - 1, 1, 0), "05/21/00"),
    (struct.pack("!HHIQII", 22, 17, 0, 0, 0, 0)[:24], "05/26/00"), (b"abcd", "05/1a/00"),
])
def test_lists_of_unmap_that_make_no_sense(peer, header, sense):
    with peer.session() as session:
        assert session.command(iscsi.unmap_cdb(len(header)), write=header).sense == sense
        assert session.command(iscsi.unmap_cdb(0xffff), write=header).sense == sense  # less than it says


def test_task_management_for_everything_and_nothing(peer):
    with peer.session() as session:
        for function in (f for f in range(128) if f != COLD_RESET):
            response = session.task_management(function, lun=function << 48 if function % 3 else 0)
            assert response in (0, 1, 2, 4, 5), function
        while session.command(iscsi.TEST_UNIT_READY).sense.startswith("06/"):
            pass
        tasks = [r2t_of(session)[0] for _ in range(20)]
        for task in tasks:
            assert session.task_management(iscsi.ABORT_TASK, task) == 0
        assert session.task_management(iscsi.ABORT_TASK_SET) == 0


def test_a_cold_reset_is_answered_and_ends_every_session(peer):
    with peer.session() as first, peer.session() as second:
        assert first.task_management(COLD_RESET) == 0
        first.expect_close()
        second.expect_close()
    assert peer.lines() == []


def test_after_a_logout_nothing_is_answered(peer):
    with peer.session() as session:
        session.send(Pdu(iscsi.LOGOUT | IMMEDIATE, flags=FINAL, itt=1, cmdsn=session.cmdsn))
        with contextlib.suppress(OSError):  # it may be closed already
            session.send_bytes(Pdu(iscsi.NOP_OUT | IMMEDIATE, flags=FINAL, itt=9, cmdsn=session.cmdsn).encode() * 50)
        assert session.wait_for(iscsi.LOGOUT_RESPONSE).response == 0
        assert drain(session.socket) == b""


# --- noise ---


class Recorder(Session):
    """A session that remembers all that it sent."""

    recorded = b""

    def send_bytes(self, data: bytes) -> None:
        self.recorded += data
        super().send_bytes(data)


def good_conversation(disk: Volume, keys: dict[str, str]) -> bytes:
    """The initiator's half of a talk about everything."""
    with Recorder(disk.portal, disk.target, isid=0x80abcdef0000, keys=keys) as session:
        session.login()
        session.task_management(iscsi.ABORT_TASK_SET)
        session.good(iscsi.inquiry_cdb(), read=255)
        session.good(iscsi.inquiry_cdb(0x83), read=255)
        session.capacity()
        session.write(0, b"w" * 1024)
        session.write(8, b"w" * 1536, immediate=512 if session.immediate_data else 0, unsolicited=0)
        session.write(8, b"w" * 1536, immediate=0, unsolicited=0 if session.initial_r2t else 512)
        session.read(0, 16)
        session.write_same(0, 100, b"s" * 512)
        session.unmap((8, 8), (100, 3))
        session.good(bytes([0x1a, 0, 0x3f, 0, 0xff, 0]), read=255)
        session.flush()
        session.ping(b"ping" * 10)
        session.text_request({"SendTargets": ""})
        session.logout()
        return session.recorded


def mutate(chance: random.Random, good: bytes) -> bytes:
    """The same with something wrong."""
    data = bytearray(good)
    kind = chance.randrange(8)
    at = chance.randrange(len(data))
    if kind < 4:  # flip bits
        for _ in range(chance.choice((1, 1, 1, 2, 8, 64))):
            at = chance.randrange(len(data))
            data[at] ^= 1 << chance.randrange(8)
    elif kind == 4:  # overwrite
        data[at:at + 4] = chance.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", chance.randbytes(4)))
    elif kind == 5:  # take out
        del data[at:at + chance.randrange(1, 100)]
    elif kind == 6:  # put in
        data[at:at] = chance.randbytes(chance.randrange(1, 100))
    else:  # repeat
        data[at:at] = data[at:at + chance.randrange(1, 500)]
    return bytes(data)


def until_silence(sock: socket.socket, seconds: float) -> bytes:
    """What comes until the other side closes, or says nothing for a while."""
    data = b""
    while select.select([sock], [], [], seconds)[0] and (got := sock.recv(65536)):
        data += got
    return data


def replay(peer: Peer, data: bytes, cut: int, silence: float = 0.002) -> bytes:
    """Sends it all, in three pieces, without asking what comes back; returns that.

    The last piece, the logout, follows when the target has fallen silent: what is under way then
    would not be answered any more.
    """
    answer = b""
    connection = socket.socket()
    connection.settimeout(60)
    connection.bind((peer.source, 0))
    connection.connect(peer.disk.portal)
    with contextlib.suppress(OSError):  # it may be closed already
        connection.sendall(data[:cut])
        connection.sendall(data[cut:-48])
        answer += until_silence(connection, silence)
        connection.sendall(data[-48:])
        answer += until_silence(connection, 0.005)
        connection.shutdown(socket.SHUT_WR)
    return answer + drain(connection)


@pytest.mark.parametrize("keys, share", [(LINUX, 0.6), (FIRMWARE, 0.3), (DIGESTS, 0.1)],
                         ids=["linux", "firmware", "digests"])
def test_good_conversations_gone_bad(peer, keys, share):
    chance = random.Random(SEED)
    good = good_conversation(peer.disk, keys)
    begun = time.monotonic()
    with peer.session():  # so that the disk need not be opened each time
        assert len(replay(peer, good, len(good) // 2, 0.5)) > 9000  # it works as long as nothing is wrong
        for _ in range(int(MUTATIONS * share)):
            data = mutate(chance, good)
            replay(peer, data, chance.randrange(len(data)))
    minutes = 1 + int((time.monotonic() - begun) / 60)
    assert 1 <= len(peer.lines("dropped")) <= minutes
    assert peer.daemon.counter("violations") > peer.before["violations"] + MUTATIONS * share / 20


def test_random_bytes_after_the_login(peer):
    chance = random.Random(SEED)
    for _ in range(200):
        with peer.session() as session:
            with contextlib.suppress(OSError):
                session.send_bytes(chance.randbytes(chance.randrange(1, 2000)))
                session.socket.shutdown(socket.SHUT_WR)
            drain(session.socket)


# --- too many, and too slow ---


def flood(portal: tuple[str, int], source: str, count: int) -> list[socket.socket]:
    """Connections that say nothing."""
    connections = []
    for _ in range(count):
        s = socket.socket()
        s.bind((source, 0))
        s.connect(portal)
        connections.append(s)
    return connections


def is_closed(sock: socket.socket) -> bool:
    """Has the other side closed it?"""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    if not poll.poll(0):
        return False
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_silent_connections_and_slow_ones_have_15_seconds(tmp_path):
    """1,000 that say nothing, and one that says its login a byte at a time."""
    with SanDaemon(tmp_path / "d", threads=1) as daemon:
        disk = daemon.volume()
        with disk.session() as session, Session(disk.portal, disk.target, source="127.2.0.1") as slow:
            request = slow.login_pdu({**slow.identity(), "X-slow": "x" * 4000}, 1).encode()
            slow.send_bytes(request[:1])
            begun = time.monotonic()
            silent = flood(disk.portal, "127.2.0.2", 1000)
            daemon.wait_for("connections", 1002)
            assert not any(map(is_closed, silent))
            session.write(0, b"s" * 4096)  # who is in does not notice
            assert session.read(0, 8) == b"s" * 4096
            for byte in request[1:]:
                with contextlib.suppress(OSError):
                    slow.send_bytes(bytes([byte]))
                if is_closed(slow.socket):
                    break
                time.sleep(0.05)  # that slow it is
            assert 14 < time.monotonic() - begun < 180
            wait_until(lambda: all(map(is_closed, silent)), "all silent connections to be closed")
            daemon.wait_for("violations", 1001)
            assert len(daemon.lines("warning: ", "took too long to log in")) == 2
            for s in silent:
                s.close()
            assert session.ping(b"alive") == b"alive"
        check_service(disk)


def test_no_more_sessions_than_the_operator_allows(tmp_path):
    limits = "max-sessions = 3\nmax-sessions-per-volume = 2\nlogin-timeout = 5\nqueue-depth = 5\n"
    with SanDaemon(tmp_path / "d", iscsi=limits) as daemon:
        disk, second = (daemon.volume(name, size=MIB, allow=("any",)) for name in ("one", "two"))
        with disk.session() as a, disk.session() as b:
            for _ in range(3):
                with pytest.raises(LoginRefused) as refused:
                    disk.session()
                assert refused.value.status == 0x0302
            line, = daemon.lines("warning: ", "refused", disk.target)
            assert "max-sessions-per-volume in nodisk.conf" in line
            with second.session(), pytest.raises(LoginRefused) as refused:
                second.session(source="127.2.0.8")
            assert refused.value.status in (0x0301, 0x0302)
            with Session(disk.portal, disk.target, isid=a.isid) as again:  # replaces a
                again.login()
                assert again.ping(b"x") == b"x"
                a.expect_close()
            assert b.ping(b"y") == b"y"
            with Session(disk.portal, disk.target) as slow:
                slow.expect_close()
        check_service(second)


def test_one_address_cannot_keep_all_others_from_logging_in(tmp_path):
    """The oldest of those that say nothing make room."""
    with SanDaemon(tmp_path / "d", threads=1) as daemon:
        disk = daemon.volume()
        with contextlib.ExitStack() as stack:
            silent = [stack.enter_context(s) for s in flood(disk.portal, "127.2.0.4", 1100)]
            daemon.wait_for("connections", 1100)
            daemon.wait_for("busy", 1100 - 1024)
            assert list(map(is_closed, silent)) == [True] * 76 + [False] * 1024
            check_service(disk)


def test_when_descriptors_run_out_service_goes_on_as_soon_as_some_are_free(tmp_path):
    with SanDaemon(tmp_path / "d", prefix=("prlimit", "--nofile=64:64")) as daemon:
        disk = daemon.volume()
        session = disk.session()
        many = flood(disk.portal, "127.2.0.3", 100)
        descriptors = Path(f"/proc/{daemon.process.pid}/fd")
        wait_until(lambda: len(list(descriptors.iterdir())) == 64, "the descriptors to run out")
        session.write(0, b"s" * 4096)
        assert session.read(0, 8) == b"s" * 4096
        session.close()
        for s in many:
            s.close()
        check_service(disk)


def never_read(session: Session, make: Callable[[], bytes], count: int) -> None:
    """Sends so many requests and reads no answer, until the target has had enough."""
    session.socket.settimeout(2)
    with contextlib.suppress(OSError):
        for _ in range(count // 100):
            session.send_bytes(b"".join(make() for _ in range(100)))


#: Requests whose answers are never read.
UNREAD: dict[str, tuple[Callable[[Session], bytes], int]] = {
    "pings": (lambda s: Pdu(iscsi.NOP_OUT | IMMEDIATE, flags=FINAL, itt=9, cmdsn=s.cmdsn).encode(), 300000),
    "large pings": (lambda s: Pdu(iscsi.NOP_OUT | IMMEDIATE, bytes(65536), flags=FINAL, itt=9,
                                  cmdsn=s.cmdsn).encode(), 6000),
    "numbered pings": (lambda s: Pdu(iscsi.NOP_OUT, bytes(4096), flags=FINAL, itt=9,
                                     cmdsn=s.command_pdu(b"").cmdsn).encode(), 60000),
    "commands": (lambda s: s.command_pdu(iscsi.inquiry_cdb(), read=255).encode(), 200000),
    "immediate commands": (lambda s: s.command_pdu(iscsi.inquiry_cdb(), read=255, cmdsn=1)
                           .encode().replace(b"\x01", b"\x41", 1), 200000),
    "reads": (lambda s: s.command_pdu(iscsi.read_cdb(0, 2048), read=MIB).encode(), 100000),
    "text": (lambda s: Pdu(iscsi.TEXT | IMMEDIATE, b"SendTargets=\0", flags=FINAL, itt=9, ttt=iscsi.RESERVED_TAG,
                           cmdsn=s.cmdsn).encode(), 200000),
    "task management": (lambda s: Pdu(iscsi.TASK_MANAGEMENT | IMMEDIATE, flags=FINAL | 2, itt=9,
                                      cmdsn=s.cmdsn).encode(), 200000),
    "snacks": (lambda s: Pdu(iscsi.SNACK, flags=FINAL, itt=9).encode(), 200000),
}


@pytest.fixture(scope="module")
def plain_daemon(tmp_path_factory):
    """The program without sanitizers, for its memory, with a single I/O thread."""
    with SanDaemon(tmp_path_factory.mktemp("plain") / "d", program=plain_program(), threads=1) as d:
        d.volume(size=MIB, allow=("any",))
        yield d


@pytest.mark.parametrize("name", UNREAD)
def test_a_peer_that_never_reads_its_answers_gets_no_memory(plain_daemon, name):
    disk = Volume("disk", Path(), plain_daemon.portal)
    make, count = UNREAD[name]
    check_service(disk)
    before = plain_daemon.memory_kib()
    with disk.session(receive_buffer=4096) as session:
        never_read(session, lambda: make(session), count)
        assert plain_daemon.memory_kib() - before < 96 << 10
        check_service(disk)
        session.reset()
    plain_daemon.wait_for("sessions", 0)


def test_peers_that_never_read_do_not_keep_others_from_reading(plain_daemon):
    disk = Volume("disk", Path(), plain_daemon.portal)
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            session = stack.enter_context(disk.session(receive_buffer=4096))
            for _ in range(127):
                session.send(session.command_pdu(iscsi.read_cdb(0, 2048), read=MIB))
        with disk.session() as good:
            assert len(good.read(0, 8)) == 4096
    plain_daemon.wait_for("sessions", 0)
