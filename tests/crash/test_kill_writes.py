"""Kills the daemon at random moments while initiators write to their volumes.

After a restart every write that was acknowledged is there, byte for byte. A block that was being
written holds what it held before or what was being written, never anything else.

NODISK_KILLS sets the number of rounds, NODISK_SEED repeats a run.
"""

import os
import random
import struct
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "protocol"))

from daemon import wait_until  # noqa: E402
from iscsilab import Volume  # noqa: E402
from lab import iscsi  # noqa: E402
from lab.iscsi import FIRMWARE, LINUX, Session, Task  # noqa: E402

ROUNDS = int(os.environ.get("NODISK_KILLS", "12"))
SEED = int(os.environ.get("NODISK_SEED", str(int(time.time()))))
BLOCKS = 4096  # of a volume
DEPTH = 6  # commands under way in a session
KEYS = (LINUX, FIRMWARE, {**LINUX, "InitialR2T": "Yes", "MaxBurstLength": "65536"}, LINUX)


class Writer(threading.Thread):
    """Writes to a volume of its own; knows what was acknowledged and what was under way."""

    def __init__(self, volume: Volume, there: list[bytes], keys: dict[str, str], seed: float) -> None:
        super().__init__(daemon=True)
        self.volume, self.there, self.keys = volume, there, keys
        self.random = random.Random(seed)
        self.under_way: dict[int, bytes] = {}
        self.tasks: list[tuple[Task, dict[int, bytes]]] = []
        self.wrong: list[object] = []
        self.acknowledged = 0

    def run(self) -> None:
        try:
            with self.volume.session(keys=self.keys) as session:
                while True:
                    while len(self.tasks) < DEPTH:
                        self.begin(session)
                    session.step()
                    self.note()
        except OSError:
            self.note()  # killed in the middle
        except BaseException as error:  # noqa: BLE001
            self.wrong.append(error)

    def note(self) -> None:
        """What was acknowledged is there from now on."""
        for task, changes in self.tasks:
            if not task.done:
                continue
            if not task.good:
                self.wrong.append(task)
            for lba, block in changes.items():
                self.there[lba] = block
                del self.under_way[lba]
            self.acknowledged += bool(changes)
        self.tasks = [(task, changes) for task, changes in self.tasks if not task.done]

    def place(self, most: int) -> tuple[int, int]:
        """A range that nothing under way touches."""
        while True:
            count = self.random.randint(1, most)
            lba = self.random.randrange(BLOCKS - count + 1)
            if not any(lba + n in self.under_way for n in range(count)):
                return lba, count

    def add(self, task: Task, changes: dict[int, bytes]) -> None:
        self.tasks.append((task, changes))

    def begin(self, session: Session) -> None:
        kind = self.random.choice(("write", "write", "write", "large", "same", "zero", "unmap", "flush", "read"))
        getattr(self, kind)(session)

    def expect(self, changes: dict[int, bytes]) -> dict[int, bytes]:
        """Said before the command leaves: it may be carried out although we never know."""
        self.under_way.update(changes)
        return changes

    def write(self, session: Session, most: int = 64) -> None:
        lba, count = self.place(most)
        mark = self.random.getrandbits(64)
        changes = self.expect({lba + n: struct.pack("!QQ", mark, lba + n) * 32 for n in range(count)})
        way = {}
        if session.immediate_data and self.random.random() < 0.6:
            way = {"immediate": self.random.randint(0, min(count * 512, session.first_burst)), "unsolicited": 0}
        self.add(session.start(iscsi.write_cdb(lba, count, fua=self.random.random() < 0.2),
                               write=b"".join(changes.values()), **way), changes)

    def large(self, session: Session) -> None:
        self.write(session, 1300)

    def same(self, session: Session, block: bytes | None = None) -> None:
        lba, count = self.place(600)
        block = block or struct.pack("!QQ", self.random.getrandbits(64), BLOCKS) * 32
        changes = self.expect({lba + n: block for n in range(count)})
        self.add(session.start(iscsi.write_same_cdb(lba, count), write=block), changes)

    def zero(self, session: Session) -> None:
        self.same(session, bytes(512))

    def unmap(self, session: Session) -> None:
        ranges = []
        changes: dict[int, bytes] = {}
        for _ in range(self.random.randint(1, 3)):
            lba, count = self.place(200)
            ranges.append((lba, count))
            changes.update(self.expect({lba + n: bytes(512) for n in range(count)}))
        parameters = iscsi.unmap_list(ranges)
        self.add(session.start(iscsi.unmap_cdb(len(parameters)), write=parameters), changes)

    def flush(self, session: Session) -> None:
        self.add(session.start(iscsi.SYNCHRONIZE_CACHE), {})

    def read(self, session: Session) -> None:
        lba, count = self.place(64)
        self.add(session.start(iscsi.read_cdb(lba, count), read=count * 512), {})


def look(volume: Volume, writer: Writer) -> None:
    """Each block is as it must be, for an initiator and in the file."""
    with volume.session() as session:
        data = session.read(0, BLOCKS)
        session.logout()
    assert volume.bytes_at(0, BLOCKS * 512) == data
    for lba in range(BLOCKS):
        block = data[lba * 512:(lba + 1) * 512]
        right = block in (writer.there[lba], writer.under_way.get(lba))
        assert right, f"{volume.name}, block {lba}: {block[:16].hex()}"
        writer.there[lba] = block


def test_no_acknowledged_write_is_lost(daemon, capsys):
    with capsys.disabled():
        print(f"\nseed {SEED}, {ROUNDS} kills")
    chance = random.Random(SEED)
    volumes = [daemon.volume(f"v{n}", size=BLOCKS * 512) for n in range(len(KEYS))]
    there = [[bytes(512)] * BLOCKS for _ in volumes]
    acknowledged = cut_off = 0
    for n in range(ROUNDS):
        writers = [Writer(v, t, k, chance.random()) for v, t, k in zip(volumes, there, KEYS, strict=True)]
        for w in writers:
            w.start()
        if n % 2 == 0:  # else it may be killed before anything is written, on a slow machine
            wait_until(lambda w=writers: any(one.acknowledged for one in w), "a write that is acknowledged")
        time.sleep(chance.uniform(0.05, 0.5))
        daemon.kill()
        for w in writers:
            w.join(60)
            assert not w.is_alive() and w.wrong == []
        daemon.start()
        for volume, writer in zip(volumes, writers, strict=True):
            look(volume, writer)
        acknowledged += sum(w.acknowledged for w in writers)
        cut_off += sum(bool(w.under_way) for w in writers)
    daemon.stop()
    with capsys.disabled():
        print(f"{acknowledged} writes acknowledged, {cut_off} sessions cut off")
    assert acknowledged > 0 and cut_off > 0
