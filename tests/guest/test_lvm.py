"""LVM on two LUNs of one target."""

from collections.abc import Iterator

import pytest

from guest.guest import MIB, Guest


@pytest.fixture
def luns(guest: Guest) -> Iterator[list[str]]:
    """LUN 0 and 1 of the guest's target: a node with a data volume."""
    names = ("lvm0", "lvm1")
    for name in names:
        guest.create(name, 128 * MIB, "--block-size", 512)
    guest.server.cli("node", "add", "guest", "--mac", "52:54:00:77:4e:61", "--volume", "lvm0")
    guest.server.cli("volume", "attach", "lvm1", "guest")
    yield [guest.log_in("lvm0"), guest.device("lvm0", 1)]
    guest.clear()
    guest.server.cli("node", "remove", "guest")
    for name in names:
        guest.remove(name)


def test_striped_volume_over_two_luns(guest: Guest, luns: list[str]) -> None:
    """Made, filled, found again after a new login, one LUN emptied onto the other, taken apart."""
    both = " ".join(luns)
    guest.run(f"vgcreate vg {both} && lvcreate -y -i 2 -I 64k -L 64M -n data vg && mkfs.ext4 -q /dev/vg/data")
    guest.run("mount /dev/vg/data /mnt && cp -a /usr/share/zoneinfo /mnt/ && umount /mnt && vgchange -an vg")
    guest.run("iscsiadm -m session -u && udevadm settle")
    guest.run("iscsiadm -m node -l && udevadm settle")
    luns = [guest.device("lvm0", n) for n in range(2)]
    guest.run("vgchange -ay vg && fsck.ext4 -fn /dev/vg/data && mount /dev/vg/data /mnt")
    guest.run("diff -r --no-dereference /usr/share/zoneinfo /mnt/zoneinfo && umount /mnt && lvremove -y vg/data")

    guest.run(f"lvcreate -y -L 32M -n moved vg {luns[0]} && mkfs.ext4 -q /dev/vg/moved && mount /dev/vg/moved /mnt")
    guest.run("cp -a /usr/share/zoneinfo /mnt/")
    guest.run(f"pvmove -i 1 {luns[0]} {luns[1]} && lvextend -y -r -L +32M vg/moved {luns[1]}")
    guest.run("diff -r --no-dereference /usr/share/zoneinfo /mnt/zoneinfo && umount /mnt")
    assert f"{luns[1]}(" in guest.said("lvs --noheadings -o devices vg/moved")
    guest.run(f"fsck.ext4 -fn /dev/vg/moved && vgremove -y vg && pvremove {' '.join(luns)}")
