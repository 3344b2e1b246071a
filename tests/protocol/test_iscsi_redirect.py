"""A volume that another server has: logins are sent there (RFC 7143 11.13.5, 0101)."""

import pytest
from iscsilab import MIB, SanDaemon, Session, refusal, run
from lab.iscsi import LoginRefused


@pytest.fixture
def servers(tmp_path):
    """The second one has the disk; the first sends those who want it there."""
    with SanDaemon(tmp_path / "b") as second:
        disk = second.volume(size=MIB, allow=("any",))
        host, port = second.portal
        with SanDaemon(tmp_path / "a", iscsi=f"redirect = disk={host}:{port}\n") as first:
            yield first, second, disk


def test_a_login_is_sent_to_the_server_that_has_the_volume(servers):
    first, second, disk = servers
    with Session(first.portal, disk.target) as session:
        request = session.login_pdu({**session.identity(), "AuthMethod": "None"}, 1)
        session.send(request)
        answer = session.receive()
        assert (answer.header[36], answer.header[37]) == (1, 1)
        assert answer.pairs == [("TargetAddress", f"{second.portal[0]}:{second.portal[1]}")]
        session.expect_close()
    with Session(first.portal, f"{disk.target}x") as session, pytest.raises(LoginRefused) as refused:
        session.login()
    assert refused.value.status == 0x0203


def test_libiscsi_follows(servers):
    first, second, disk = servers
    url = disk.url.replace(second.portal[0], first.portal[0])
    assert "RETURNED LOGICAL BLOCK ADDRESS:2047" in run("iscsi-readcapacity16", url).stdout.upper()
    assert second.counter("logins") >= 1 and first.counter("logins") == 0
    assert first.counter("refused") == 0
    assert any("sent on: another portal serves this volume" in line for line in first.lines(disk.target))


def test_who_is_there_already_is_not_sent_there(tmp_path):
    probe = SanDaemon(tmp_path / "x")
    host, port = probe.portal
    with SanDaemon(tmp_path / "c", portal=probe.portal, iscsi=f"redirect = disk={host}:{port}\n") as daemon:
        disk = daemon.volume(size=MIB, allow=("any",))
        with disk.session() as session:
            assert session.ping(b"x") == b"x"
        assert refusal(daemon.portal, f"{disk.target}x") == 0x0203
