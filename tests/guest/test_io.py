"""fio writes and verifies; what it has written is compared with the volume's file."""

import pytest

from guest.guest import MIB, PATIENCE, Guest, fio

# (blocks of, requests under way, bytes written)
LOADS = [("512", 1, MIB), ("512", 32, 2 * MIB), ("4k", 1, 4 * MIB), ("4k", 64, 16 * MIB), ("64k", 8, 32 * MIB),
         ("1m", 4, 32 * MIB), ("512-256k", 16, 24 * MIB)]


@pytest.mark.parametrize("blocks, depth, size", LOADS, ids=[f"{b}-{d}" for b, d, _ in LOADS])
def test_fio_reads_what_it_has_written(guest: Guest, blocks: str, depth: int, size: int) -> None:
    """Each load on a disk of its own."""
    with guest.disk("fio") as disk:
        guest.run(fio(disk.device, size, depth, blocks), timeout=2 * PATIENCE)
        guest.assert_same(disk)
        assert any(disk.path.read_bytes()[:size])


def test_digests_of_headers_and_data(guest: Guest) -> None:
    """The kernel computes CRC32C of everything, both ways."""
    digests = {f"node.conn[0].iscsi.{kind}Digest": "CRC32C" for kind in ("Header", "Data")}
    with guest.disk("digests", **digests) as disk:
        said = guest.said("iscsiadm -m session -P 2")
        assert "HeaderDigest: CRC32C" in said and "DataDigest: CRC32C" in said
        guest.run(fio(disk.device, 16 * MIB, 16, "512-128k"))
        guest.assert_same(disk)


def test_mixed_load_of_several_jobs(guest: Guest) -> None:
    """Readers and writers on parts of one disk, each verifying its own, with a flush now and then."""
    with guest.disk("mixed") as disk:
        guest.run(fio(disk.device, 12 * MIB, 8, "4k-64k", "--numjobs=4 --offset_increment=16m --fsync=64"
                      " --group_reporting"), timeout=2 * PATIENCE)
        guest.assert_same(disk)
