"""Kills the daemon at random moments while initiators change persistent reservations.

After a restart each volume has the registrations and the reservation that were acknowledged last, or
those of the change that was under way; never half of it.

NODISK_KILLS sets the number of rounds, NODISK_SEED repeats a run.
"""

import os
import random
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "protocol"))

from daemon import wait_until  # noqa: E402
from iscsilab import Volume  # noqa: E402
from lab import reservations  # noqa: E402
from lab.iscsi import INITIATOR, Session  # noqa: E402
from lab.reservations import (CLEAR, OF_ALL, PREEMPT, REGISTER, REGISTER_AND_IGNORE, RELEASE, RESERVE,  # noqa: E402
                              TYPES)

ROUNDS = int(os.environ.get("NODISK_KILLS", "12"))
SEED = int(os.environ.get("NODISK_SEED", str(int(time.time()))))
VOLUMES = 3
PORTS = [0x80_00_00_00_00_00 | n << 16 for n in range(3)]  # the ISIDs of each volume's initiators


@dataclass(frozen=True)
class State:
    """What is registered, by port, and reserved. It persists."""

    keys: tuple[int, ...] = (0,) * len(PORTS)  # 0: not registered
    kind: int = 0
    holder: int | None = None  # a port; None: nobody, or all

    def change(self, port: int, key: int) -> "State":
        """Registers, or (key 0) unregisters."""
        keys = (*self.keys[:port], key, *self.keys[port + 1:])
        ends = not any(keys) or (key == 0 and self.holder == port)
        return State(keys) if ends else replace(self, keys=keys)


def look(session: Session) -> State:
    """As an initiator sees it."""
    found = {r.isid: r for r in reservations.full_status(session)}
    assert all(r.initiator == INITIATOR for r in found.values()) and set(found) <= set(PORTS)
    holders = [PORTS.index(isid) for isid, r in found.items() if r.holds]
    kinds = {r.type for r in found.values()} - {0}
    assert len(kinds) <= 1
    kind = kinds.pop() if kinds else 0
    if kind in OF_ALL:
        assert len(holders) == len(found)
    else:
        assert len(holders) == (kind != 0)
    return State(tuple(found[p].key if p in found else 0 for p in PORTS), kind,
                 holders[0] if kind and kind not in OF_ALL else None)


class Changer(threading.Thread):
    """Changes the reservations of a volume of its own, from several ports."""

    def __init__(self, volume: Volume, there: State, seed: float) -> None:
        super().__init__(daemon=True)
        self.volume, self.there, self.next = volume, there, there
        self.random = random.Random(seed)
        self.wrong: list[object] = []
        self.acknowledged = 0

    def run(self) -> None:
        sessions = []
        try:
            sessions += [self.volume.session(isid=isid) for isid in PORTS]
            while True:
                self.change(sessions)
        except OSError:
            pass  # killed in the middle
        except BaseException as error:  # noqa: BLE001
            self.wrong.append(error)
        finally:
            for session in sessions:
                session.close()

    def choose(self, port: int) -> tuple[int, tuple[int, int], int, State]:
        """Service action, keys, type, and what is to come of it."""
        there, key = self.there, self.there.keys[port]
        new = self.random.getrandbits(63) + 1
        kind = self.random.choice(TYPES)
        chance = self.random.random()
        if not key or chance < 0.3:
            return REGISTER_AND_IGNORE, (0, new), 0, there.change(port, new)
        if chance < 0.4:
            return REGISTER, (key, 0), 0, there.change(port, 0)
        if chance < 0.45:
            return CLEAR, (key, 0), 0, State()
        if not there.kind:
            return RESERVE, (key, 0), kind, replace(there, kind=kind, holder=None if kind in OF_ALL else port)
        if there.holder == port or there.kind in OF_ALL:
            return RELEASE, (key, 0), there.kind, State(there.keys)
        keys = tuple(0 if n == there.holder else k for n, k in enumerate(there.keys))
        return (PREEMPT, (key, there.keys[there.holder]), kind,
                State(keys, kind, None if kind in OF_ALL else port))

    def change(self, sessions: list[Session]) -> None:
        port = self.random.randrange(len(PORTS))
        action, (key, new), kind, self.next = self.choose(port)
        task = reservations.out(sessions[port], action, key, new, kind,
                                aptpl=action in (REGISTER, REGISTER_AND_IGNORE))
        while task.sense.startswith("06/"):  # told what another port did
            task = reservations.out(sessions[port], action, key, new, kind,
                                    aptpl=action in (REGISTER, REGISTER_AND_IGNORE))
        assert task.good, (task, self.there, self.next)
        self.there = self.next
        self.acknowledged += 1


def test_no_acknowledged_reservation_is_lost(daemon, capsys):
    with capsys.disabled():
        print(f"\nseed {SEED}, {ROUNDS} kills")
    chance = random.Random(SEED)
    volumes = [daemon.volume(f"v{n}") for n in range(VOLUMES)]
    there = [State()] * VOLUMES
    acknowledged = cut_off = 0
    for n in range(ROUNDS):
        changers = [Changer(v, t, chance.random()) for v, t in zip(volumes, there, strict=True)]
        for c in changers:
            c.start()
        if n % 2 == 0:  # else it may be killed before anything is reserved, on a slow machine
            wait_until(lambda c=changers: any(one.acknowledged for one in c), "a change that is acknowledged")
        time.sleep(chance.uniform(0.05, 0.5))
        daemon.kill()
        for c in changers:
            c.join(60)
            assert not c.is_alive() and c.wrong == []
        daemon.start()
        for at, (volume, c) in enumerate(zip(volumes, changers, strict=True)):
            with volume.session() as session:
                there[at] = look(session)
                session.logout()
            assert there[at] in (c.there, c.next), (volume.name, there[at], c.there, c.next)
        acknowledged += sum(c.acknowledged for c in changers)
        cut_off += sum(c.next != c.there for c in changers)
    daemon.stop()
    with capsys.disabled():
        print(f"{acknowledged} changes acknowledged, {cut_off} cut off")
    assert acknowledged > 0
