"""Volumes whose end no 32-bit number of blocks or sectors reaches."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import mounted
from iscsilab import INITIATOR, MIB, SanDaemon, Session, Volume, need, qemu, run
from lab import iscsi

TIB = 1 << 40
#: The last block that a 10-byte CDB can name.
LAST_32 = 0xffffffff

#: What is as large as that, in blocks of so many bytes. The first two end at LBA ffffffff and behind
#: it: READ CAPACITY(10) says the same of both.
VOLUMES = {
    "2 TiB": (2 * TIB, 512),
    "a bit over 2 TiB": (2 * TIB + MIB, 512),
    "21 TiB": (21 * TIB, 512),
    "3 TiB in large blocks": (3 * TIB, 4096),
    "21 TiB in large blocks": (21 * TIB, 4096),
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SanDaemon]:
    with SanDaemon(tmp_path_factory.mktemp("large") / "d") as d:
        yield d


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Ext4 has no files of more than 16 TiB."""
    with mounted("-t", "tmpfs", "-o", "size=256m", "tmpfs", place=tmp_path_factory.mktemp("vast") / "m") as mount:
        yield mount


@pytest.fixture(params=VOLUMES.values(), ids=VOLUMES)
def large(request: pytest.FixtureRequest, daemon: SanDaemon, place: Path) -> Iterator[tuple[Volume, int, int]]:
    """A volume without a byte of data, its size and that of its blocks."""
    size, block = request.param
    name = f"v{size // MIB}-{block}-{request.node.originalname.replace('_', '-')}"[:60].rstrip("-")
    file = place / name
    with file.open("wb") as made:
        made.truncate(size)
    yield daemon.volume(name, file=str(file), block_size=block), size, block
    file.unlink()


def lba_status(session: Session, lba: int, rows: int = 1) -> list[tuple[int, int, int]]:
    """GET LBA STATUS: (LBA, blocks, status: 0 mapped, 1 deallocated) of so many extents."""
    cdb = struct.pack("!BBQIBB", 0x9e, 0x12, lba, 8 + 16 * rows, 0, 0)
    data = session.good(cdb, read=8 + 16 * rows)
    return [struct.unpack_from("!QIB", data, at) for at in range(8, len(data), 16)]


def test_the_size_is_told(large):
    volume, size, block = large
    blocks = size // block
    with volume.session() as session:
        last, told = struct.unpack("!II", session.good(iscsi.READ_CAPACITY_10, read=8))
        assert (last, told) == (min(blocks - 1, LAST_32), block)
        assert session.capacity() == (blocks, block)
        mode = session.good(bytes([0x1a, 0, 0x3f, 0, 0xff, 0]), read=255)
        assert struct.unpack("!II", mode[4:12]) == (min(blocks, LAST_32), block)
        mode = session.good(bytes([0x5a, 0x10, 0x3f, 0, 0, 0, 0, 0, 0xff, 0]), read=255)  # LLBAA
        assert struct.unpack("!QII", mode[8:24]) == (blocks, 0, block)


def test_reads_and_writes_up_to_the_end(large):
    volume, size, block = large
    blocks, data = size // block, os.urandom(8 * block)
    with volume.session() as session:
        for opcode in (0x8a, 0x8e):  # WRITE(16), WRITE AND VERIFY(16)
            session.good(iscsi.write_cdb(blocks - 8, 8, opcode), write=data)
            assert session.read(blocks - 8, 8, block) == data
            assert volume.bytes_at(size - 8 * block, 8 * block) == data
            data = data[::-1]
        for lba, count in ((blocks - 7, 8), (blocks, 1), (1 << 63, 1), (2**64 - 1, 1)):
            for cdb, how in ((iscsi.write_cdb(lba, count), {"write": data[:count * block]}),
                             (iscsi.read_cdb(lba, count), {"read": count * block}),
                             (iscsi.write_same_cdb(lba, count), {"write": data[:block]})):
                assert session.command(cdb, **how).sense == "05/21/00", (lba, cdb)
        assert session.read(0, 8, block) == bytes(8 * block)  # nothing wrapped around
    assert volume.path.stat().st_blocks <= 256


def test_short_commands_reach_as_far_as_their_numbers(large):
    volume, size, block = large
    blocks, data = size // block, os.urandom(4 * block)
    last = min(blocks - 1, LAST_32)
    with volume.session() as session:
        for write, read in ((0x2a, 0x28), (0xaa, 0xa8), (0x2e, 0x28)):
            session.good(iscsi.write_cdb(last, 1, write), write=data[:block])
            assert session.good(iscsi.read_cdb(last, 1, read), read=block) == data[:block]
            assert volume.bytes_at(last * block, block) == data[:block]
            task = session.command(iscsi.write_cdb(last, 4, write), write=data)
            if last + 4 <= blocks:  # the range goes on where its first LBA could not
                assert task.good and session.read(last, 4, block) == data
                assert volume.bytes_at(last * block, 4 * block) == data
            else:
                assert task.sense == "05/21/00"
            data = data[::-1]
        session.good(iscsi.write_same_cdb(last, 1, 0x41), write=b"\x5c" * block)
        assert volume.bytes_at(last * block, block) == b"\x5c" * block
        assert session.read(0, 8, block) == bytes(8 * block)


def test_space_at_the_end(large):
    volume, size, block = large
    blocks = size // block
    page = 4096 // block
    with volume.session() as session:
        first, count, status = lba_status(session, 0)[0]
        assert (first, count, status) == (0, min(blocks, LAST_32), 1)
        session.write_same(blocks - 64 * page, 64 * page, b"\xa5" * block)
        assert volume.bytes_at(size - 64 * 4096, 64 * 4096) == b"\xa5" * (64 * 4096)
        session.unmap((blocks - 32 * page, 16 * page), (blocks - page, page))
        content = b"\xa5" * (32 * 4096) + bytes(16 * 4096) + b"\xa5" * (15 * 4096) + bytes(4096)
        assert volume.bytes_at(size - 64 * 4096, 64 * 4096) == content
        assert session.read(blocks - 64 * page, 64 * page, block) == content
        extents, lba = [], blocks - 65 * page
        while lba < blocks:
            extents += lba_status(session, lba)
            lba = extents[-1][0] + extents[-1][1]
        assert [(blocks - at, count, status) for at, count, status in extents] == [
            (65 * page, page, 1), (64 * page, 32 * page, 0), (32 * page, 16 * page, 1), (16 * page, 15 * page, 0),
            (page, page, 1)]
        session.good(iscsi.write_same_cdb(blocks - 64 * page, 64 * page, flags=0x09))  # UNMAP, NDOB
        assert lba_status(session, blocks - 64 * page) == [(blocks - 64 * page, 64 * page, 1)]
        task = session.command(iscsi.unmap_cdb(24), write=iscsi.unmap_list([(blocks - 1, 2)]))
        assert task.sense == "05/21/00"
    assert volume.bytes_at(size - 64 * 4096, 64 * 4096) == bytes(64 * 4096)


def test_qemu_writes_and_reads_the_end(large):
    volume, size, _ = large
    need("qemu-io")
    end = size - MIB
    run("qemu-io", "-d", "unmap", "--image-opts", qemu(volume), "-c", f"write -P 0x77 {end} 512k",
        "-c", f"write -P 0x78 {size - 4096} 4k", "-c", f"discard {end + 65536} 64k", "-c", "flush",
        "-c", f"read -P 0x77 {end} 4k", "-c", f"read -P 0 {end + 65536} 4k", "-c", f"read -P 0x78 {size - 4096} 4k")
    assert volume.bytes_at(end, MIB) == (b"\x77" * 65536 + bytes(65536) + b"\x77" * (6 * 65536)
                                         + bytes(MIB // 2 - 4096) + b"\x78" * 4096)


def test_libiscsi_sees_the_size(large):
    volume, size, _ = large
    need("iscsi-readcapacity16")
    assert run("iscsi-readcapacity16", "-s", "-i", INITIATOR, volume.url).stdout.strip() == str(size)
