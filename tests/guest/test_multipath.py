"""dm-multipath over two portals; one of them vanishes under fio, and comes back."""

import re
from collections.abc import Iterator

import pytest

from guest.guest import MIB, PATIENCE, PORTALS, Disk, Guest, fio, wait_for_writes
from lab.netns import BRIDGE
from lab.process import wait_until

CONFIG = """defaults {
    find_multipaths no
    user_friendly_names no
    polling_interval 2
    no_path_retry queue
}
"""
# a path that does not answer a ping within 10 seconds is given up 5 seconds later
SETTINGS = {"node.session.timeo.replacement_timeout": 5, "node.conn[0].timeo.noop_out_interval": 5,
            "node.conn[0].timeo.noop_out_timeout": 10}


@pytest.fixture
def disk(guest: Guest) -> Iterator[Disk]:
    """One volume, through both portals, as one map. Two addresses are two machines to the server,
    so the volume is one for several."""
    path = guest.create("paths", 64 * MIB, "--allow", "any")
    guest.run(f"printf %s '{CONFIG}' >/etc/multipath.conf; modprobe -a dm_multipath dm_service_time;"
              " systemctl restart multipathd")
    for portal in PORTALS:
        guest.log_in("paths", portal, **SETTINGS)
    serial = guest.server.json("volume", "show", "paths")["serial"]
    device = guest.said("until multipath -ll -v1 | grep -q .; do sleep 1; done; multipath -ll -v1")
    assert serial.lower() in guest.said(f"multipath -ll {device}; sg_inq /dev/mapper/{device}").lower()
    yield Disk("paths", path, f"/dev/mapper/{device}")
    guest.run("systemctl stop multipathd.socket multipathd")
    guest.clear()
    guest.remove("paths")


def active(guest: Guest) -> int:
    """Paths that are in use."""
    return len(re.findall(r"active ready +running", guest.said("multipath -ll")))


def test_a_path_is_cut_under_fio(guest: Guest, disk: Disk) -> None:
    """Each of the two in turn, so that one of them was the one in use: no error, the data is right."""
    wait_until("two paths", lambda: active(guest) == 2, PATIENCE, 1)
    job = guest.repeat(fio(disk.device, 12 * MIB, 16, "4k-16k"))
    for portal in PORTALS:
        wait_for_writes(disk)
        guest.server.namespace.run("ip", "addr", "del", f"{portal}/24", "dev", BRIDGE)
        try:
            wait_until("the path to be given up", lambda: active(guest) == 1, PATIENCE, 1)
            wait_for_writes(disk)
            job.check()
        finally:
            guest.server.namespace.run("ip", "addr", "add", f"{portal}/24", "dev", BRIDGE)
        wait_until("the path to be back", lambda: active(guest) == 2, PATIENCE, 1)
    job.finish()
    guest.assert_same(disk)
