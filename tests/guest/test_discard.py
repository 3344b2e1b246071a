"""Linux finds that a volume is thin, and gives back what it does not need."""

from guest.guest import MIB, Disk, Guest

SIZE = 64 * MIB


def blocks(disk: Disk) -> int:
    """What the file takes on the server, in bytes."""
    return disk.path.stat().st_blocks * 512


def fill(guest: Guest, disk: Disk) -> None:
    """Every byte is 0xff."""
    guest.run(f"tr '\\0' '\\377' </dev/zero | dd of={disk.device} bs=1M count={SIZE // MIB} iflag=fullblock"
              " oflag=direct status=none")
    assert disk.at(0, SIZE) == b"\xff" * SIZE


def test_lsblk_shows_what_can_be_discarded(guest: Guest) -> None:
    """The limits of VPD page B0 as the kernel has understood them."""
    with guest.disk("limits", SIZE) as disk:
        name = disk.device.removeprefix("/dev/")
        grain, most = guest.said(f"lsblk -Dbdno DISC-GRAN,DISC-MAX {disk.device}").split()
        assert (int(grain), int(most)) == (4096, 1048576 * 512)

        def queue(what: str) -> int:
            return int(guest.said(f"cat /sys/block/{name}/queue/{what}"))

        assert queue("write_zeroes_max_bytes") > 0
        assert queue("rotational") == 0
        assert guest.said(f"cat /sys/block/{name}/device/scsi_disk/*/provisioning_mode") == "unmap"
        assert guest.said(f"cat /sys/block/{name}/queue/write_cache") == "write back"
        assert guest.said(f"cat /sys/block/{name}/device/scsi_disk/*/FUA") == "1"


def test_blkdiscard_of_all_makes_the_file_empty(guest: Guest) -> None:
    """It takes no room afterwards, and reads as zeroes."""
    with guest.disk("all", SIZE) as disk:
        fill(guest, disk)
        guest.run(f"blkdiscard {disk.device}")
        assert blocks(disk) == 0 and disk.at(0, SIZE) == bytes(SIZE)
        guest.assert_same(disk)


def test_blkdiscard_of_a_part(guest: Guest) -> None:
    """Nothing beside it."""
    with guest.disk("part", SIZE) as disk:
        fill(guest, disk)
        guest.run(f"blkdiscard -o 8M -l 16M {disk.device}")
        assert disk.at(0, SIZE) == b"\xff" * 8 * MIB + bytes(16 * MIB) + b"\xff" * 40 * MIB
        assert blocks(disk) <= 48 * MIB
        guest.assert_same(disk)


def test_blkdiscard_writes_zeroes(guest: Guest) -> None:
    """WRITE SAME, of a range that begins and ends anywhere."""
    with guest.disk("zeroes", SIZE) as disk:
        fill(guest, disk)
        guest.run(f"blkdiscard -z -o 1536 -l {5 * MIB + 512} {disk.device}")
        assert disk.at(0, SIZE) == b"\xff" * 1536 + bytes(5 * MIB + 512) + b"\xff" * (59 * MIB - 2048)
        guest.assert_same(disk)
