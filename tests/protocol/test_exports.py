"""What is on a volume becomes a file or an image: of every kind of volume, raw and qcow2."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import mounted, wait_until
from iscsilab import MIB, SanDaemon, Volume, loop_device, need, run
from lab.iscsi import INITIATOR

SIZE = 16 * MIB


def content(size: int = SIZE) -> bytes:
    """Every block differs from every other, but two thirds are holes."""
    blocks = [(n * 7919 + 1).to_bytes(8, "big") * 512 if n % 3 == 0 else bytes(4096) for n in range(size // 4096)]
    return b"".join(blocks)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[SanDaemon]:
    with SanDaemon(tmp_path / "d") as d:
        yield d


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where exports go; nothing else is there."""
    directory = tmp_path / "exports"
    directory.mkdir()
    return directory


def image(daemon: SanDaemon, tmp_path: Path) -> bytes:
    path = tmp_path / "golden.raw"
    path.write_bytes(content())
    daemon.ok("image", "import", path, "--name", "golden")
    return content()


def create(daemon: SanDaemon, name: str, *options: object) -> Volume:
    daemon.ok("volume", "create", name, "--allow", INITIATOR, *options)
    return Volume(name, Path("/nowhere"), daemon.portal)


def check_qcow2(path: Path, raw: Path) -> None:
    shown = json.loads(run("qemu-img", "info", "--output=json", path).stdout)
    assert shown["format"] == "qcow2" and "backing-filename" not in shown
    run("qemu-img", "check", "-q", path)
    run("qemu-img", "compare", "-f", "qcow2", "-F", "raw", path, raw)


def test_a_qcow2_of_an_overlay(daemon, tmp_path, place):
    """In use; by the ending of the name, by --format, and compressed; of a snapshot, too."""
    need("qemu-img")
    golden = image(daemon, tmp_path)
    volume = create(daemon, "v", "--image", "golden", "--size", "20M")
    with volume.session() as session:
        session.write(8, b"x" * 8192)
        daemon.ok("volume", "snapshot", "v", "s")
        session.write(8, b"y" * 4096)
        assert daemon.ok("volume", "export", "v", place / "a.qcow2") == f"volume v is in {place}/a.qcow2\n"
        daemon.ok("volume", "export", "v", place / "b.img", "--format", "qcow2", "--compress")
        daemon.ok("volume", "export", "v", place / "now.raw")
        daemon.ok("volume", "export", "v", place / "s.qcow2", "--snapshot", "s")
        session.write(8, b"z" * 4096)
    expected = golden[:4096] + b"y" * 4096 + b"x" * 4096 + golden[3 * 4096:] + bytes(4 * MIB)
    assert (place / "now.raw").read_bytes() == expected
    check_qcow2(place / "a.qcow2", place / "now.raw")
    check_qcow2(place / "b.img", place / "now.raw")
    assert (place / "b.img").stat().st_size < (place / "a.qcow2").stat().st_size
    daemon.ok("volume", "export", "v", place / "s.raw", "--snapshot", "s")
    check_qcow2(place / "s.qcow2", place / "s.raw")
    assert sorted(os.listdir(place)) == ["a.qcow2", "b.img", "now.raw", "s.qcow2", "s.raw"]
    daemon.ok("image", "import", place / "a.qcow2", "--name", "again")
    assert (daemon.state / "images/again/1.raw").read_bytes() == expected


def test_what_is_asked_for_wrongly(daemon, place):
    create(daemon, "v", "--size", "1M", "--overlay")
    create(daemon, "raw", "--size", "1M")
    refused = daemon.cli("volume", "snapshot", "v", "copying-1234567890123456")
    assert refused.returncode == 1 and "take another name" in refused.stderr
    for words, sentence in [(("v", place / "a", "--format", "vmdk"), "raw or qcow2"),
                            (("v", place / "a", "--compress"), "only a qcow2"),
                            (("raw", place / "a", "--snapshot", "s"), "is no overlay"),
                            (("none", place / "a"), "there is no volume 'none'")]:
        refused = daemon.cli("volume", "export", *words)
        assert refused.returncode == 1 and sentence in refused.stderr, (words, refused.stderr)
    assert os.listdir(place) == []


def test_nothing_is_left_of_what_was_interrupted(daemon, tmp_path, place):
    """Ctrl-C, the command killed, the daemon killed: while it copies and while qemu-img writes."""
    need("qemu-img")
    path = tmp_path / "big.raw"
    with path.open("wb") as file:
        for n in range(96):
            file.write(os.urandom(MIB) if n % 2 else bytes(MIB))
    daemon.ok("image", "import", path, "--name", "big")
    create(daemon, "v", "--image", "big")

    def begin(*options: object) -> subprocess.Popen:
        process = subprocess.Popen([daemon.program, "--socket", daemon.socket, "volume", "export", "v",
                                    place / "a.qcow2", *options], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        wait_until(lambda: daemon.get("/v1/volumes/v").json["overlay"]["snapshots"], "its snapshot", 60)
        return process

    for how in (signal.SIGINT, signal.SIGKILL):
        process = begin("--compress")
        process.send_signal(how)
        assert process.wait() != 0
        wait_until(lambda: not daemon.get("/v1/volumes/v").json["overlay"]["snapshots"], "it to be undone", 60)
        assert os.listdir(place) == []
    process = begin("--compress")
    daemon.kill()
    assert process.wait() != 0
    assert os.listdir(place) == []
    daemon.start()
    assert daemon.get("/v1/volumes/v").json["overlay"]["snapshots"] == []
    daemon.ok("volume", "export", "v", place / "a.qcow2")
    check_qcow2(place / "a.qcow2", path)
    assert os.listdir(place) == ["a.qcow2"]


def test_there_has_to_be_room(daemon, tmp_path):
    """It is refused before anything is written, with the figures."""
    image(daemon, tmp_path)
    create(daemon, "v", "--image", "golden")
    with mounted("-t", "tmpfs", "-o", "size=4m", "tmpfs", place=tmp_path / "small") as small:
        for name in ("a.raw", "a.qcow2"):
            refused = daemon.cli("volume", "export", "v", small / name)
            assert refused.returncode == 1 and "not enough space" in refused.stderr, refused.stderr
        assert os.listdir(small) == []


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "device.raw").write_bytes(bytes(SIZE))
    with loop_device(tmp_path / "device.raw") as device:
        yield device


KINDS = {"copy": ("--image", "golden", "--copy"), "thick": ("--size", "16M", "--thick"), "file": ("--file",),
         "device": ("--device",)}


@pytest.mark.parametrize("kind", list(KINDS))
def test_what_is_no_overlay(daemon, tmp_path, place, kind, request):
    """Exported and committed while nobody uses it, which nobody can meanwhile; refused while somebody does."""
    need("qemu-img")
    expected = image(daemon, tmp_path)
    options = list(KINDS[kind])
    if kind == "file":
        (tmp_path / "file.raw").write_bytes(bytes(SIZE))
        options.append(tmp_path / "file.raw")
    elif kind == "device":
        options.append(request.getfixturevalue("loop"))
    volume = create(daemon, "v", *options)
    with volume.session() as session:
        for lba in range(0, SIZE // 512, 2048):
            session.write(lba, expected[512 * lba:][:MIB])
        for words in (("export", "v", place / "a.raw"), ("commit", "v", "golden")):
            refused = daemon.cli("volume", *words)
            assert refused.returncode == 1 and INITIATOR in refused.stderr, refused.stderr
            assert "shut that machine down" in refused.stderr and "--force" not in refused.stderr
        assert session.logout() == 0
    daemon.ok("volume", "export", "v", place / "a.raw")
    daemon.ok("volume", "export", "v", place / "a.qcow2")
    assert (place / "a.raw").read_bytes() == expected
    check_qcow2(place / "a.qcow2", place / "a.raw")
    assert daemon.ok("volume", "commit", "v", "golden") == "volume v is image golden@2\n"
    assert (daemon.state / "images/golden/2.raw").read_bytes() == expected
    assert "is whole" in daemon.ok("image", "verify", "golden@2")
    assert sorted(os.listdir(place)) == ["a.qcow2", "a.raw"]
    with volume.session() as session:  # it is nobody's any more
        session.write(0, b"x" * 512)


def test_what_is_only_read_may_be_in_use(daemon, tmp_path, place):
    (tmp_path / "file.raw").write_bytes(content())
    volume = create(daemon, "v", "--file", tmp_path / "file.raw", "--read-only")
    with volume.session() as session:
        daemon.ok("volume", "export", "v", place / "a.raw")
        assert session.read(0, 1) == content()[:512]
    assert (place / "a.raw").read_bytes() == content()
