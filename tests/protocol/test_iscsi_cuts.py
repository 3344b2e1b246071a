"""Connections that are cut at every byte of what they send, beside somebody who must not notice.

Each is cut twice, once with a FIN and once with a RST. While it hangs there half-way, a bystander
writes and reads; afterwards the daemon has let go of everything.
"""

from collections.abc import Callable, Iterator

import pytest
from bystander import BLOCK, Bystander, beside_bystander
from iscsilab import MIB, SanDaemon, Session, Volume
from lab import iscsi
from lab.iscsi import FULL_FEATURE, LINUX, OPERATIONAL, Pdu

#: Keys of a short login.
KEYS = {"InitialR2T": "Yes", "ImmediateData": "Yes"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    with SanDaemon(tmp_path_factory.mktemp("cuts") / "d") as d:
        yield d


@pytest.fixture(scope="module")
def victim(daemon) -> Volume:
    return daemon.volume("victim", size=MIB, allow=("any",))


@pytest.fixture
def bystander(daemon, victim) -> Iterator[Bystander]:
    with beside_bystander(daemon) as somebody:
        yield somebody


def login_bytes(session: Session) -> bytes:
    """A login in one request."""
    session.stage = OPERATIONAL
    return session.login_pdu({**session.identity(), **KEYS}, next_stage=FULL_FEATURE).encode()


def cut_everywhere(bystander: Bystander, prepare: Callable[[], tuple[Session, bytes]], step: int = 1) -> None:
    """prepare() gives a connection and what it is to send."""
    session, data = prepare()
    session.close()
    for cut in range(0, len(data) + 1, step):
        for end in ("close", "reset"):
            session, data = prepare()
            session.send_bytes(data[:cut])
            if cut % 8 == 0:
                bystander.check()
            getattr(session, end)()


def test_a_login_is_cut(victim, bystander):
    def prepare() -> tuple[Session, bytes]:
        session = Session(victim.portal, victim.target, keys=KEYS)
        return session, login_bytes(session)

    cut_everywhere(bystander, prepare)


def logged_in(victim: Volume) -> Session:
    """All with the same ISID: each replaces the one before."""
    return Session(victim.portal, victim.target, isid=0x80 << 40 | 7 << 16, keys=dict(LINUX, InitialR2T="Yes")).login()


def test_a_read_is_cut(victim, bystander):
    def prepare() -> tuple[Session, bytes]:
        session = logged_in(victim)
        return session, session.command_pdu(iscsi.read_cdb(0, 256), read=256 * BLOCK).encode()

    cut_everywhere(bystander, prepare)


def test_a_write_is_cut(victim, bystander):
    """A part of its only block comes with the command: nothing of it may land."""
    def prepare() -> tuple[Session, bytes]:
        session = logged_in(victim)
        pdu = session.command_pdu(iscsi.write_cdb(0, 1), write=b"\xff" * BLOCK)
        pdu.data = b"\xff" * 16
        return session, pdu.set(length=16).encode()

    cut_everywhere(bystander, prepare)
    assert victim.bytes_at(0, BLOCK) == bytes(BLOCK)


def test_the_data_that_was_asked_for_is_cut(victim, bystander):
    def prepare() -> tuple[Session, bytes]:
        session = logged_in(victim)
        task = session.start(iscsi.write_cdb(1, 1), write=b"\xff" * BLOCK, immediate=0, unsolicited=0,
                             answers_r2t=False)
        while not task.r2ts:
            session.step()
        pdu = Pdu(iscsi.DATA_OUT, b"\xff" * 32, itt=task.itt, ttt=task.r2ts[0].ttt)
        return session, pdu.encode()

    cut_everywhere(bystander, prepare)
    assert victim.bytes_at(BLOCK, BLOCK) == bytes(BLOCK)
