"""Who must not notice what somebody else does to the daemon, and looks after what is left of it."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from daemon import wait_until
from iscsilab import MIB, SanDaemon, Volume

BLOCK = 512
_disks = itertools.count()


class Bystander:
    """Writes and reads on a disk of its own, and looks at what it gets."""

    def __init__(self, disk: Volume) -> None:
        self.session = disk.session()
        self.blocks = itertools.cycle(range(64))

    def check(self) -> None:
        """One write, and what it has written."""
        block, data = next(self.blocks), os.urandom(BLOCK)
        self.session.write(block, data)
        assert self.session.read(block, 1) == data


def descriptors(daemon: SanDaemon) -> int:
    """How many the daemon has open."""
    return len(list(Path(f"/proc/{daemon.process.pid}/fd").iterdir()))


@contextlib.contextmanager
def beside_bystander(daemon: SanDaemon) -> Iterator[Bystander]:
    """What is done meanwhile leaves no session and no descriptor behind, and nobody without his data."""
    bystander = Bystander(daemon.volume(f"own{next(_disks)}", size=MIB))
    daemon.wait_for("sessions", 1)
    before = descriptors(daemon)
    yield bystander
    daemon.wait_for("sessions", 1)
    wait_until(lambda: descriptors(daemon) <= before, f"{before} descriptors, not {descriptors(daemon)}", 60)
    bystander.check()
    assert bystander.session.logout() == 0
    daemon.wait_for("sessions", 0)
