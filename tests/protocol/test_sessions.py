"""`nodisk session`: who is logged in, what they do, and how they are sent away."""

import json
import os
import re
import shutil
import struct
import subprocess
import time

import pytest
from daemon import BASE_IQN, wait_until
from iscsilab import INITIATOR, MIB, SanDaemon, Session, Volume, refusal
from lab.iscsi import ASYNC_MESSAGE, FIRMWARE, LINUX, SNACK, UEFI, Pdu, read_cdb

ADOPTS = {**LINUX, "HeaderDigest": "None,CRC32C", "DataDigest": "None,CRC32C"}
MAC = "52:54:00:00:00:01"


@pytest.fixture
def daemon(tmp_path):
    with SanDaemon(tmp_path / "d") as d:
        yield d


@pytest.fixture
def disk(daemon) -> Volume:
    return daemon.volume()


def sessions(daemon: SanDaemon, query: str = "") -> list[dict]:
    answer = daemon.get(f"/v1/sessions{query}")
    assert answer.status == 200, answer.lines
    return answer.json["sessions"]


def only(daemon: SanDaemon) -> dict:
    """The one session there is, in full."""
    listed, = sessions(daemon)
    shown = daemon.get(f"/v1/sessions/{listed['id']}").json
    assert {key: shown[key] for key in listed} == listed
    return shown


def add_node(daemon: SanDaemon, name: str = "web1", mac: str = MAC) -> Volume:
    """A node with a volume of its own."""
    volume = daemon.volume(f"disk-{name}", allow=())
    daemon.ok("node", "add", name, "--mac", mac, "--volume", volume.name)
    return volume


# --- who is logged in ---


def test_nobody_is_logged_in(daemon):
    assert sessions(daemon) == []
    assert daemon.ok("session", "list") == "nobody is logged in\n"
    assert "there is no session 1 (any more)" in daemon.refused("session", "show", "1")
    assert "there is no session 'x'" in daemon.refused("session", "show", "x")
    assert "there is no volume 'x'" in daemon.refused("session", "list", "--volume", "x")
    assert "there is no node 'x'" in daemon.refused("session", "list", "--node", "x")
    assert "either a node or a volume" in daemon.refused("session", "list", "--node", "x", "--volume", "x")


def test_what_a_session_has_done(daemon, disk):
    before = time.time_ns() // 1000
    with disk.session() as session:
        session.write(0, bytes(8192))
        session.read(0, 8)
        session.read(0, 24)
        shown = only(daemon)
    assert shown["initiator"] == INITIATOR and shown["node"] is None and shown["stage"] == "other"
    assert shown["volume"] == "disk" and shown["target"] == disk.target
    assert shown["commands"] == 3 and shown["errors"] == 0 and shown["error"] is None
    assert shown["read_bytes"] == 32 * 512 and shown["written_bytes"] == 8192
    assert shown["chap"] == "none"
    assert shown["round_trips"] == 3 and shown["under_way"] == 0
    assert before <= shown["since"] <= time.time_ns() // 1000
    assert re.fullmatch(r"127\.0\.0\.1:\d+|127\.\d+\.\d+\.\d+:\d+", shown["source"])
    assert shown["portal"] == f"{disk.portal[0]}:{disk.portal[1]}"
    assert int(shown["isid"], 16) == session.isid and shown["tsih"] == session.tsih
    latency = shown["latency"]
    assert sum(bucket["commands"] for bucket in latency["buckets"]) == 3
    bounds = [bucket["below"] for bucket in latency["buckets"]]
    assert bounds == sorted(bounds) and all(bound & (bound - 1) == 0 for bound in bounds)
    assert latency["half_below"] in bounds and latency["99_percent_below"] == bounds[-1]
    daemon.wait_for("sessions", 0)
    assert sessions(daemon) == []


@pytest.mark.parametrize("keys", [LINUX, {**LINUX, "HeaderDigest": "CRC32C", "MaxBurstLength": "65536"}],
                         ids=["linux", "changed"])
def test_what_was_agreed_is_what_both_have_said(daemon, disk, keys):
    with disk.session(keys=keys) as session:
        shown = only(daemon)["keys"]
        for key, value in session.agreed.items():
            if key in shown and key != "MaxRecvDataSegmentLength":
                assert shown[key] == value, key
        assert shown["MaxRecvDataSegmentLength"] == keys["MaxRecvDataSegmentLength"]
        assert shown["HeaderDigest"] == keys["HeaderDigest"] and "IFMarker" not in shown


@pytest.mark.parametrize(("keys", "stage", "program"), [
    (FIRMWARE, "firmware", "iPXE"), (UEFI, "firmware", "UEFI IScsiDxe"), (LINUX, "initramfs", None),
    (ADOPTS, "system", "iscsid")], ids=["ipxe", "uefi", "initramfs", "system"])
def test_the_stage_of_a_nodes_session(daemon, keys, stage, program):
    volume = add_node(daemon)
    with volume.session(initiator=f"{BASE_IQN}:web1", keys=keys):
        shown = only(daemon)
        assert (shown["node"], shown["stage"], shown["program"]) == ("web1", stage, program)
        wait_until(lambda: (daemon.get("/v1/status").json["nodes"][0]["boot"] or {}).get("stage") == stage, stage)


def test_an_initiator_is_told_the_volumes_name(daemon, disk):
    with disk.session() as session:
        assert session.agreed["TargetAlias"] == "disk"
    with Session(daemon.portal, None).login() as discovery:
        assert "TargetAlias" not in discovery.agreed


def test_uefi_is_sent_nothing_that_it_does_not_know(daemon, disk):
    """It is firmware: what would be a Reject to others ends the connection."""
    with disk.session(keys=UEFI) as session:
        session.ping()
        session.send(Pdu(SNACK, flags=0x80))
        session.expect_close()
    with disk.session() as session:
        assert session.request(SNACK, 0x3f, itt=0xffffffff).response == 3
        assert "SNACK" in only(daemon)["error"]["text"]


def test_sessions_of_a_node_and_of_a_volume(daemon, disk):
    volume = add_node(daemon)
    data = daemon.volume("data", allow=())
    daemon.ok("volume", "attach", "data", "web1")
    with volume.session(initiator=f"{BASE_IQN}:web1"), disk.session():
        every = sessions(daemon)
        assert [s["volume"] for s in every] == [volume.name, "disk"]
        assert sessions(daemon, "?node=web1") == every[:1]
        assert sessions(daemon, "?volume=disk") == every[1:]
        assert sessions(daemon, f"?volume={data.name}") == every[:1]
        assert daemon.get(f"/v1/sessions/{every[0]['id']}").json["luns"] == [{"lun": 1, "volume": "data"}]


def test_a_discovery_session_is_one_too(daemon, disk):
    with Session(daemon.portal, None).login():
        shown = only(daemon)
        assert shown["stage"] == "discovery" and shown["volume"] is None and shown["target"] is None
        assert "MaxBurstLength" not in shown["keys"]


def test_the_last_error_is_told_in_words(daemon, disk):
    with disk.session() as session:
        blocks, _ = session.capacity()
        assert session.command(read_cdb(blocks, 1), read=512).sense == "05/21/00"
        shown = only(daemon)
        assert shown["errors"] == 1
        assert shown["error"]["text"] == "READ(16) failed: illegal request: logical block address out of range"
        text = daemon.ok("session", "show", shown["id"])
        assert re.search(r"^last error: .*READ\(16\) failed.* \(1 in all\)$", text, re.M)


def test_the_command_line_shows_them(daemon, disk):
    volume = add_node(daemon)
    with volume.session(initiator=f"{BASE_IQN}:web1", keys=FIRMWARE) as session, disk.session():
        session.read(0, 8)
        rows = [line.split() for line in daemon.ok("session", "list").splitlines()]
        assert rows[0] == ["ID", "NODE", "OR", "INITIATOR", "SOURCE", "VOLUME", "STAGE", "SINCE", "COMMANDS",
                           "READ", "WRITTEN", "ERRORS"]
        assert [(row[1], row[3], row[4]) for row in rows[1:]] == [
            ("web1", volume.name, "firmware"), (INITIATOR, "disk", "other")]
        assert daemon.ok("session", "list", "--node", "web1").count("\n") == 2
        text = daemon.ok("session", "show", rows[1][0])
        for line in (r"program: +iPXE", r"node: +web1", r"ImmediateData +No", r"stage: +firmware",
                     r"commands: +1, 1 of them alone; 0 under way"):
            assert re.search(rf"^{line}$", text, re.M), (line, text)
        assert json.loads(daemon.ok("--json", "session", "show", rows[1][0]))["keys"]["ImmediateData"] == "No"


def test_hundreds_of_sessions_on_several_threads_are_listed_once(tmp_path):
    with SanDaemon(tmp_path / "d", threads=3) as daemon:
        volumes = [daemon.volume(f"v{n}", allow=("any",)) for n in range(6)]
        opened = [volumes[n % 6].session(initiator=f"{BASE_IQN}:n{n}") for n in range(300)]
        try:
            listed = sessions(daemon)
            assert [s["id"] for s in listed] == sorted({s["id"] for s in listed})
            assert sorted(s["initiator"] for s in listed) == sorted(s.initiator for s in opened)
            assert len(sessions(daemon, "?volume=v3")) == 50
        finally:
            for session in opened:
                session.close()
        wait_until(lambda: sessions(daemon) == [], "all to be gone")


# --- sending them away ---


def gone(session: Session) -> bool:
    """Has the target closed the connection, without another word?"""
    try:
        return session.socket.recv(1) == b""
    except ConnectionResetError:
        return True


def last_line(daemon: SanDaemon, *words: str) -> str:
    return daemon.lines(*words)[-1]


def test_kill_ends_one_session_at_once(daemon, disk):
    with disk.session() as session, disk.session() as other:
        session.write(0, bytes(512))
        first, second = sessions(daemon)
        assert daemon.ok("session", "kill", first["id"]) == "1 session is ended; who had it may log in again\n"
        assert gone(session)
        assert [s["id"] for s in sessions(daemon)] == [second["id"]]
        assert other.read(0, 1) == bytes(512)
        assert "there is no session" in daemon.refused("session", "kill", first["id"])
        assert "ended by an administrator" in last_line(daemon, "session of")
        with disk.session() as again:
            assert again.read(0, 1) == bytes(512)
            assert only_new(daemon, first, second)["id"] > second["id"]


def only_new(daemon: SanDaemon, *old: dict) -> dict:
    new, = (s for s in sessions(daemon) if s["id"] not in [o["id"] for o in old])
    return new


def test_kill_of_a_node_and_of_a_volume(daemon, disk):
    volume = add_node(daemon)
    daemon.volume("data", allow=())
    daemon.ok("volume", "attach", "data", "web1")
    node = f"{BASE_IQN}:web1"
    with disk.session() as other:
        for option in ("--node", "web1"), ("--volume", volume.name), ("--volume", "data"):
            with volume.session(initiator=node) as session:
                assert daemon.ok("session", "kill", *option).startswith("1 session is ended")
                assert gone(session)
        assert daemon.ok("session", "kill", "--node", "web1").startswith("0 sessions are ended")
        other.read(0, 1)
    assert "there is no node 'x'" in daemon.refused("session", "kill", "--node", "x")
    assert "give one of" in daemon.usage("session", "kill")
    assert "give one of" in daemon.usage("session", "kill", "1", "--node", "web1")


def test_what_is_killed_is_aborted_and_what_was_acknowledged_stays(daemon, disk):
    """A write without its data, and one that was answered."""
    with disk.session() as session:
        session.write(8, b"\x5a" * 512)
        task = session.start(bytes([0x2a, 0, 0, 0, 0, 16, 0, 4, 0, 0]), write=bytes(1024 * 512),
                             answers_r2t=False)
        session.wait_for(0x31)
        assert not task.done
        shown = only(daemon)
        assert shown["under_way"] == 1
        daemon.ok("session", "kill", shown["id"])
        assert gone(session)
    with disk.session() as again:
        assert again.read(8, 1) == b"\x5a" * 512


def drained_message(session: Session) -> Pdu:
    """The Asynchronous Message that comes next."""
    pdu = session.step()
    assert pdu.opcode == ASYNC_MESSAGE and pdu.itt == 0xffffffff and pdu.flags == 0x80 and not pdu.data
    return pdu


def parameters(pdu: Pdu) -> tuple[int, int, int, int]:
    """AsyncEvent and the three parameters."""
    return (pdu.header[36], *struct.unpack("!3H", pdu.header[38:44]))


def test_a_drain_asks_to_leave_and_refuses_who_comes(daemon, disk):
    elsewhere = daemon.volume("elsewhere")
    with disk.session() as session, elsewhere.session() as other:
        session.ping()
        other.ping()
        drain = daemon.post("/v1/holds", volume="disk", seconds=3600).result
        assert drain == {"sessions": 1, "asked": 1}
        assert parameters(drained_message(session)) == (1, 0, 0, 3600)
        session.read(0, 1)  # it may still end what it has begun
        assert refusal(daemon.portal, disk.target) == 0x0301
        assert session.logout() == 0
        assert refusal(daemon.portal, disk.target) == 0x0301
        assert "session release" in last_line(daemon, "refused", "disk")
        other.read(0, 1)
        with elsewhere.session() as third:
            third.read(0, 1)
        assert "volume disk is being drained" in daemon.ok("session", "list")
        assert daemon.ok("session", "release", "disk") == "volume disk may be logged in to again\n"
        assert "is not being drained" in daemon.refused("session", "release", "disk")
        with disk.session() as back:
            back.read(0, 1)
        assert "drained" not in daemon.ok("session", "list")


def test_who_is_still_there_is_sent_away_and_told(daemon, disk):
    with disk.session(keys={**LINUX, "DefaultTime2Wait": "7"}) as session, disk.session() as silent, \
            disk.session(keys=FIRMWARE) as firmware, disk.session(keys=UEFI) as uefi:
        for s in session, firmware, uefi:
            s.ping()
        assert daemon.post("/v1/holds", all=True, seconds=1).result == {"sessions": 4, "asked": 1}
        assert parameters(drained_message(session)) == (1, 0, 0, 1)
        assert parameters(drained_message(session)) == (3, 0, 7, 0)
        for s in session, silent, firmware, uefi:
            assert gone(s)
        assert sessions(daemon) == []
        assert refusal(daemon.portal, disk.target) == 0x0301
        with Session(daemon.portal, None).login() as discovery:  # looking around is no harm
            discovery.text_request({"SendTargets": "All"})
        daemon.ok("session", "release", "--all")
        disk.session().close()


def test_the_command_line_drains(daemon, disk):
    volume = add_node(daemon)
    with volume.session(initiator=f"{BASE_IQN}:web1"), disk.session() as other:
        text = daemon.ok("session", "drain", "--node", "web1", "--timeout", "1")
        assert text.startswith("node web1 is drained (1 sessions were there)")
        assert "nodisk session release --node web1" in text
        assert refusal(daemon.portal, volume.target, f"{BASE_IQN}:web1") == 0x0301
        other.read(0, 1)
    assert daemon.ok("session", "drain", "--node", "web1", "--resume") == "node web1 may be logged in to again\n"
    volume.session(initiator=f"{BASE_IQN}:web1").close()
    assert "give one of" in daemon.usage("session", "drain")
    assert "must be a number of seconds" in daemon.usage("session", "drain", "disk", "--timeout", "0")
    assert "there is no volume 'x'" in daemon.refused("session", "drain", "x")


def test_a_drain_of_a_further_disk_is_one_of_those_who_have_it(daemon):
    volume = add_node(daemon)
    daemon.volume("data", allow=())
    daemon.ok("volume", "attach", "data", "web1")
    with volume.session(initiator=f"{BASE_IQN}:web1") as session:
        daemon.ok("session", "drain", "data", "--timeout", "1")
        assert gone(session)
        assert refusal(daemon.portal, volume.target, f"{BASE_IQN}:web1") == 0x0301
        daemon.ok("session", "release", "data")
        volume.session(initiator=f"{BASE_IQN}:web1").close()


def test_what_is_drained_twice_is_released_twice(daemon, disk):
    with disk.session() as session:
        daemon.post("/v1/holds", volume="disk", seconds=2)
        daemon.post("/v1/holds", all=True, seconds=2)
        daemon.ok("session", "release", "disk")
        assert gone(session)  # all of it is still being drained
        daemon.ok("session", "release", "--all")


@pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed")
def test_a_copy_outlives_sessions_that_are_killed(daemon, tmp_path):
    """libiscsi logs in again and repeats what was not answered."""
    image = tmp_path / "image.raw"
    image.write_bytes(os.urandom(96 * MIB))
    disk = daemon.volume("copy", size=96 * MIB, allow=("any",))
    copy = subprocess.Popen(["qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", "-t", "none", image, disk.url])
    try:
        kills = 0
        while copy.poll() is None and kills < 5:
            written = [s["written_bytes"] for s in sessions(daemon, "?volume=copy")]
            if any(written):
                kills += daemon.delete("/v1/sessions?volume=copy").json["ended"]
        assert copy.wait(timeout=200) == 0 and kills > 0
    finally:
        copy.kill()
        copy.wait()
    assert disk.path.read_bytes() == image.read_bytes()
