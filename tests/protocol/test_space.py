"""Space: what volumes take, what happens when there is none left, and who is told before that."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import mounted
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
