"""iSCSI: real clients, and an initiator made of bytes, against the real daemon."""

import contextlib
import json
import os
import re
import resource
import subprocess
import threading
import time
from pathlib import Path

import pytest
from daemon import BASE_IQN, listing, mounted, plain_program, wait_until
from iscsilab import INITIATOR, MIB, SanDaemon, Session, Volume, loop_device, need, qemu, refusal, run
from lab import iscsi
from lab.iscsi import FIRMWARE, LINUX, LoginRefused, discover

OTHER = "iqn.2026-11.lan.example:other"
STRANGER = "iqn.2020-01.org.example:stranger"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def daemon(tmp_path):
    with SanDaemon(tmp_path / "d") as d:
        yield d


@pytest.fixture
def disk(daemon) -> Volume:
    return daemon.volume()


@pytest.fixture
def small_tmpfs(tmp_path):
    """A file system of 4 MiB."""
    with mounted("-t", "tmpfs", "-o", "size=4m", "tmpfs", place=tmp_path / "small") as place:
        yield place


def closed(session: Session) -> bool:
    """Has the target closed the connection? (It has nothing to say to this session.)"""
    session.socket.settimeout(60)
    try:
        return session.socket.recv(1) == b""
    except ConnectionResetError:
        return True


# --- who sees what, and who may log in ---


def test_discovery_shows_an_initiator_its_own_volumes_and_nobody_elses(daemon):
    need("iscsi-ls")
    daemon.volume("mine")
    daemon.volume("both", allow=(INITIATOR, OTHER))
    daemon.volume("theirs", allow=(OTHER,))
    daemon.volume("public", allow=("any",))
    daemon.volume("of-web1", allow=())
    assert daemon.post("/v1/nodes", name="web1", macs=["52:54:00:00:00:01"], volume="of-web1").result
    seen = {INITIATOR: {"mine", "both", "public"}, OTHER: {"theirs", "both", "public"},
            f"{BASE_IQN}:web1": {"of-web1", "public"}, STRANGER: {"public"}}
    address = f"{daemon.portal[0]}:{daemon.portal[1]},1"
    for initiator, names in seen.items():
        said = run("iscsi-ls", "-i", initiator, f"iscsi://{daemon.portal[0]}:{daemon.portal[1]}").stdout
        assert set(re.findall(r"Target:(\S+) Portal:(\S+)", said)) == {(f"{BASE_IQN}:{n}", address) for n in names}
        assert discover(daemon.portal, initiator) == {f"{BASE_IQN}:{n}": [address] for n in names}
    assert discover(daemon.portal, INITIATOR, f"{BASE_IQN}:mine") == {f"{BASE_IQN}:mine": [address]}
    assert discover(daemon.portal, INITIATOR, f"{BASE_IQN}:theirs") == {}


def test_a_long_list_of_targets_comes_in_parts(daemon):
    names = {f"{BASE_IQN}:{'x' * 40}{n}" for n in range(200)}
    for name in names:
        daemon.volume(name.split(":")[1], size=MIB)
    with Session(daemon.portal, None, keys={**LINUX, "MaxRecvDataSegmentLength": "512"}).login() as session:
        pairs = session.text_request({"SendTargets": "All"})
    assert {value for key, value in pairs if key == "TargetName"} == names


def test_a_discovery_session_has_no_disk(daemon, disk):
    with Session(daemon.portal, None).login() as session:
        assert session.ping(b"still there") == b"still there"
        session.send(session.command_pdu(iscsi.TEST_UNIT_READY))
        assert session.wait_for(iscsi.REJECT).response == 0x04
        session.logout()


def test_a_stranger_is_refused_and_named_once_a_minute(daemon, disk):
    need("iscsi-inq")
    for _ in range(3):
        said = run("iscsi-inq", "-i", STRANGER, disk.url, check=False)
        assert said.returncode == 10 and "Authorization failure" in said.stdout + said.stderr
    assert refusal(daemon.portal, disk.target, STRANGER) == 0x0202
    assert refusal(daemon.portal, f"{BASE_IQN}:nothing") == 0x0203
    assert refusal(daemon.portal, disk.target, OTHER, source="127.0.0.9") == 0x0202
    daemon.wait_for("refused", 6)
    assert daemon.counter("logins") == 0 and daemon.counter("violations") == 0
    first, second = daemon.lines("refused")
    assert f"login of {STRANGER} from 127.0.0.1 to {disk.target} refused: " in first
    assert "give the volume to its node, or allow the initiator" in first
    assert f"login of {OTHER} from 127.0.0.9 to {disk.target} refused: " in second


def test_who_may_log_in_changes_without_a_restart(daemon):
    volume, spare = daemon.volume("one", allow=()), daemon.volume("two", allow=())
    web1 = f"{BASE_IQN}:web1"
    assert refusal(daemon.portal, volume.target, web1) == 0x0202
    assert daemon.post("/v1/nodes", name="web1", macs=["52:54:00:00:00:01"], volume="one").result
    with volume.session(initiator=web1) as session:
        assert session.capacity() == (64 * MIB // 512, 512)
        session.logout()
    wait_until(lambda: daemon.patch("/v1/nodes/web1", volume="two").status == 200, "the session to be gone")
    assert refusal(daemon.portal, volume.target, web1) == 0x0202
    with spare.session(initiator=web1) as session:
        assert session.logout() == 0
    assert daemon.delete("/v1/nodes/web1").status == 200
    assert refusal(daemon.portal, spare.target, web1) == 0x0202


# --- one disk, one machine ---


def test_a_second_machine_is_refused_while_the_first_lives(daemon, disk):
    first = disk.session(source="127.0.0.2")
    assert refusal(daemon.portal, disk.target, source="127.0.0.3") == 0x0301
    line, = daemon.lines("refused")
    assert f"login of {INITIATOR} from 127.0.0.3 to {disk.target} refused: its disk is in use from" in line
    found, = daemon.get("/v1/status").json["duplicates"]
    assert found["kind"] == "initiator" and not found["hint"]
    assert (found["address"], found["other_address"]) == ("127.0.0.3", "127.0.0.2")
    assert f"{INITIATOR} logged in to {disk.target} from 127.0.0.3 while it was in use from 127.0.0.2" in found["message"]
    first.write(0, b"1" * 512)
    assert first.ping(b"alive") == b"alive"
    first.close()
    daemon.wait_for("sessions", 0)
    with disk.session(source="127.0.0.3") as second:
        assert second.read(0, 1) == b"1" * 512


def test_a_second_machine_with_the_isid_of_the_first_is_refused_as_well(daemon, disk):
    with disk.session(source="127.0.0.2") as first:
        assert refusal(daemon.portal, disk.target, source="127.0.0.3", isid=first.isid) == 0x0301
        assert first.ping(b"alive") == b"alive"


@pytest.mark.parametrize("body", [{"allow": (INITIATOR, OTHER)}, {"allow": ("any",)},
                                  {"allow": (INITIATOR,), "read_only": True}])
def test_a_volume_for_several_is_open_to_several(daemon, body):
    volume = daemon.volume(**body)
    with volume.session(source="127.0.0.2") as first, volume.session(source="127.0.0.3") as second:
        assert first.read(0, 1) == second.read(0, 1) == bytes(512)


@needs_root
def test_a_machine_that_vanished_makes_room_within_seconds(tmp_path):
    """Its cable is pulled: no FIN and no reset ever comes."""
    from netlab import SERVER, NetLab, inside
    lab = NetLab(tmp_path)
    try:
        prefix = ("ip", "netns", "exec", lab.server.name)
        lost, heir = lab.client("10.0.0.50/24"), lab.client("10.0.0.51/24")
        with SanDaemon(tmp_path / "d", portal=(SERVER, 3260), prefix=prefix) as daemon:
            disk = daemon.volume()
            with inside(lost):
                first = disk.session()
            first.write(0, b"1" * 512)
            with inside(heir):
                assert refusal(daemon.portal, disk.target) == 0x0301
            assert first.ping(b"alive") == b"alive"
            lost.run("ip", "link", "set", "eth0", "down")
            attempts = []

            def let_in() -> bool:
                with inside(heir):
                    attempts.append(Session(daemon.portal, disk.target))
                try:
                    attempts[-1].login()
                    return True
                except LoginRefused as refused:
                    assert refused.status == 0x0301
                    return False

            wait_until(let_in, "the second machine to be let in")
            assert attempts[-1].read(0, 1) == b"1" * 512
            daemon.wait_for("sessions", 1)
            for session in (first, *attempts):
                session.close()
    finally:
        lab.close()


# --- sessions ---


def test_firmware_and_system_share_a_disk_during_the_hand_over(daemon, disk):
    with disk.session(keys=FIRMWARE) as firmware, disk.session() as system:
        firmware.write(0, b"f" * 512)
        assert system.read(0, 1) == b"f" * 512
        assert system.tsih != firmware.tsih
        daemon.wait_for("sessions", 2)


def test_a_new_login_with_the_same_isid_ends_the_old_session_at_once(daemon, disk):
    old = disk.session()
    task = old.start(iscsi.write_cdb(0, 8), write=b"x" * 4096, immediate=0, unsolicited=0, answers_r2t=False)
    old.wait_for(iscsi.R2T)
    with disk.session(isid=old.isid) as new:
        assert closed(old) and not task.done
        daemon.wait_for("sessions", 1)
        assert new.read(0, 8) == bytes(4096)
    assert daemon.lines("replaced by a new login of the same initiator")


def test_twenty_logins_with_one_isid_at_once_leave_one_session(daemon, disk):
    isid = 0x80 << 40 | 0x123456 << 16
    waiting = [Session(daemon.portal, disk.target, isid=isid) for _ in range(20)]
    for session in waiting:  # all first requests, then all last ones
        session.exchange_login({**session.identity(), "AuthMethod": "None"}, next_stage=iscsi.OPERATIONAL)
    requests = [session.login_pdu(session.keys, next_stage=iscsi.FULL_FEATURE) for session in waiting]
    for session, request in zip(waiting, requests, strict=True):
        session.send(request)
    for session, request in zip(waiting, requests, strict=True):
        with contextlib.suppress(ConnectionError):
            session.login_response(request)
    daemon.wait_for("sessions", 1)
    alive = 0
    for session in waiting:
        with contextlib.suppress(ConnectionError), session:
            alive += session.stage == iscsi.FULL_FEATURE and session.ping(b"?") == b"?"
    assert alive == 1
    daemon.wait_for("sessions", 0)


@pytest.mark.parametrize("how, status", [
    ({"tsih": 77}, 0x020a),
    ({"same": True, "cid": 1}, 0x0206),
    ({"same": True, "tsih": 77}, 0x020a),
])
def test_a_login_to_a_session_that_it_cannot_join(daemon, disk, how, status):
    with disk.session() as first:
        if how.pop("same", False):
            how = {"isid": first.isid, "tsih": first.tsih, **how}
        assert refusal(daemon.portal, disk.target, **how) == status
        assert first.ping(b"alive") == b"alive"


def test_connection_reinstatement(daemon, disk):
    """The same session again, by its TSIH and CID."""
    old = disk.session()
    with disk.session(isid=old.isid, tsih=old.tsih) as new:
        assert closed(old)
        assert new.tsih == old.tsih
        assert new.read(0, 1) == bytes(512)
        daemon.wait_for("sessions", 1)


def test_sessions_at_once_on_volumes_of_their_own(daemon):
    volumes = [daemon.volume(f"v{n}", size=4 * MIB) for n in range(8)]
    failures = []

    def work(n: int) -> None:
        try:
            with volumes[n].session(keys=FIRMWARE if n % 2 else LINUX) as session:
                for turn in range(40):
                    lba, data = turn * 37 % 8000, bytes([n * 16 + turn % 16]) * (512 * (1 + turn % 61))
                    session.write(lba, data)
                    if session.read(lba, len(data) // 512) != data:
                        failures.append((n, turn))
                assert session.logout() == 0
        except Exception as error:  # noqa: BLE001
            failures.append((n, error))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failures == []
    daemon.wait_for("logins", 8)
    assert daemon.counter("violations") == 0
    daemon.wait_for("sessions", 0)


def test_many_commands_at_once_in_one_session(disk):
    with disk.session() as session:
        data = [os.urandom(4096) for _ in range(100)]
        session.wait(*[session.start(iscsi.write_cdb(8 * n, 8), write=d) for n, d in enumerate(data)])
        tasks = [session.start(iscsi.read_cdb(8 * n, 8), read=4096) for n in range(100)]
        session.wait(*tasks)
        assert [bytes(t.data) for t in tasks] == data
        assert disk.bytes_at(0, 100 * 4096) == b"".join(data)


def test_task_management(disk):
    with disk.session() as session, disk.session() as other:
        session.write(0, b"old" + bytes(4093))
        task = session.start(iscsi.write_cdb(0, 8), write=b"x" * 4096, immediate=0, unsolicited=0, answers_r2t=False)
        session.wait_for(iscsi.R2T)
        assert session.task_management(iscsi.ABORT_TASK, task) == 0
        assert session.task_management(iscsi.ABORT_TASK, task) == 1
        waiting = other.start(iscsi.write_cdb(8, 8), write=b"x" * 4096, immediate=0, unsolicited=0, answers_r2t=False)
        other.wait_for(iscsi.R2T)
        assert session.task_management(iscsi.LUN_RESET) == 0
        assert session.task_management(iscsi.LUN_RESET, lun=1 << 48) == 2
        other.tasks.pop(waiting.itt)
        for s in (session, other):
            assert s.command(iscsi.TEST_UNIT_READY).sense == "06/29/03"
            assert s.command(iscsi.TEST_UNIT_READY).good
        assert session.read(0, 16) == b"old" + bytes(8189)
        assert session.task_management(9) == 5


# --- volumes ---


def test_a_volume_in_use_is_not_removed(daemon, disk):
    with disk.session() as session:
        answer = daemon.delete("/v1/volumes/disk")
        assert answer.status == 409
        assert f"volume 'disk' is in use by {INITIATOR} from 127.0.0.1; log out there first" in answer.error
        assert "is in use by" in daemon.refused("volume", "remove", "disk")
        session.write(0, b"1" * 512)
        session.logout()
    assert "volume disk is removed" in daemon.ok("volume", "remove", "disk")
    assert not disk.path.exists()
    assert refusal(daemon.portal, disk.target) == 0x0203


def test_a_volume_without_its_file_or_with_a_part_of_it_is_not_served(daemon, disk):
    need("iscsi-inq")
    aside = disk.path.with_suffix(".aside")
    disk.path.rename(aside)
    assert refusal(daemon.portal, disk.target) == 0x0301
    assert run("iscsi-inq", "-i", INITIATOR, disk.url, check=False).returncode == 10
    daemon.wait_line(f"error: volume {disk.name}: cannot open {disk.path}: No such file or directory")
    assert daemon.lines("refused", "its volume cannot be opened; the daemon's log tells why")
    aside.rename(disk.path)
    os.truncate(disk.path, 32 * MIB)
    assert refusal(daemon.portal, disk.target) == 0x0301
    daemon.wait_line(f"error: volume {disk.name}: {disk.path} has only {32 * MIB} of the volume's {64 * MIB} bytes; "
                     "restore it from a backup")
    os.truncate(disk.path, 64 * MIB)
    with disk.session() as session:
        assert session.capacity() == (64 * MIB // 512, 512)


def test_a_file_that_becomes_shorter_under_a_session_is_an_error_not_a_crash(daemon, disk):
    with disk.session() as session:
        os.truncate(disk.path, MIB)
        task = session.command(iscsi.read_cdb(32 * MIB // 512, 8), read=4096)
        assert task.sense == "03/11/00"
        assert session.read(0, 8) == bytes(4096)


def test_a_full_file_system_is_told_to_the_initiator_and_to_nobody_else(daemon, small_tmpfs):
    (small_tmpfs / "file").touch()
    os.truncate(small_tmpfs / "file", 32 * MIB)
    full = daemon.volume("full", file=str(small_tmpfs / "file"))
    fine = daemon.volume("fine")
    with full.session() as session, fine.session() as other:
        data = os.urandom(3 * MIB)
        session.write(0, data)
        for how in ({}, {"immediate": 0, "unsolicited": 0}, {"immediate": 4096, "unsolicited": 0}):
            task = session.command(iscsi.write_cdb(8 * MIB // 512, 4096), write=bytes(range(256)) * 8192, **how)
            assert task.status == iscsi.CHECK_CONDITION and task.sense == "07/27/07", task
        task = session.command(iscsi.write_same_cdb(16 * MIB // 512, 16384), write=b"s" * 512)
        assert task.sense == "07/27/07", task
        assert session.read(0, 6144) == data
        other.write(0, data)
        assert other.read(0, 6144) == data
        session.unmap((8 * MIB // 512, 24 * MIB // 512))  # makes room
        session.write(4 * MIB // 512, b"y" * 65536)
        session.flush()
        assert session.read(4 * MIB // 512, 128) == b"y" * 65536
    assert daemon.counter("violations") == 0


@pytest.mark.parametrize("block_size", [512, 4096])
def test_blocks_of_both_sizes(daemon, block_size):
    need("iscsi-readcapacity16")
    volume = daemon.volume(size=64 * MIB, block_size=block_size)
    said = run("iscsi-readcapacity16", "-i", INITIATOR, volume.url).stdout
    assert f"RETURNED LOGICAL BLOCK ADDRESS:{64 * MIB // block_size - 1}\n" in said
    assert f"LOGICAL BLOCK LENGTH IN BYTES:{block_size}\n" in said and "LBPME:1 LBPRZ:1" in said
    assert run("iscsi-readcapacity16", "-s", "-i", INITIATOR, volume.url).stdout.strip() == str(64 * MIB)
    last = 64 * MIB // block_size - 1
    with volume.session() as session:
        assert session.capacity() == (last + 1, block_size)
        session.write(last, b"z" * block_size, block_size)
        assert session.read(last, 1, block_size) == b"z" * block_size
        for cdb, how in ((iscsi.read_cdb(last, 2), {"read": 2 * block_size}),
                         (iscsi.write_cdb(last + 1, 1), {"write": bytes(block_size)}),
                         (iscsi.write_same_cdb(last, 2), {"write": bytes(block_size)})):
            assert session.command(cdb, **how).sense == "05/21/00"
    assert volume.bytes_at(64 * MIB - block_size, block_size) == b"z" * block_size


def test_a_read_only_volume_refuses_every_kind_of_write(daemon, tmp_path):
    file = tmp_path / "file"
    content = os.urandom(MIB)
    file.write_bytes(content)
    volume = daemon.volume(file=str(file), read_only=True)
    with volume.session() as session:
        assert session.read(0, 2048) == content
        mode = session.good(bytes([0x1a, 0, 0x3f, 0, 0xff, 0]), read=255)
        assert mode[2] & 0x80  # WP
        for cdb, data in ((iscsi.write_cdb(0, 1), bytes(512)), (iscsi.write_cdb(0, 1, 0x2a), bytes(512)),
                          (iscsi.write_cdb(0, 1, 0x0a), bytes(512)), (iscsi.write_cdb(0, 1, 0xaa), bytes(512)),
                          (iscsi.write_cdb(0, 2048), bytes(MIB)), (iscsi.write_same_cdb(0, 8), bytes(512)),
                          (iscsi.write_same_cdb(0, 8, 0x41), bytes(512)),
                          (iscsi.unmap_cdb(24), iscsi.unmap_list([(0, 8)]))):
            assert session.command(cdb, write=data).sense == "07/27/00", cdb.hex()
    assert file.read_bytes() == content


@needs_root
@pytest.mark.parametrize("block_size", [512, 4096])
def test_a_block_device_as_a_volume(daemon, tmp_path, block_size):
    need("losetup")
    file = tmp_path / "file"
    file.write_bytes(os.urandom(4 * MIB))
    with loop_device(file, "--sector-size", str(block_size)) as device:
        volume = daemon.volume(device=device)
        with volume.session() as session:
            assert session.capacity() == (4 * MIB // block_size, block_size)
            assert session.read(0, 64, block_size) == file.read_bytes()[:64 * block_size]
            session.write(8, b"a" * (8 * block_size), block_size)
            session.unmap((16, 8))
            session.write_same(32, 8, b"b" * block_size)
            session.flush()
            assert session.read(8, 16, block_size) == b"a" * (8 * block_size) + bytes(8 * block_size)
            # nobody else gets at it, nor may it go, while it is exported
            again = subprocess.run(["mount", device, tmp_path], capture_output=True, text=True)
            assert again.returncode != 0
            with pytest.raises(OSError):
                os.close(os.open(device, os.O_RDWR | os.O_EXCL))
            session.logout()
        daemon.wait_for("sessions", 0)
        wait_until(lambda: is_free(device), "the device to be let go")
    data = file.read_bytes()
    assert data[8 * block_size:24 * block_size] == b"a" * (8 * block_size) + bytes(8 * block_size)
    assert data[32 * block_size:40 * block_size] == b"b" * (8 * block_size)


def is_free(device: str) -> bool:
    try:
        os.close(os.open(device, os.O_RDWR | os.O_EXCL))
        return True
    except OSError:
        return False


def test_a_port_in_use_is_told_in_one_sentence(daemon, tmp_path):
    other = SanDaemon(tmp_path / "other", portal=daemon.portal)
    said = other.fail_to_start()
    address = f"{daemon.portal[0]}:{daemon.portal[1]}"
    assert said == (f"error: iscsi: {address} is in use by another program; stop it or set another address "
                    "under [iscsi]\n")
    assert daemon.get("/v1/status").status == 200


# --- data ---

DIGESTS = {**LINUX, "HeaderDigest": "CRC32C,None", "DataDigest": "CRC32C,None"}
KEYS = {
    "linux": LINUX,
    "firmware": FIRMWARE,
    "digests": DIGESTS,
    "header digest": {**LINUX, "HeaderDigest": "CRC32C", "DataDigest": "None,CRC32C"},
    "everything by R2T": {**LINUX, "InitialR2T": "Yes", "ImmediateData": "No", "MaxOutstandingR2T": "8"},
    "immediate data only": {**LINUX, "InitialR2T": "Yes", "ImmediateData": "Yes"},
    "unsolicited data only": {**LINUX, "InitialR2T": "No", "ImmediateData": "No"},
    "odd sizes": {**LINUX, "MaxRecvDataSegmentLength": "1000", "MaxBurstLength": "10001",
                  "FirstBurstLength": "5003", "MaxOutstandingR2T": "3"},
    "smallest sizes": {**LINUX, "MaxRecvDataSegmentLength": "512", "MaxBurstLength": "512",
                       "FirstBurstLength": "512"},
    "defaults of the standard": {},
}
TRANSFERS = [(0, 1), (1, 1), (7, 2), (3, 8), (8, 8), (5, 127), (1, 511), (9, 513), (2, 1025), (0, 2048)]


def ways(session: Session, size: int) -> list[dict[str, int]]:
    """How the data of a write may be sent."""
    first = min(size, session.first_burst)
    ways = [{}, {"immediate": 0, "unsolicited": 0}]
    if session.immediate_data:
        ways.append({"immediate": min(512, first), "unsolicited": 0})
    if not session.initial_r2t:
        ways.append({"immediate": 0, "unsolicited": first})
        if session.immediate_data and first > 512:
            ways.append({"immediate": 512, "unsolicited": first - 512})
            ways.append({"immediate": 256, "unsolicited": 256})
    return ways


@pytest.mark.parametrize("name", KEYS)
def test_transfers_of_every_size_with_whatever_was_agreed(disk, name):
    noise = os.urandom(4 * MIB)
    with disk.session(keys=KEYS[name]) as session:
        for asked in ("InitialR2T", "ImmediateData"):
            assert session.agreed.get(asked) == session.keys.get(asked)
        assert session.header_digest == session.keys.get("HeaderDigest", "").startswith("CRC32C")
        assert session.data_digest == session.keys.get("DataDigest", "").startswith("CRC32C")
        for n, (lba, blocks) in enumerate(TRANSFERS):
            for m, way in enumerate(ways(session, blocks * 512)):
                session.piece = (None, 700)[m % 2]
                data = noise[n * 4096 + m:][:blocks * 512]
                session.write(lba, data, **way)
                assert session.read(lba, blocks) == data, (lba, blocks, way)
                assert disk.bytes_at(lba * 512, blocks * 512) == data, (lba, blocks, way)
        assert session.logout() == 0


@pytest.mark.parametrize("name", ["linux", "firmware", "odd sizes"])
def test_eight_mebibytes_in_one_command(disk, name):
    data = os.urandom(8 * MIB)
    with disk.session(keys=KEYS[name]) as session:
        session.write(3, data)
        assert session.read(3, 16384) == data
        session.flush()
    assert disk.bytes_at(3 * 512, 8 * MIB) == data


@pytest.mark.parametrize("name", ["linux", "firmware", "immediate data only", "unsolicited data only"])
@pytest.mark.parametrize("blocks", [1, 16, 600])
def test_a_length_that_differs_from_the_commands_is_told_as_a_residual(disk, name, blocks):
    size = blocks * 512
    old = b"o" * (size + 1024)
    with disk.session(keys=KEYS[name]) as session:
        for edtl in (size + 1, size + 100, size + 512, size - 1, size - 512, size // 2):
            session.write(0, old)
            task = session.command(iscsi.read_cdb(0, blocks), read=edtl)
            assert task.good and task.residual == size - edtl, task
            assert bytes(task.data) == old[:min(size, edtl)]
            data = b"n" * edtl
            task = session.command(iscsi.write_cdb(0, blocks), write=data)
            assert task.good and task.residual == size - edtl, task
            written = min(size, edtl)  # to the byte: the rest of the last block stays as it was
            assert disk.bytes_at(0, len(old)) == b"n" * written + old[written:], (edtl, task)
        task = session.command(iscsi.TEST_UNIT_READY, read=512)
        assert task.good and task.residual == -512
        task = session.command(iscsi.read_cdb(0, 0), read=512)
        assert task.good and task.residual == -512
        task = session.command(iscsi.read_cdb(0, blocks))
        assert task.good and task.residual == size and not task.data
        assert session.ping(b"alive") == b"alive"


@pytest.mark.parametrize("name", ["linux", "firmware", "everything by R2T", "immediate data only",
                                  "unsolicited data only", "odd sizes"])
def test_task_attributes_order_commands(daemon, name):
    """What waits is not begun; it has its data when it begins, however that was sent."""
    disk = daemon.volume()
    first, second = b"1" * 4096, os.urandom(300 * 512)
    with disk.session(keys=KEYS[name]) as session, disk.session(isid=0x00023d000009) as other:
        begun = session.start(iscsi.write_cdb(0, 8), write=first, immediate=0, unsolicited=0, answers_r2t=False)
        session.wait_for(iscsi.R2T)
        ordered = session.start(iscsi.write_cdb(4, 300), write=second, attribute=iscsi.ORDERED)
        assert session.ping(b"it has come") == b"it has come"
        behind = other.start(iscsi.read_cdb(0, 8), read=4096)
        assert other.command(iscsi.read_cdb(4, 4), read=2048, attribute=iscsi.HEAD_OF_QUEUE).data == bytes(2048)
        assert session.command(iscsi.read_cdb(4, 4), read=2048, attribute=iscsi.HEAD_OF_QUEUE).data == bytes(2048)
        assert session.ping(b"alive") == b"alive" and not (ordered.done or behind.done)
        begun.answers_r2t = True
        for r2t in begun.r2ts:
            session.send_data_out(begun, r2t.offset, r2t.desired, r2t.ttt)
        begun.r2ts.clear()
        assert session.wait(begun, ordered).good and begun.good
        assert other.wait(behind).data == first[:2048] + second[:2048]
        assert disk.bytes_at(0, 2048 + len(second)) == first[:2048] + second
        assert session.command(iscsi.TEST_UNIT_READY, attribute=iscsi.ACA).sense == "05/49/00"
        assert session.command(bytes([0, 0, 0, 0, 0, 0x04])).sense == "05/24/00"  # NACA
    assert daemon.counter("violations") == 0


def test_every_read_and_write_command(disk):
    with disk.session() as session:
        for n, (read, write) in enumerate(((0x08, 0x0a), (0x28, 0x2a), (0xa8, 0xaa), (0x88, 0x8a))):
            data = os.urandom(37 * 512)
            assert session.command(iscsi.write_cdb(100 * n, 37, write), write=data).good
            assert session.good(iscsi.read_cdb(100 * n, 37, read), read=len(data)) == data
            assert disk.bytes_at(100 * n * 512, len(data)) == data
        assert session.good(iscsi.read_cdb(0, 0, 0x08), read=256 * 512) == disk.bytes_at(0, 256 * 512)


def test_zeroes_patterns_and_holes_lie_in_the_file_as_they_were_asked_for(disk):
    with disk.session() as session:
        session.write(0, b"\xaa" * (4 * MIB), fua=True)
        used = disk.path.stat().st_blocks
        session.write_same(1000, 1001, b"pattern!" * 64)
        session.good(iscsi.write_same_cdb(3000, 500, 0x41), write=b"\x11" * 512)
        session.good(iscsi.write_same_cdb(4000, 3, flags=0x01))  # NDOB
        session.unmap((4096, 1024), (6144, 1024), (8000, 1))
        session.flush()
        expected = bytearray(b"\xaa" * (4 * MIB))
        for lba, blocks, block in ((1000, 1001, b"pattern!" * 64), (3000, 500, b"\x11" * 512), (4000, 3, bytes(512)),
                                   (4096, 1024, bytes(512)), (6144, 1024, bytes(512)), (8000, 1, bytes(512))):
            expected[lba * 512:(lba + blocks) * 512] = block * blocks
        assert session.read(0, 8192) == expected
        assert disk.bytes_at(0, 4 * MIB) == expected
        assert disk.path.stat().st_blocks <= used - 2048
        session.unmap((0, 8192))
        assert disk.path.stat().st_blocks < 64
        assert disk.path.stat().st_size == 64 * MIB


# --- other people's programs ---


def test_inquiry_and_every_page_of_vital_product_data(daemon, disk):
    need("iscsi-inq")

    def inquiry(*words: object) -> str:
        return run("iscsi-inq", "-i", INITIATOR, *words, disk.url).stdout

    serial = daemon.get("/v1/volumes/disk").json["serial"]
    standard = inquiry()
    for words in ("Qualifier:CONNECTED", "Type:DIRECT_ACCESS", "Vendor:NODISK", "Product:VOLUME", "CmdQue:1",
                  "Removable:0", "iSCSI", "SPC-4"):
        assert words in standard
    pages = re.findall(r"Page:0x(..)", inquiry("-e", "1", "-c", 0))
    assert pages == ["00", "80", "83", "86", "87", "88", "8f", "b0", "b1", "b2"]
    assert f"Unit Serial Number:[{serial}]" in inquiry("-e", "1", "-c", 0x80)
    designators = inquiry("-e", "1", "-c", 0x83)
    for words in (f"Designator:[NODISK  {serial}]", f"Designator:[{disk.target},t,0x0001]",
                  f"Designator:[{disk.target}]"):
        assert words in designators
    kinds = re.findall(r"Association:\((\d)\).*\nDesignator Type:\((\d)\)", designators)
    assert kinds[::-1] == [("0", "3"), ("0", "1"), ("1", "8"), ("1", "4"), ("1", "5"), ("2", "8")]
    limits = inquiry("-e", "1", "-c", 0xb0)
    assert "optimal unmap granularity:8\n" in limits and "maximum unmap lba count:1048576\n" in limits
    assert "Medium Rotation Rate:1RPM" in inquiry("-e", "1", "-c", 0xb1)
    provisioning = inquiry("-e", "1", "-c", 0xb2)
    for words in ("lbpu:1", "lbpws:1", "lbpws10:1", "lbprz:1", "provisioning type:2"):
        assert words in provisioning
    unknown = run("iscsi-inq", "-i", INITIATOR, "-e", "1", "-c", 0xb3, disk.url, check=False)
    assert unknown.returncode == 10 and "INVALID_FIELD_IN_CDB" in unknown.stdout + unknown.stderr
    with disk.session() as session:  # what iscsi-inq cannot print, and cut at every length
        group = bytes([0x00, 0x01, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1])  # active/optimized; a port
        assert session.good(bytes([0xa3, 0x0a, *bytes(7), 255, 0, 0]), read=255) == bytes([0, 0, 0, 12]) + group
        assert session.good(bytes([0xa3, 0x2a, *bytes(7), 255, 0, 0]), read=255) == (
            bytes([0, 0, 0, 16, 0x10, 0, 0, 0]) + group)
        for page in (None, *(int(page, 16) for page in pages)):
            full = session.good(iscsi.inquiry_cdb(page), read=255)
            assert len(full) == (full[4] + 5 if page is None else int.from_bytes(full[2:4], "big") + 4)
            assert page is None or full[1] == page
            for size in range(len(full)):
                assert session.good(iscsi.inquiry_cdb(page, size), read=255) == full[:size]


def test_libiscsis_other_tools(disk):
    need("iscsi-swp", "iscsi-perf", "iscsi-ls")
    assert "SWP:0" in run("iscsi-swp", "-i", INITIATOR, disk.url).stdout
    for words in (["-m", "32", "-b", "8", "-r"], ["-m", "4", "-b", "1024"]):
        said = run("iscsi-perf", "-i", INITIATOR, *words, "-t", "1", disk.url).stdout
        assert "finished" in said and "failed" not in said.lower()
    luns = run("iscsi-ls", "-s", "-i", INITIATOR, f"iscsi://{disk.portal[0]}:{disk.portal[1]}").stdout
    assert re.findall(r"Lun:\d+ +Type:\S+", luns) == ["Lun:0    Type:DIRECT_ACCESS"]


def test_qemu_img_copies_an_image_there_and_back(daemon, tmp_path):
    need("qemu-img")
    image, back = tmp_path / "image", tmp_path / "back"
    with image.open("wb") as file:  # random data, zeroes, holes
        file.truncate(24 * MIB)
        for offset, size in ((0, 3 * MIB + 512), (7 * MIB + 4096, 65536), (20 * MIB - 1536, MIB + 1024)):
            file.seek(offset)
            file.write(os.urandom(size))
    disk = daemon.volume(size=24 * MIB)
    source = f"driver=raw,file.driver=file,file.filename={image}"
    run("qemu-img", "convert", "-n", "--image-opts", "--target-image-opts", source, qemu(disk))
    assert disk.path.read_bytes() == image.read_bytes()
    assert disk.path.stat().st_blocks < 12 * MIB // 512  # holes stay holes
    run("qemu-img", "convert", "--image-opts", "-O", "raw", qemu(disk), back)
    assert back.read_bytes() == image.read_bytes()
    assert "identical" in run("qemu-img", "compare", "--image-opts", qemu(disk), source).stdout


def test_qemu_img_sees_size_data_and_holes(disk):
    need("qemu-img")
    with disk.session() as session:
        session.write(2048, b"d" * MIB)
        session.write(65536, b"e" * 4096)
    info = json.loads(run("qemu-img", "info", "--output=json", "--image-opts", qemu(disk)).stdout)
    assert info["virtual-size"] == 64 * MIB and info["format"] == "raw"
    pieces = json.loads(run("qemu-img", "map", "--output=json", "--image-opts", qemu(disk)).stdout)
    data = [(piece["start"], piece["length"]) for piece in pieces if piece["data"]]
    assert data == [(MIB, MIB), (32 * MIB, 4096)]


@pytest.mark.parametrize("block_size", [512, 4096])
@pytest.mark.parametrize("digest", ["none", "crc32c"])
def test_qemu_io_writes_zeroes_discards_and_flushes(daemon, block_size, digest):
    """Small reads only: QEMU 7.2 breaks down when it reads 32 KiB of a disk with blocks of 4096."""
    need("qemu-io")
    disk = daemon.volume(size=16 * MIB, block_size=block_size)

    def io(*commands: str) -> str:
        words = [word for command in commands for word in ("-c", command)]
        said = run("qemu-io", "-d", "unmap", "--image-opts", qemu(disk, **{"file.header_digest": digest}), *words)
        assert "failed" not in said.stdout + said.stderr
        return said.stdout

    io("write -P 0x11 0 1M", "write -f -P 0x22 1M 4k", "write -P 0x33 3M 3M", "flush", "read -P 0x22 1M 4k")
    assert disk.bytes_at(0, MIB + 4096) == b"\x11" * MIB + b"\x22" * 4096
    assert disk.bytes_at(3 * MIB, 3 * MIB) == b"\x33" * (3 * MIB)
    used = disk.path.stat().st_blocks
    io("write -z 64k 64k", "write -z -u 256k 64k", "discard 3M 1M", "flush", "read -P 0 3M 16k", "read -P 0x33 4M 16k")
    assert disk.bytes_at(0, MIB) == (b"\x11" * 65536 + bytes(65536) + b"\x11" * 131072 + bytes(65536)
                                     + b"\x11" * (MIB - 327680))
    assert disk.bytes_at(3 * MIB, 3 * MIB) == bytes(MIB) + b"\x33" * (2 * MIB)
    assert disk.path.stat().st_blocks <= used - MIB // 512


def test_qemu_cannot_write_to_a_read_only_volume(daemon):
    need("qemu-io")
    disk = daemon.volume(read_only=True)
    said = run("qemu-io", "--image-opts", qemu(disk), "-c", "write 0 4k", check=False)
    assert said.returncode == 1 and "write protected" in said.stdout + said.stderr
    said = run("qemu-io", "-r", "--image-opts", qemu(disk), "-c", "read -P 0 0 4k").stdout
    assert "read 4096/4096" in said


# --- what an idle session costs ---


@contextlib.contextmanager
def idle_sessions(volumes: list[Volume], count: int):
    """So many sessions that have done a little and are silent now."""
    with contextlib.ExitStack() as stack:
        for n in range(count):
            session = stack.enter_context(volumes[n % len(volumes)].session())
            session.read(n, 8)
            session.write(n, bytes(4096))
        yield


def test_an_idle_session_takes_less_than_16_kib(tmp_path, capsys):
    count = 1000
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < count + 100:
        pytest.skip("too few open files are allowed")
    with SanDaemon(tmp_path / "d", program=plain_program()) as daemon:
        volumes = [daemon.volume(f"v{n}", allow=("any",)) for n in range(4)]
        with idle_sessions(volumes, 20):
            pass
        daemon.wait_for("sessions", 0)
        before = daemon.memory_kib()
        with idle_sessions(volumes, count):
            daemon.wait_for("sessions", count)
            each = (daemon.memory_kib() - before) * 1024 // count
            with capsys.disabled():
                print(f"\nan idle session takes {each} bytes")
            assert 0 < each < 16 << 10
        daemon.wait_for("sessions", 0)


def activity(pid: int) -> tuple[int, int]:
    """CPU time, in ticks, and voluntary context switches of all threads."""
    def look(task: Path) -> tuple[int, int]:
        fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
        switches = re.search(r"\nvoluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text())
        return int(fields[11]) + int(fields[12]), int(switches[1])

    ticks, switches = zip(*listing(f"/proc/{pid}/task", look))
    return sum(ticks), sum(switches)


def test_an_idle_daemon_sleeps(tmp_path):
    """No CPU time and no wake-up in two seconds in a row, with sessions and without."""
    with SanDaemon(tmp_path / "d", program=plain_program()) as daemon:
        volume = daemon.volume(allow=("any",))

        def sleeps() -> bool:
            before = activity(daemon.process.pid)
            time.sleep(2)
            return activity(daemon.process.pid) == before

        wait_until(sleeps, "two quiet seconds without sessions")
        with idle_sessions([volume], 200):
            wait_until(sleeps, "two quiet seconds with 200 sessions")
