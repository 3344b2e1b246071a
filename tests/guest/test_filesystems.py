"""File systems of the guest on a volume: made, filled, trimmed, unmounted, checked on both sides."""

import subprocess
from dataclasses import dataclass

import pytest

from guest.guest import MIB, Guest

FILES = "/usr/lib/udev /usr/sbin"  # small ones, large ones, links


@dataclass(frozen=True)
class FileSystem:
    """How one is made, looked at while it is mounted, and checked afterwards."""

    make: str
    online: str
    check: str
    size: int = 256 * MIB


FILE_SYSTEMS = {
    "ext4": FileSystem("mkfs.ext4 -q", "true", "fsck.ext4 -fn"),
    "xfs": FileSystem("mkfs.xfs -q", "true", "xfs_repair -n", 384 * MIB),
    "btrfs": FileSystem("mkfs.btrfs -q", "btrfs scrub start -B", "btrfs check", 384 * MIB),
}


@pytest.mark.parametrize("name", FILE_SYSTEMS)
def test_file_system(guest: Guest, name: str) -> None:
    """What is copied there is found again after a new login, and the check finds nothing."""
    kind = FILE_SYSTEMS[name]
    with guest.disk(name, kind.size) as disk:
        guest.run(f"{kind.make} {disk.device} && mount {disk.device} /mnt && cp -a {FILES} /mnt/ && sync")
        guest.run("cp -a /mnt/sbin /mnt/more && rm -r /mnt/sbin && mv /mnt/more /mnt/sbin && fstrim -v /mnt")
        guest.run("umount /mnt && udevadm settle")
        guest.log_out(name)
        disk.device = guest.log_in(name)
        guest.run(f"mount {disk.device} /mnt")
        for place in FILES.split():
            guest.run(f"diff -r --no-dereference {place} /mnt/{place.rpartition('/')[2]}")
        said = guest.said(f"{kind.online} /mnt")
        assert name != "btrfs" or "no errors found" in said
        guest.run("umount /mnt && udevadm settle")
        guest.run(f"{kind.check} {disk.device}")
        guest.assert_same(disk)
        if name == "ext4":  # this machine's own tools say the same of the file
            checked = subprocess.run(["/usr/sbin/e2fsck", "-fn", disk.path], capture_output=True, text=True,
                                     check=False)
            assert checked.returncode == 0, checked.stdout + checked.stderr
