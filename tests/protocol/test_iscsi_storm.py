"""Many at once, and those who do not go on: each beside a bystander that must not notice.

Slow logins, connections that say nothing, a client that does not read, a storm of logins, and more
idle sessions than a network has machines. Afterwards the daemon has let go of all of it.
"""

import contextlib
import os
import resource
import select
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from bystander import BLOCK, Bystander, beside_bystander
from iscsilab import MIB, SanDaemon, Session, Volume
from lab import iscsi
from lab.iscsi import FULL_FEATURE, OPERATIONAL

IDLE = int(os.environ.get("NODISK_IDLE_SESSIONS", "1000"))
KEYS = {"InitialR2T": "Yes", "ImmediateData": "Yes"}


@pytest.fixture(scope="module", autouse=True)
def descriptors_for_all():
    """For our ends of the connections; the daemon sees to its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < IDLE + 200:
        pytest.skip(f"needs {IDLE + 200} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, IDLE + 200), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    """A login has time, however busy the machine is with something else."""
    with SanDaemon(tmp_path_factory.mktemp("storm") / "d", iscsi="login-timeout = 120\n") as d:
        yield d


@pytest.fixture(scope="module")
def disk(daemon) -> Volume:
    return daemon.volume("shared", size=MIB, allow=("any",))


@pytest.fixture
def bystander(daemon, disk) -> Iterator[Bystander]:
    with beside_bystander(daemon) as somebody:
        yield somebody


def connection(disk: Volume, stack: contextlib.ExitStack) -> Session:
    """Without a login yet."""
    return stack.enter_context(Session(disk.portal, disk.target, keys=KEYS))


def test_logins_byte_by_byte(disk, bystander):
    """All of them in step; and they do get in."""
    with contextlib.ExitStack() as stack:
        slow = [connection(disk, stack) for _ in range(20)]
        requests = []
        for session in slow:
            session.stage = OPERATIONAL
            requests.append(session.login_pdu({**session.identity(), **KEYS}, next_stage=FULL_FEATURE))
        data = [request.encode() for request in requests]
        for at in range(len(data[0])):
            for session, request in zip(slow, data, strict=True):
                session.send_bytes(request[at:at + 1])
            if at % 16 == 0:
                bystander.check()
        for session, request in zip(slow, requests, strict=True):
            session.login_response(request)
            assert session.read(0, 1) == bytes(BLOCK)


def test_connections_that_say_nothing(disk, bystander):
    """Nothing at all, or half of a header."""
    with contextlib.ExitStack() as stack:
        silent = [connection(disk, stack) for _ in range(200)]
        for session in silent[::2]:
            session.stage = OPERATIONAL
            session.send_bytes(session.login_pdu(session.identity(), next_stage=FULL_FEATURE).encode()[:24])
        for _ in range(10):
            bystander.check()
            with disk.session() as session:
                assert session.logout() == 0
        assert not select.select([session.socket for session in silent], [], [], 0)[0]  # nobody was dropped


def test_a_client_that_never_reads(disk, bystander):
    """It asks for as much as its window allows, and leaves it all in the network."""
    with disk.session(receive_buffer=4096) as session:
        for _ in range(64):
            session.send(session.command_pdu(iscsi.read_cdb(0, 2048), read=2048 * BLOCK))
        for _ in range(20):
            bystander.check()


def test_a_storm_of_logins(disk, bystander):
    """As many as the machine gives, from several sides at once; every one of them gets in."""
    def log_in_and_out(_: int) -> int:
        with disk.session() as session:
            return session.logout()

    with ThreadPoolExecutor(8) as pool:
        results = pool.map(log_in_and_out, range(400))
        for n, result in enumerate(results):
            assert result == 0
            if n % 20 == 0:
                bystander.check()


def test_many_idle_sessions(daemon, disk, bystander):
    """They cost nobody anything, and each of them is still there when it wants something."""
    with contextlib.ExitStack() as stack:
        idle = []
        for n in range(IDLE):
            idle.append(stack.enter_context(disk.session()))
            if n % 50 == 0:
                bystander.check()
        daemon.wait_for("sessions", IDLE + 1)
        bystander.check()
        for session in idle[::50]:
            assert session.read(0, 1) == bytes(BLOCK)
