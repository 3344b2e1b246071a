"""Volumes that are bound to addresses: who comes from elsewhere is refused and told what to do."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import BASE_IQN
from iscsilab import MIB, SanDaemon, Volume, need
from lab.iscsi import INITIATOR, LoginRefused, Session
from netlab import SERVER, SUBNET
from test_export import FirewallDaemon

NOT_AUTHORIZED = 0x0202
HERE, THERE = "127.0.0.2", "127.0.0.9"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[SanDaemon]:
    with SanDaemon(tmp_path / "d") as d:
        yield d


def assert_refused(volume: Volume, source: str) -> None:
    with pytest.raises(LoginRefused) as refused:
        volume.session(source=source)
    assert refused.value.status == NOT_AUTHORIZED


def seen(daemon: SanDaemon, source: str) -> bool:
    with Session(daemon.portal, None, source=source) as discovery:
        discovery.login()
        return "disk" in str(discovery.text_request({"SendTargets": "All"}))


def test_logins_and_discovery_from_elsewhere(daemon):
    volume = daemon.volume("disk", allow_from=["127.0.0.0/29", "2001:db8::/32"])
    volume.session(source=HERE).close()
    assert_refused(volume, THERE)
    assert daemon.lines(f"login of {INITIATOR} from {THERE}", "refused", "nodisk volume set --allow-from")
    assert seen(daemon, HERE) and not seen(daemon, THERE)
    assert "127.0.0.0/29 2001:db8::/32" in daemon.ok("volume", "show", "disk")


def test_a_change_holds_for_new_logins_and_is_told_of_running_sessions(daemon):
    volume = daemon.volume("disk")
    with volume.session(source=HERE) as session:
        assert daemon.ok("volume", "set", "disk", "--allow-from", HERE) == "volume disk is changed\n"
        said = daemon.ok("volume", "set", "disk", "--allow-from", THERE, "10.0.0.0/8")
        assert f"still logged in from elsewhere until it logs out (or nodisk session kill): {INITIATOR} ({HERE})" in said
        session.write(0, bytes(512))
        assert_refused(volume, HERE)
    daemon.stop()
    daemon.start()
    assert_refused(volume, HERE)
    volume.session(source=THERE).close()
    daemon.ok("volume", "set", "disk", "--allow-from", "any")
    volume.session(source=HERE).close()


def test_what_is_no_address_is_refused(daemon):
    daemon.volume("disk")
    for words in ("10.0.0.1/24", "10.0.0.0/33", "web1"):
        refused = daemon.cli("volume", "set", "disk", "--allow-from", words)
        assert refused.returncode != 0 and words in refused.stderr, refused.stderr
    refused = daemon.cli("volume", "set", "disk", "--allow-from", "any", "node")
    assert refused.returncode == 2 and "beside addresses" in refused.stderr


def test_a_further_disk_that_is_bound_elsewhere_is_left_out(daemon):
    """The machine comes up without it, as without one that cannot be opened."""
    boot = daemon.volume("boot", size=MIB, allow=())
    daemon.volume("data", size=MIB, allow=(), allow_from=[HERE])
    daemon.ok("node", "add", "web1", "--mac", "52:54:00:00:00:01", "--volume", "boot")
    daemon.ok("volume", "attach", "data", "web1")
    initiator = f"{BASE_IQN}:web1"

    def sizes(source: str) -> int:
        with Session(daemon.portal, boot.target, initiator, source=source) as session:
            session.login()
            told = session.good(bytes([0xa0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0]), read=4096)
            assert session.logout() == 0
            return int.from_bytes(told[:4], "big") // 8

    assert sizes(HERE) == 2
    assert sizes(THERE) == 1
    assert daemon.lines("goes on without LUN 1", "bound to other addresses")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")
def test_a_node_from_its_own_address_and_the_firewall(lab, tmp_path):
    """libiscsi as the node, from its own address and from another one of its network."""
    need("nft", "iscsi-inq")
    node, other = lab.client("10.0.0.11/24", mac="52:54:00:00:00:01"), lab.client("10.0.0.77/24")
    far = lab.client("192.168.7.2/24")
    lab.server.run("ip", "addr", "add", "192.168.7.1/24", "dev", "br0")
    far.run("ip", "route", "add", "10.0.0.0/24", "via", "192.168.7.1")
    daemon = lab.stack.enter_context(FirewallDaemon(tmp_path / "daemon", lab.server, SUBNET))
    daemon.ok("volume", "create", "disk", "--size", "1M", "--allow-from", "node")
    daemon.ok("node", "add", "web1", "--mac", "52:54:00:00:00:01", "--address", "10.0.0.11", "--volume", "disk")
    daemon.ok("volume", "create", "san", "--size", "1M", "--allow", "any", "--allow-from", "192.168.7.0/24")

    def inquire(machine, volume: str, initiator: str = "web1") -> str:
        done = machine.run("timeout", "20", "iscsi-inq", "-i", f"{BASE_IQN}:{initiator}",
                           f"iscsi://{SERVER}:3260/{BASE_IQN}:{volume}/0", check=False, timeout=120)
        return done.stdout + done.stderr

    assert "Vendor" in inquire(node, "disk")
    assert "Authorization failure(514)" in inquire(other, "disk")  # 0202
    assert "Vendor" in inquire(far, "san", "else")
    rules = tmp_path / "rules.nft"
    rules.write_text(daemon.ok("export", "firewall"))
    lab.server.run("nft", "-f", rules)
    assert "ip saddr 10.0.0.11 accept" in rules.read_text() and "192.168.7.0/24" in rules.read_text()
    assert "Vendor" in inquire(node, "disk")
    assert "Vendor" in inquire(far, "san", "else")
    assert "Vendor" not in inquire(other, "disk")
    chain = lab.server.run("nft", "list", "chain", "inet", "nodisk", "iscsi").stdout
    assert int(chain.split("counter packets ")[1].split()[0]) > 0  # it did not even get there
    daemon.ok("volume", "create", "open", "--size", "1M", "--allow", "any")
    rules.write_text(daemon.ok("export", "firewall"))
    lab.server.run("nft", "-f", rules)
    assert "Vendor" in inquire(other, "open")
