"""Space: what volumes take, what happens when there is none left, and who is told before that."""

import contextlib
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import mounted, wait_until
from iscsilab import MIB, SanDaemon, Session, Volume
from lab import iscsi

BLOCK = 4096
PIECE = MIB // 4  # bytes, of a write that fills


@pytest.fixture(params=["tmpfs", "ext4"])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A small file system."""
    if request.param == "tmpfs":
        how = ("-t", "tmpfs", "-o", "size=24m", "tmpfs")
    else:
        disk = tmp_path / "disk"
        with disk.open("wb") as file:
            file.truncate(40 * MIB)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", disk], check=True)
        how = ("-o", "loop", disk)
    with mounted(*how, place=tmp_path / "small") as place:
        yield place


def overlay(daemon: SanDaemon, name: str, size: int = 64 * MIB) -> Volume:
    """A volume over nothing."""
    return daemon.volume(name, size, overlay=True)


def used(daemon: SanDaemon, name: str) -> int:
    return daemon.get(f"/v1/volumes/{name}").json["used"]


def write(session: Session, offset: int, data: bytes) -> iscsi.Task:
    return session.command(iscsi.write_cdb(offset // 512, len(data) // 512), write=data)


def read(session: Session, offset: int, size: int) -> bytes:
    return b"".join(session.read((offset + at) // 512, min(MIB, size - at) // 512) for at in range(0, size, MIB))


def fill(session: Session, offset: int, piece: int = PIECE) -> dict[int, bytes]:
    """Writes from there on until there is no space any more; what was answered with GOOD."""
    written = {}
    while True:
        data = os.urandom(piece)
        task = write(session, offset, data)
        if not task.good:
            assert task.sense == "07/27/07", task
            return written
        written[offset] = data
        offset += piece


def assert_written(session: Session, written: dict[int, bytes]) -> None:
    for offset, data in written.items():
        assert read(session, offset, len(data)) == data, offset


def fill_up(session: Session) -> dict[int, bytes]:
    """Leaves no block for anybody."""
    written = fill(session, 0)
    return {**written, **fill(session, 48 * MIB, BLOCK)}


def test_a_full_disk_is_told_to_the_writer_and_harms_nobody_else(small, tmp_path):
    with SanDaemon(tmp_path / "d", state=small / "state") as daemon:
        full, fine = overlay(daemon, "full"), overlay(daemon, "fine")
        with full.session() as session, fine.session() as other:
            kept = {0: os.urandom(2 * MIB), 32 * MIB: os.urandom(MIB)}
            for offset, data in kept.items():
                assert write(other, offset, data).good
            written = fill_up(session)
            assert len(written) > 8

            # what came before is there, can be written to again, and becomes durable
            for s, content in ((session, written), (other, kept)):
                assert_written(s, content)
                content[0] = os.urandom(len(content[0]))
                assert write(s, 0, content[0]).good
                s.flush()
                assert_written(s, content)
            # what needs space is refused, and nothing becomes of it
            task = write(other, 16 * MIB, b"x" * MIB)
            assert task.sense == "07/27/07", task
            other.flush()
            assert read(other, 16 * MIB + 512 * 1024, 512 * 1024) == bytes(512 * 1024)

            # what is given back is there for everybody
            before = used(daemon, "full")
            offset = max(o for o in written if o < 48 * MIB)
            session.unmap((0, 2 * MIB // 512), (offset // 512, PIECE // 512))
            for o in [o for o in written if o < 2 * MIB or o == offset]:
                del written[o]
            session.flush()
            assert used(daemon, "full") <= before - 2 * MIB
            kept[16 * MIB] = os.urandom(MIB)
            assert write(other, 16 * MIB, kept[16 * MIB]).good
            other.flush()
            assert_written(other, kept)
            assert_written(session, written)
            assert read(session, 0, 2 * MIB) == bytes(2 * MIB)
        assert daemon.lines("volume full", "No space left on device", "make room for it")
        assert daemon.counter("violations") == 0


def test_what_a_full_disk_has_taken_outlives_the_daemon(small, tmp_path):
    with SanDaemon(tmp_path / "d", state=small / "state") as daemon:
        full, fine = overlay(daemon, "full"), overlay(daemon, "fine")
        with full.session() as session, fine.session() as other:
            kept = {0: os.urandom(MIB)}
            assert write(other, 0, kept[0]).good
            written = fill_up(session)
            daemon.kill()
        daemon.start()
        with full.session() as session, fine.session() as other:
            for s, content in ((session, written), (other, kept)):
                assert_written(s, content)
                content[0] = os.urandom(len(content[0]))
                assert write(s, 0, content[0]).good
                s.flush()
                assert_written(s, content)
            assert write(other, 16 * MIB, b"x" * MIB).sense == "07/27/07"
            session.unmap((0, 4 * MIB // 512))
            assert write(other, 16 * MIB, b"x" * MIB).good
            other.flush()
            assert read(other, 16 * MIB, MIB) == b"x" * MIB


def test_the_registry_on_a_full_disk_refuses_and_goes_on(small, tmp_path):
    with SanDaemon(tmp_path / "d", state=small / "state") as daemon:
        full = overlay(daemon, "full")
        with full.session() as session:
            written = fill_up(session)
            refused = None
            for n in range(3000):
                refused = daemon.cli("node", "add", f"n{n}", "--mac", f"52:54:00:00:{n >> 8:02x}:{n & 255:02x}")
                if refused.returncode:
                    break
            assert refused.returncode == 1 and "no space left for the registry" in refused.stderr
            assert "make" not in refused.stdout
            names = {node["name"] for node in daemon.get("/v1/nodes").json["nodes"]}
            assert names == {f"n{i}" for i in range(n)}
            assert_written(session, written)
            session.unmap((0, 2 * MIB // 512))
            daemon.ok("node", "add", f"n{n}", "--mac", "52:54:00:00:ff:ff")


def test_discards_give_space_back(tmp_path):
    with SanDaemon(tmp_path / "d") as daemon:
        for volume in (overlay(daemon, "overlay"), daemon.volume("file")):
            with volume.session() as session:
                session.write(0, os.urandom(2 * MIB))
                session.write(8 * MIB // 512, os.urandom(2 * MIB))
                session.flush()
                assert used(daemon, volume.name) >= 4 * MIB
                session.unmap((8 * MIB // 512, 2 * MIB // 512))
                session.flush()
                assert used(daemon, volume.name) < 3 * MIB
                same = session.command(iscsi.write_same_cdb(0, 2 * MIB // 512, flags=0x08), write=bytes(512))
                assert same.good, same
                session.flush()
                assert used(daemon, volume.name) < MIB


# --- before there is none left ---


def threshold_pages(session: Session) -> tuple[int, bytes, tuple[int, int]]:
    """Of the volume: the threshold exponent, the threshold descriptor, and how many sets of 2^exponent blocks are
    available and used."""
    exponent = session.good(iscsi.inquiry_cdb(0xb2), read=255)[4]
    page = session.good(struct.pack("!BBBB3xHx", 0x5a, 0x08, 0x1c, 0x02, 255), read=255)[8:]
    assert page[:16] == bytes([0x5c, 0x02, 0, 20]) + bytes(12)
    log = session.good(struct.pack("!BBBBBHHB", 0x4d, 0, 0x0c, 0, 0, 0, 255, 0), read=255)
    assert log[:8] == bytes([0x0c, 0, 0, 24, 0, 1, 3, 8]) and log[16:20] == bytes([0, 2, 3, 8])
    return exponent, page[16:24], (int.from_bytes(log[8:12], "big"), int.from_bytes(log[20:24], "big"))


def attention(session: Session) -> str:
    """The unit attention that comes next: a volume's thread hears of its cause a moment after it is known."""
    found: list[str] = []

    def has_come() -> bool:
        found.append(session.command(iscsi.read_cdb(0, 8), read=4096).sense)
        return found[-1].startswith("06/")

    wait_until(has_come, "a unit attention")
    return found[-1]


def space(daemon: SanDaemon) -> dict:
    return daemon.get("/v1/status").json["space"]


def set_warn_free(daemon: SanDaemon, value: str) -> None:
    """What the configuration says holds at once, and so does what there is."""
    daemon.warn_free = value
    daemon.write_config()
    if daemon.process:
        daemon.settle()


def test_a_threshold_warns_once_and_tells_the_initiators(tmp_path):
    with mounted("-t", "tmpfs", "-o", "size=64m", "tmpfs", place=tmp_path / "small") as place:
        daemon = SanDaemon(tmp_path / "d", state=place / "state")
        set_warn_free(daemon, "32M")
        with daemon, contextlib.ExitStack() as stack:
            volumes = [overlay(daemon, "one"), overlay(daemon, "two"), daemon.volume("file"),
                       daemon.volume("thick", 4 * MIB, thick=True), daemon.volume("removable", removable=True)]
            sessions = [stack.enter_context(v.session()) for v in volumes]
            thin, others = sessions[:3], sessions[3:]
            exponent, descriptor, (available, before) = threshold_pages(thin[0])
            assert exponent == 11 and descriptor == bytes([0x80, 1, 0, 0, 0, 0, 0, 32])
            assert abs(available + before - 64) <= 1 and available > 32
            assert not space(daemon)["low"] and space(daemon)["warn_below"] == 32 * MIB
            assert "space is low" not in daemon.ok("status")

            filler = place / "filler"
            filler.write_bytes(bytes(available * MIB - 20 * MIB))
            daemon.settle()
            wait_until(lambda: space(daemon)["low"], "low", 60)
            assert f"space is low: the file system of {daemon.state}" in daemon.ok("status")
            for session in thin:
                assert attention(session) == "06/38/07"
                session.good(iscsi.read_cdb(0, 8), read=4096)
            for session in others:
                session.good(iscsi.read_cdb(0, 8), read=4096)
                assert session.good(iscsi.inquiry_cdb(0xb2), read=255)[4] == 0
                assert session.command(struct.pack("!BBBBBHHB", 0x4d, 0, 0x0c, 0, 0, 0, 255, 0),
                                       read=255).sense == "05/24/00"
            with volumes[0].session() as late:  # it was low before: no news
                late.good(iscsi.read_cdb(0, 8), read=4096)
            _, _, (available, after) = threshold_pages(thin[1])
            assert available < 32 and after > before

            filler.unlink()
            daemon.settle()
            wait_until(lambda: not space(daemon)["low"], "enough", 60)
            assert len(daemon.lines("warn-free asks for")) == 1
            assert len(daemon.lines("which is enough again")) == 1
            thin[0].good(iscsi.TEST_UNIT_READY)

            set_warn_free(daemon, "99%")
            wait_until(lambda: space(daemon)["low"], "low", 60)
            assert attention(thin[0]) == "06/2a/01"  # another threshold
            assert attention(thin[0]) == "06/38/07"
            thin[0].good(iscsi.TEST_UNIT_READY)
            set_warn_free(daemon, "0")
            wait_until(lambda: not space(daemon)["low"], "no threshold", 60)
            assert attention(thin[0]) == "06/2a/01"
            assert threshold_pages(thin[0])[:2] == (11, bytes([0, 1, 0, 0, 0, 0, 0, 0]))


def test_a_file_elsewhere_is_measured_where_it_is(tmp_path):
    with mounted("-t", "tmpfs", "-o", "size=16m", "tmpfs", place=tmp_path / "other") as place:
        daemon = SanDaemon(tmp_path / "d")
        set_warn_free(daemon, "8M")
        with daemon:
            (place / "file").touch()
            os.truncate(place / "file", 64 * MIB)
            here, there = daemon.volume("here"), daemon.volume("there", file=str(place / "file"))
            assert space(daemon)["elsewhere"] == []
            with here.session() as session, there.session() as other:
                assert [e["path"] for e in space(daemon)["elsewhere"]] == [str(place / "file")]
                other.write(0, os.urandom(10 * MIB // 8 * 7))
                wait_until(lambda: space(daemon)["elsewhere"][0]["low"], "low", 60)
                assert not space(daemon)["low"]
                assert "space is low: the file system of " + str(place / "file") in daemon.ok("status")
                assert attention(other) == "06/38/07"
                session.good(iscsi.TEST_UNIT_READY)
                assert other.logout() == 0
                wait_until(lambda: space(daemon)["elsewhere"] == [], "nobody is there", 60)


def test_what_is_used_and_what_is_promised(tmp_path):
    with SanDaemon(tmp_path / "d") as daemon:
        overlay(daemon, "overlay", 1 << 44)
        volume = daemon.volume("thin")
        daemon.volume("thick", 4 * MIB, thick=True)
        (tmp_path / "mine").write_bytes(bytes(MIB))
        daemon.volume("mine", file=str(tmp_path / "mine"))
        with volume.session() as session:
            session.write(0, os.urandom(2 * MIB))
            session.flush()
        usage = daemon.get("/v1/status").json["usage"]
        assert usage["promised"] == (1 << 44) + 68 * MIB
        assert 6 * MIB <= usage["volumes"] < 8 * MIB
        assert (1 << 44) + 60 * MIB <= usage["unwritten"] <= (1 << 44) + 62 * MIB
        assert usage["elsewhere"] == 1 and usage["images"] == 0
        said = daemon.ok("status")
        assert "volumes take 6" in said and "that they were promised" in said
        assert "over-committed: volumes may want 16 TiB more" in said
