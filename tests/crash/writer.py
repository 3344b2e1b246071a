"""A client that writes, and knows what each sector may show."""

import threading
from dataclasses import dataclass

from lab import iscsi
from lab.iscsi import Session, Task

SECTOR = 512
BLOCK_SECTORS = 8  # of a layer's block
BLOCKS = 48  # that are written to
DEPTH = 3
FLUSH_EVERY = 11


@dataclass
class Mark:
    """A moment: the number of the last write to each sector that was told, begun, flushed."""

    told: dict[int, int]
    begun: dict[int, int]
    flushed: dict[int, int]
    n_told: int


class History:
    """Of a volume: what its sectors were, from a content on."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.sectors: dict[int, list[tuple[int, bytes]]] = {}

    def add(self, lba: int, number: int, data: bytes) -> None:
        """From now on it may show that."""
        self.sectors.setdefault(lba, [(-1, self.content[lba * SECTOR:(lba + 1) * SECTOR])]).append((number, data))

    def check(self, data: bytes, least: dict[int, int], most: dict[int, int], what: str) -> None:
        """Each sector shows the write `least`, or a later one up to `most`."""
        for lba in range(len(data) // SECTOR):
            shown = data[lba * SECTOR:(lba + 1) * SECTOR]
            there = self.sectors.get(lba)
            if there is None:
                expected = self.content[lba * SECTOR:(lba + 1) * SECTOR] or bytes(SECTOR)
                assert shown == expected, f"{what}: sector {lba} shows what was never written to it: {shown[:16].hex()}"
                continue
            low, high = least.get(lba, -1), most.get(lba, -1)
            assert any(low <= number <= high and shown == content for number, content in there), (
                f"{what}: sector {lba} shows {shown[:16].hex()}, not what was written as number {low} to {high}, "
                f"but {[number for number, content in there if content == shown]}")


class Writer(threading.Thread):
    """Writes, discards and flushes over a session, in order, DEPTH at a time."""

    def __init__(self, session: Session, history: History) -> None:
        super().__init__(daemon=True)
        self.session, self.history = session, history
        self.number = 0
        self.tasks: list[tuple[Task, list[int], int]] = []
        self.flushes: list[tuple[Task, dict[int, int]]] = []
        self.told: dict[int, int] = {}
        self.begun: dict[int, int] = {}
        self.flushed: dict[int, int] = {}
        self.n_told = 0
        self.refused: list[Task] = []
        self.wrong: list[BaseException] = []
        self.cut = False
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.progress = threading.Condition(self.lock)

    def mark(self) -> Mark:
        """This moment."""
        with self.lock:
            return Mark(dict(self.told), dict(self.begun), dict(self.flushed), self.n_told)

    def wait(self, more: int, seconds: float = 60) -> bool:
        """Until so many more are told; False: it has come to an end before."""
        with self.progress:
            until = self.n_told + more
            self.progress.wait_for(lambda: self.n_told >= until or self.cut or self.stop.is_set(), seconds)
            return self.n_told >= until

    @property
    def was_told(self) -> bool:
        """Does it know that something is wrong?"""
        return self.cut or bool(self.refused)

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                self.go_on()
        except OSError:
            self.note()
            self.cut = True
        except BaseException as error:  # noqa: BLE001 told by the test
            self.wrong.append(error)
            self.cut = True
        with self.progress:
            self.progress.notify_all()

    def write(self, count: int) -> None:
        """So many writes, on the caller's thread; all are answered."""
        while self.number + DEPTH < count:
            self.go_on()
        while self.tasks or self.flushes:
            self.session.step()
            self.note()

    def go_on(self) -> None:
        while len(self.tasks) < DEPTH and not (self.tasks and self.number - self.tasks[0][2] >= BLOCKS - 1):
            self.begin()
        self.session.step()
        self.note()

    def begin(self) -> None:
        number = self.number
        self.number += 1
        lba = (number * 7 % BLOCKS * 2 + 1) * BLOCK_SECTORS
        kind = number % 5
        if kind == 4:
            self.send(iscsi.unmap_cdb(24), iscsi.unmap_list([(lba, BLOCK_SECTORS)]), lba, [bytes(SECTOR)] * BLOCK_SECTORS)
        else:
            n = 1 if kind >= 2 else BLOCK_SECTORS
            lba += number % BLOCK_SECTORS if kind >= 2 else 0
            sectors = [(number + 1).to_bytes(8, "big") * 32 + (lba + i).to_bytes(8, "big") * 32 for i in range(n)]
            self.send(iscsi.write_cdb(lba, n, fua=number % 17 == 3), b"".join(sectors), lba, sectors)
        if number % FLUSH_EVERY == FLUSH_EVERY - 1:
            told = dict(self.told)
            self.flushes.append((self.session.start(iscsi.SYNCHRONIZE_CACHE), told))

    def send(self, cdb: bytes, data: bytes, lba: int, sectors: list[bytes]) -> None:
        """Said before the command leaves: it may be carried out although we never know."""
        number = self.number - 1
        with self.lock:
            for i, sector in enumerate(sectors):
                self.history.add(lba + i, number, sector)
                self.begun[lba + i] = number
        self.tasks.append((self.session.start(cdb, write=data), [lba + i for i in range(len(sectors))], number))

    def note(self) -> None:
        """What was acknowledged is there from now on."""
        with self.progress:
            for task, sectors, number in self.tasks:
                if task.done and task.good:
                    self.told.update((lba, number) for lba in sectors)
                    self.n_told += 1
                elif task.done and not task.sense.startswith("06/"):
                    self.refused.append(task)
            for task, told in self.flushes:
                if task.done and task.good:
                    self.flushed.update(told)
                elif task.done and not task.sense.startswith("06/"):
                    self.refused.append(task)
            self.tasks = [entry for entry in self.tasks if not entry[0].done]
            self.flushes = [entry for entry in self.flushes if not entry[0].done]
            self.progress.notify_all()
