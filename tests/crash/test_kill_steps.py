"""Kills the daemon at each step of what can be done to a volume, while a client writes to it.

A step is a call that changes a file, of the registry or of the volume. The next start is killed at a
step, too. After that every write that was acknowledged is there, in what the operation has left: a
volume is as before it or as after it, a snapshot or an image has all writes that were acknowledged
before it was asked for and none that were begun after it was there, files and registry agree, and the
operation can be done (again). The same when a step fails, and the daemon goes on: then it says so.

NODISK_KILLS=N does N rounds of each operation, at steps that NODISK_SEED chooses; more of them than
it has steps (200, say): each step. NODISK_OPERATION=NAME: of this one only.
"""

import errno
import hashlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "protocol"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import steps as at  # noqa: E402
from daemon import BASE_IQN, wait_until  # noqa: E402
from iscsilab import MIB, SanDaemon, Volume  # noqa: E402
from lab.iscsi import FIRMWARE, INITIATOR, LoginRefused, Session  # noqa: E402
from steps import Steps  # noqa: E402
from writer import History, Mark, Writer  # noqa: E402

ROUNDS = int(os.environ.get("NODISK_KILLS", "1"))
SEED = int(os.environ.get("NODISK_SEED", str(int(time.time()))))
ONLY = os.environ.get("NODISK_OPERATION")
MANY = 100  # rounds: then each step
LOST = "what was not flushed when the server lost power is gone"
SIZE = MIB
DAMAGES = ((at.FAIL_ONCE, errno.EIO), (at.FAIL_FROM_THERE, errno.ENOSPC), (at.SHORTEN, errno.ENOSPC),
           (at.FAIL_ONCE, errno.ENOSPC))


def content(seed: int, size: int = SIZE) -> bytes:
    """Of an image: no block is like another, and a third are holes."""
    return b"".join(bytes(4096) if n % 3 == 2 else (n * 7919 + seed).to_bytes(8, "big") * 512
                    for n in range(size // 4096))


# --- what is there before each round ---

@dataclass
class Template:
    """A state directory: image golden (two versions) and image spare; v, an overlay over golden@1
    with the snapshots s1 and s2, and its contents; w, another one with a snapshot; raw, a file."""

    directory: Path
    contents: dict[str, bytes] = field(default_factory=dict)


def quiet(daemon: SanDaemon) -> None:
    """Nobody has a session any more."""
    wait_until(lambda: not daemon.get("/v1/sessions").json["sessions"], "the sessions to end", 60)


def read_all(daemon: SanDaemon, name: str) -> bytes:
    with Volume(name, Path("/nowhere"), daemon.portal).session() as session:
        blocks = session.capacity()[0]
        data = b"".join(session.read(lba, min(2048, blocks - lba)) for lba in range(0, blocks, 2048))
        session.logout()
    quiet(daemon)
    return data


def write(daemon: SanDaemon, name: str, *places: tuple[int, bytes]) -> None:
    with Volume(name, Path("/nowhere"), daemon.portal).session() as session:
        for lba, data in places:
            session.write(lba, data)
        session.logout()
    quiet(daemon)


def make_template(work: Path) -> Template:
    made = Template(work / "template")
    with SanDaemon(work / "d", state=made.directory) as daemon:
        for n, name in enumerate(("golden", "golden", "spare")):
            source = work / f"source{n}.raw"
            source.write_bytes(content(n + 1, SIZE if n == 0 else SIZE + MIB // 2))
            made.contents[f"image{n + 1}"] = source.read_bytes()
            assert daemon.post("/v1/images", name=name, path=str(source)).result
        for name in ("v", "w"):
            daemon.post("/v1/volumes", name=name, image="golden@1", allow=[INITIATOR]).result  # noqa: B018
            for n, snapshot in enumerate(("s1", "s2"), 1):
                write(daemon, name, *((16 * i, bytes([n]) * 4096) for i in range(n, 20, n + 1)), (n, b"\7" * 512))
                made.contents[f"{name} {snapshot}"] = read_all(daemon, name)
                assert daemon.post("/v1/snapshots", volume=name, name=snapshot).status == 200
            write(daemon, name, (48, b"\5" * 12288))
            made.contents[name] = read_all(daemon, name)
        assert daemon.post("/v1/nodes", name="n", macs=["52:54:00:00:00:01"], volume="v").result
        daemon.post("/v1/volumes", name="raw", size=SIZE, allow=[INITIATOR]).result  # noqa: B018
        daemon.post("/v1/volumes", name="fresh", image="golden@2", allow=[INITIATOR]).result  # noqa: B018
        made.contents["fresh"] = made.contents["image2"]
    return made


# --- a round ---

@dataclass
class Scene:
    """One round."""

    template: Template
    work: Path
    daemon: SanDaemon
    steps: Steps
    target: str  # what the client writes to
    history: History
    writer: Writer
    before: Mark | None = None  # the operation was asked for
    after: Mark | None = None  # it was over
    end: Mark | None = None  # the client was cut off
    told: str = ""  # the error that it was answered with
    what: str = ""  # the step that it was about
    layers: str = ""  # what was last found of them
    fails: bool = False  # a step fails, and the daemon is not killed

    def get(self, path: str) -> dict:
        return self.daemon.get(path).json

    def volume(self, name: str = "v") -> dict | None:
        return next((v for v in self.get("/v1/volumes")["volumes"] if v["name"] == name), None)

    def snapshots(self) -> list[str]:
        return [s["name"] for s in self.volume()["overlay"]["snapshots"]]

    def versions(self, image: str) -> list[int]:
        return [i["version"] for i in self.get("/v1/images")["images"] if i["name"] == image]

    def check_frozen(self, data: bytes, what: str) -> None:
        """What was taken of v while the operation was under way."""
        self.history.check(data, self.least(self.before), self.after.begun, what)

    def least(self, mark: Mark) -> dict[int, int]:
        """What may not be lost: all that it was told of, unless it was told that something is wrong, or the
        log tells so: a disk may fail when the volume is closed, and nobody is there any more."""
        lost = self.fails and self.daemon.lines(LOST)
        return mark.flushed if lost or self.writer.was_told else mark.told

    def check_now(self) -> None:
        """The volume reads as everything that was written to it."""
        data = read_all(self.daemon, self.target)[:len(self.history.content)]
        self.history.check(data, self.least(self.end), self.end.begun, self.target)


Ask = Callable[[Scene], object]


def always(_: Scene) -> None:
    """Nothing more to look at."""


@dataclass
class Operation:
    """What is done, how to see whether it was, and what must be true then.

    target: the volume that a client writes to; live: while this is done; else before it.
    replaces: v is then what it was not before, named in the template."""

    name: str
    ask: Ask
    is_done: Callable[[Scene], bool]
    check: Callable[[Scene], None] = always
    live: bool = True
    replaces: str | None = None
    target: str = "v"
    ring: bool = False
    steps: int = 40  # about so many: one of these is chosen
    before: Callable[[Scene], object] = always  # done first, in peace
    undone: Callable[[Scene], None] = Scene.check_now  # what is true if it was not done


def post(where: str, /, **body: object) -> Ask:
    return lambda s: s.daemon.post(where, **{k: v(s) if callable(v) else v for k, v in body.items()})


def delete(path: str) -> Ask:
    return lambda s: s.daemon.delete(path)


def rolled_back(scene: Scene, snapshot: str) -> bytes:
    answer = scene.daemon.post("/v1/changes", volume="v", change="rollback", snapshot=snapshot, force=True)
    assert answer.status == 200, answer.lines
    return read_all(scene.daemon, "v")


def check_snapshot(scene: Scene) -> None:
    scene.check_now()
    scene.check_frozen(rolled_back(scene, "new"), "the snapshot")


def check_grown(scene: Scene) -> None:
    data = read_all(scene.daemon, "v")
    assert len(data) == 2 * SIZE and not any(data[SIZE:])


def check_committed(scene: Scene) -> None:
    for version in scene.versions("golden")[2:]:
        data = (scene.daemon.state / f"images/golden/{version}.raw").read_bytes()
        scene.check_frozen(data, f"golden@{version}")


def exported(scene: Scene) -> Path:
    return scene.work / "exported.raw"


def check_exported(scene: Scene) -> None:
    scene.check_frozen(exported(scene).read_bytes(), "the export")


def check_merged(scene: Scene) -> None:
    scene.check_now()
    assert rolled_back(scene, "s2") == scene.template.contents["v s2"]


def check_kept(scene: Scene) -> None:
    scene.history.check(rolled_back(scene, "before-golden-2"), scene.least(scene.end), scene.end.begun, "what was kept")


def has_size(name: str, path: str, size: int) -> Callable[[Scene], bool]:
    def look(scene: Scene) -> bool:
        volume = scene.volume(name)
        return volume is not None and volume["state"] == "ready" and Path(volume[path]).stat().st_size == size
    return look


def write_to_it(scene: Scene) -> None:
    """What a client does, from its login to the end of the daemon, which makes all durable."""
    volume = Volume(scene.target, Path("/nowhere"), scene.daemon.portal)
    with volume.session() as session:
        scene.writer.session = session
        scene.writer.write(40)
        session.logout()
    scene.daemon.process.terminate()
    if scene.daemon.process.wait(60) != 0:
        raise OSError("killed")


def power_on(scene: Scene, snapshot: str | None) -> None:
    """What DHCP and the script's request leave in the registry of a boot of n, whose disk v is."""
    scene.daemon.stop()
    with closing(sqlite3.connect(scene.daemon.state / "registry.db", timeout=60)) as db, db:
        boot = db.execute("SELECT coalesce(max(id), 0) + 1 FROM boots").fetchone()[0]
        db.execute("INSERT INTO boots (id, node_id, mac, started_at) SELECT ?, id, '52:54:00:00:00:01', ?"
                   " FROM nodes WHERE name = 'n'", (boot, time.time_ns() // 1000))
        db.execute("INSERT INTO boot_stages VALUES (?, 1, 'script', ?, '')",
                   (boot, time.time_ns() // 1000))
        if snapshot:
            db.execute("INSERT INTO volume_trials (volume_id, boot_id, snapshot) SELECT id, ?, ? FROM volumes"
                       " WHERE name = 'v'", (boot, snapshot))
    scene.daemon.start()


def firmware_logs_in(scene: Scene) -> None:
    with Session(scene.daemon.portal, f"{BASE_IQN}:v", f"{BASE_IQN}:n", keys=FIRMWARE).login() as session:
        session.read(0, 1)
        session.logout()
    quiet(scene.daemon)


def have_tried(scene: Scene) -> None:
    """It is booted from s1, and written to, and then switched on again."""
    power_on(scene, "s1")
    firmware_logs_in(scene)
    write(scene.daemon, "v", (0, b"\x99" * 4096), (100, b"\x98" * 512))
    power_on(scene, None)


def trial(scene: Scene) -> dict | None:
    return scene.volume()["overlay"]["trial"]


def check_still_tried(scene: Scene) -> None:
    expected = bytearray(scene.template.contents["v s1"])
    expected[:4096], expected[51200:51712] = b"\x99" * 4096, b"\x98" * 512
    assert read_all(scene.daemon, "v") == bytes(expected)


def check_trial(scene: Scene) -> None:
    """What it was is there still, and is the disk again at the next boot."""
    power_on(scene, None)
    firmware_logs_in(scene)
    assert trial(scene) is None and "before-s1" not in scene.snapshots()
    scene.check_now()


class Files(BaseHTTPRequestHandler):
    """Of a mirror, each as large as a few writes."""

    def do_GET(self) -> None:
        data = self.path.encode() * 10000
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with suppress(OSError):  # its client is killed
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


class Mirror:
    """A web server that other servers' files are fetched from."""

    def __init__(self) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Files)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()


MIRROR = Mirror()


def check_entry(scene: Scene) -> None:
    entry, = scene.get("/v1/boot-entries")["entries"]
    for path, name in ((entry["file"], "/linux"), (entry["initrds"][0], "/initrd")):
        assert Path(path).read_bytes() == name.encode() * 10000
        assert Path(path).parent == scene.daemon.state / "entries"


OPERATIONS = [
    Operation("snapshot", post("/v1/snapshots", volume="v", name="new"), lambda s: "new" in s.snapshots(),
              check_snapshot),
    Operation("grow", lambda s: s.daemon.patch("/v1/volumes/v", size=2 * SIZE),
              lambda s: s.volume()["size"] == 2 * SIZE, check_grown),
    Operation("commit", post("/v1/commits", volume="v", image="golden"), lambda s: len(s.versions("golden")) > 2,
              check_committed),
    Operation("export", post("/v1/exports", volume="v", path=lambda s: str(exported(s))),
              lambda s: exported(s).exists(), check_exported),
    Operation("forget-snapshot", delete("/v1/snapshots/v?name=s1"), lambda s: "s1" not in s.snapshots(), check_merged),
    Operation("merge", delete("/v1/snapshots/v?name=s1"), lambda s: "s1" not in s.snapshots(), check_merged,
              live=False),
    Operation("rollback", post("/v1/changes", volume="v", change="rollback", snapshot="s1"),
              lambda s: read_all(s.daemon, "v") == s.template.contents["v s1"], live=False, replaces="v s1"),
    Operation("try-snapshot", firmware_logs_in,
              lambda s: trial(s) == {"snapshot": "s1", "kept": "before-s1"}, check_trial, live=False,
              replaces="v s1", before=lambda s: power_on(s, "s1")),
    Operation("end-trial", firmware_logs_in, lambda s: trial(s) is None, lambda s: s.check_now(), live=False,
              before=have_tried, undone=check_still_tried),
    Operation("reset", post("/v1/changes", volume="v", change="reset", force=True),
              lambda s: read_all(s.daemon, "v") == s.template.contents["image1"], replaces="image1"),
    Operation("rebase", post("/v1/changes", volume="v", change="rebase", image="golden@2", force=True),
              lambda s: s.volume()["image"] == "golden@2", check_kept, replaces="image2"),
    Operation("create-overlay", post("/v1/volumes", name="x", image="golden@2", allow=[INITIATOR]),
              lambda s: s.volume("x") is not None, lambda s: same(read_all(s.daemon, "x"), s, "image2")),
    Operation("create-blank", post("/v1/volumes", name="x", size=SIZE), has_size("x", "path", SIZE)),
    Operation("create-thick", post("/v1/volumes", name="x", size=SIZE, thick=True), has_size("x", "path", SIZE)),
    Operation("create-copy", post("/v1/volumes", name="x", image="spare", copy=True),
              has_size("x", "path", SIZE + MIB // 2),
              lambda s: same((s.daemon.state / "volumes/x.raw").read_bytes(), s, "image3")),
    Operation("remove-overlay", delete("/v1/volumes/w"), lambda s: s.volume("w") is None),
    Operation("remove-raw", delete("/v1/volumes/raw"), lambda s: s.volume("raw") is None),
    Operation("import", post("/v1/images", name="more", path=lambda s: str(s.template.directory.parent / "source1.raw")),
              lambda s: s.versions("more") != [],
              lambda s: same((s.daemon.state / "images/more/1.raw").read_bytes(), s, "image2")),
    Operation("remove-image", delete("/v1/images/spare"), lambda s: not s.versions("spare")),
    Operation("fetch-entry", post("/v1/boot-entries", name="live", kernel=lambda s: MIRROR.url + "/linux",
                                 initrds=lambda s: [MIRROR.url + "/initrd"]),
              lambda s: s.get("/v1/boot-entries")["entries"] != [], check_entry),
    Operation("write", write_to_it, lambda s: True, live=False, ring=True),
    Operation("first-write", write_to_it, lambda s: True, live=False, ring=True, target="fresh"),
]


def same(data: bytes, scene: Scene, name: str) -> None:
    assert data == scene.template.contents[name], name


# --- what must be true after each start ---

def layers_fit(scene: Scene) -> bool:
    """The files of layers are those that the registry knows: so it is once nothing is tidied up."""
    state = scene.daemon.state
    with closing(sqlite3.connect(f"file:{state}/registry.db?mode=ro", uri=True, timeout=60)) as db:
        layers = dict(db.execute("SELECT id, state FROM layers"))
    files = {p.name for p in (state / "layers").iterdir()}
    must = {f"{id}.{part}" for id, how in layers.items() if how == "made" for part in ("data", "map", "log")}
    may = {f"{id}.{part}" for id in layers for part in ("data", "map", "log")}
    scene.layers = f"files {sorted(files)}, layers {layers}"
    return "removing" not in layers.values() and must <= files <= may


def check_files(scene: Scene) -> None:
    """The registry is whole, and there is no file but those that it knows."""
    state = scene.daemon.state
    with closing(sqlite3.connect(f"file:{state}/registry.db?mode=ro", uri=True, timeout=60)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    wait_until(lambda: layers_fit(scene), "the layers and their files to agree", 60)
    volumes = scene.get("/v1/volumes")["volumes"]
    assert {p.name for p in (state / "volumes").iterdir()} == {
        f"{v['name']}.raw" for v in volumes if v["kind"] == "file" and v["state"] == "ready"}
    images = scene.get("/v1/images")["images"]
    assert {str(p.relative_to(state / "images")) for p in (state / "images").rglob("*") if p.is_file()} == {
        f"{i['name']}/{i['version']}.raw" for i in images}
    for i in images:
        data = (state / f"images/{i['name']}/{i['version']}.raw").read_bytes()
        assert i["sha256"] == hashlib.sha256(data).hexdigest(), i
    entries = scene.get("/v1/boot-entries")["entries"]
    assert {str(p) for p in (state / "entries").iterdir()} == {f for e in entries for f in (e["file"], *e["initrds"])}
    known = {"s1", "s2", "new", "before-golden-2", "before-s1"}
    for v in volumes:
        names = {s["name"] for s in v["overlay"]["snapshots"]} if v["overlay"] else set()
        assert names <= known, names


def make_scene(template: Template, operation: Operation, work: Path) -> Scene:
    """A daemon for a copy of the template."""
    work.mkdir()
    subprocess.run(["cp", "-r", "--sparse=always", template.directory, work / "state"], check=True)
    steps = Steps(work / "steps")
    daemon = SanDaemon(work / "d", state=work / "state", prefix=steps.prefix)
    history = History(template.contents[operation.target])
    return Scene(template, work, daemon, steps, operation.target, history, Writer(None, history))


def begin(scene: Scene, operation: Operation) -> None:
    """A client has written to the volume."""
    scene.daemon.start()
    if not operation.ring:
        scene.writer.session = Volume(operation.target, Path("/nowhere"), scene.daemon.portal).session()
    if operation.live:
        scene.writer.start()
        assert scene.writer.wait(12), scene.writer.wrong
    elif not operation.ring:
        scene.writer.write(12)
        scene.writer.session.logout()
        quiet(scene.daemon)


def ask(scene: Scene, operation: Operation) -> bool | None:
    """Has it done so? None: nobody knows, since the daemon was killed."""
    try:
        answer = operation.ask(scene)
    except LoginRefused as refused:
        scene.told = str(refused)
        return False
    except (OSError, HTTPException, IndexError):
        return None
    if answer is None:
        return True
    if "progress" in answer.json:
        return None
    scene.told = answer.json.get("error", "")
    return not scene.told


def kill(scene: Scene) -> None:
    scene.daemon.kill()
    if scene.writer.ident:
        scene.writer.join(60)
        assert not scene.writer.is_alive()
    assert scene.writer.wrong == []
    scene.end = scene.writer.mark()


def start_again(scene: Scene, chance: random.Random) -> None:
    """Once with a kill at one of its steps, and then in peace."""
    scene.steps.arm(chance.randint(1, 12), at.KILL_BEFORE)
    scene.daemon.launch()
    try:
        scene.daemon.process.wait(0.5)
    except subprocess.TimeoutExpired:
        pass  # it has fewer steps
    scene.steps.disarm()
    scene.daemon.kill()
    scene.daemon.start()


def check(scene: Scene, operation: Operation, done: bool | None) -> bool:
    """Looks at what is there; is the operation done? `done`: what its caller was told."""
    check_files(scene)
    there = operation.is_done(scene)
    assert not done or there, "it is not done although somebody was told so"
    if not there:
        operation.undone(scene)
        return False
    if operation.replaces:
        assert read_all(scene.daemon, "v") == scene.template.contents[operation.replaces]
    operation.check(scene)
    return True


def finish(scene: Scene, operation: Operation, done: bool | None, chance: random.Random) -> None:
    """After the round: everything is right, and can be done again."""
    start_again(scene, chance)
    if not check(scene, operation, done):
        assert ask(scene, operation), f"it cannot be done again: {scene.told}"
        scene.after = scene.end
        check(scene, operation, True)
    scene.daemon.stop()


def run_round(template: Template, operation: Operation, step: int, action: int, error: int,
              chance: random.Random) -> bool:
    """False: it came to its end before that step."""
    scene = make_scene(template, operation, template.directory.parent / "round")
    try:
        begin(scene, operation)
        return play(scene, operation, step, action, error, chance)
    except BaseException as problem:
        problem.add_note(f"{operation.name}, {at.NAMES[action]} ({errno.errorcode[error]}) at step {step}, "
                         f"{scene.what!r}; told: {scene.told!r}; {scene.layers}; log:\n{scene.daemon.output()}")
        raise
    finally:
        if scene.daemon.process:
            scene.daemon.kill()
        shutil.rmtree(scene.work, ignore_errors=True)


def play(scene: Scene, operation: Operation, step: int, action: int, error: int, chance: random.Random) -> bool:
    operation.before(scene)
    scene.before, scene.fails = scene.writer.mark(), action >= at.FAIL_ONCE
    scene.steps.arm(step, action, error, operation.ring)
    done = ask(scene, operation)
    scene.after = scene.writer.mark()
    reached, scene.what = scene.steps.count >= step, scene.steps.what
    assert scene.steps.count > 0, f"nothing is counted: is {at.PRELOAD} there?"
    scene.steps.disarm()
    if action >= at.FAIL_ONCE and not operation.ring:
        assert done is not None, "the daemon has ended"
        assert scene.daemon.get("/v1/status").status == 200
    if operation.live and done is not None:
        scene.writer.wait(6)
    kill(scene)
    finish(scene, operation, done, chance)
    return reached


# --- the tests ---

@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    work = Path(tempfile.mkdtemp(prefix="nodisk-steps-", dir="/dev/shm"))
    yield make_template(work)
    shutil.rmtree(work, ignore_errors=True)


def chosen() -> list[Operation]:
    return [o for o in OPERATIONS if ONLY in (None, o.name)]


def each(template: Template, operation: Operation, actions: list[tuple[int, int]], capsys) -> None:
    """ROUNDS rounds, or one for each step and action."""
    chance = random.Random(f"{SEED} {operation.name} {actions}")
    rounds = 0
    if ROUNDS >= MANY:
        for action, error in actions:
            step = 1
            while run_round(template, operation, step, action, error, chance):
                step += 1
            rounds += step
    for _ in range(ROUNDS if ROUNDS < MANY else 0):
        action, error = chance.choice(actions)
        run_round(template, operation, chance.randint(1, operation.steps), action, error, chance)
        rounds += 1
    with capsys.disabled():
        print(f"\n{operation.name}, seed {SEED}: {rounds} rounds", end="", flush=True)


@pytest.mark.parametrize("operation", chosen(), ids=lambda o: o.name)
def test_killed_at_a_step(template, operation, capsys):
    each(template, operation, [(at.KILL_BEFORE, errno.EIO), (at.KILL_BEHIND, errno.EIO)], capsys)


@pytest.mark.parametrize("operation", chosen(), ids=lambda o: o.name)
def test_a_step_fails(template, operation, capsys):
    each(template, operation, list(DAMAGES), capsys)
