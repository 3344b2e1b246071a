"""Kills the daemon at random moments while clients make and remove nodes and volumes.

Afterwards everything that was acknowledged is there with all its bytes, everything removed is gone,
and no file is left that the registry does not know.

NODISK_KILLS sets the number of rounds, NODISK_SEED repeats a run.
"""

import os
import random
import sys
import threading
import time
from http.client import HTTPException
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "protocol"))

from daemon import Daemon, make_image  # noqa: E402

ROUNDS = int(os.environ.get("NODISK_KILLS", "12"))
SEED = int(os.environ.get("NODISK_SEED", str(int(time.time()))))
KINDS = ("blank", "copy", "node")


class Client(threading.Thread):
    """Makes and removes things of its own; knows what was acknowledged and what was under way."""

    def __init__(self, daemon: Daemon, number: int, there: set[str], seed: int) -> None:
        super().__init__(daemon=True)
        self.d, self.number, self.there = daemon, number, there
        self.random = random.Random(seed)
        self.under_way: str | None = None
        self.refused: list[str] = []

    def run(self) -> None:
        try:
            while True:
                self.step()
        except (OSError, HTTPException, IndexError):
            pass  # killed in the middle (IndexError: before the first line)

    def step(self) -> None:
        name = f"{self.random.choice(KINDS)}{self.number}-{self.random.randrange(4)}"
        self.under_way = name
        answer = self.remove(name) if name in self.there else self.make(name)
        if "progress" in answer.json:
            raise OSError("cut off")
        if "error" in answer.json:
            self.refused.append(answer.error)
        elif name in self.there:
            self.there.discard(name)
        else:
            self.there.add(name)
        self.under_way = None

    def make(self, name: str):
        if name.startswith("blank"):
            return self.d.post("/v1/volumes", name=name, size=1 << 20)
        if name.startswith("copy"):
            return self.d.post("/v1/volumes", name=name, image="golden", copy=True)
        mac = f"52:54:00:00:{self.number:02x}:{int(name[-1]):02x}"
        return self.d.post("/v1/nodes", name=name, macs=[mac], image="golden")

    def remove(self, name: str):
        if name.startswith("node"):
            return self.d.delete(f"/v1/nodes/{name}?with-volume=true")
        return self.d.delete(f"/v1/volumes/{name}")


def look(daemon: Daemon, golden: bytes) -> set[str]:
    """What is there after a start; checks that files and registry agree."""
    volumes = {v["name"]: v for v in daemon.get("/v1/volumes").json["volumes"]}
    files = {p.name for p in (daemon.state / "volumes").iterdir()}
    ready = {name for name, v in volumes.items() if v["state"] == "ready"}
    assert files == {f"{name}.raw" for name in ready if not name.startswith("node")}
    assert list((daemon.state / "layers").iterdir()) == []  # nobody has written to one
    for name in ready:
        if name.startswith("node"):
            assert volumes[name]["kind"] == "overlay" and volumes[name]["image"] == "golden@1"
            continue
        data = Path(volumes[name]["path"]).read_bytes()
        assert data == (bytes(1 << 20) if name.startswith("blank") else golden), name
    for name in volumes.keys() - ready:
        assert volumes[name]["state"] == "failed" and volumes[name]["nodes"] == [name]
    nodes = {n["name"]: n for n in daemon.get("/v1/nodes").json["nodes"]}
    assert all(v.startswith(("blank", "copy")) or v in nodes or v in ready for v in volumes)
    return {v for v in ready if not v.startswith("node")} | set(nodes)


def forget_half_done(daemon: Daemon, name: str) -> None:
    """Whatever became of what was under way, the next round begins without it."""
    daemon.delete(f"/v1/nodes/{name}?with-volume=true")
    daemon.delete(f"/v1/nodes/{name}")
    daemon.delete(f"/v1/volumes/{name}")


def test_nothing_acknowledged_is_lost_and_nothing_is_left_behind(tmp_path, capsys):
    with capsys.disabled():
        print(f"\nseed {SEED}, {ROUNDS} kills")
    chance = random.Random(SEED)
    image = make_image(tmp_path / "image", size=4 << 20, data=1 << 20)
    golden = image.read_bytes()
    with Daemon(tmp_path / "d") as daemon:
        assert daemon.post("/v1/images", name="golden", path=str(image)).result
        there: list[set[str]] = [set() for _ in range(4)]
        for _ in range(ROUNDS):
            clients = [Client(daemon, n, there[n], chance.random()) for n in range(4)]
            for c in clients:
                c.start()
            time.sleep(chance.uniform(0.05, 0.6))
            daemon.kill()
            for c in clients:
                c.join(60)
                assert not c.is_alive() and c.refused == []
            daemon.start()
            found = look(daemon, golden)
            unsure = {c.under_way for c in clients if c.under_way}
            acknowledged = set().union(*there)
            assert found - unsure == acknowledged - unsure
            for name in unsure:
                forget_half_done(daemon, name)
                there[int(name[:-2].lstrip("abcdefghijklmnopqrstuvwxyz"))].discard(name)
    assert (daemon.state / "images/golden/1.raw").read_bytes() == golden
