"""What nodes read of an image while they boot: recorded, shown, and read into memory at start."""

import contextlib
import ctypes
import http.client
import mmap
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import BASE_IQN, wait_until
from iscsilab import MIB, SanDaemon
from lab.iscsi import FIRMWARE, Session
from netlab import SERVER, SUBNET, Client, NetLab, Wire, inside

SIZE = 24 * MIB + (20 << 10)
PIECE = 64 << 10
PIECES = SIZE // PIECE + 1  # the last one is short
MAC = "52:54:00:10:00:01"
WARM_UP = "[images]\nwarm-up = yes\n"


def mac_of(number: int) -> str:
    return f"52:54:00:10:00:{number:02x}"


@pytest.fixture
def work(tmp_path) -> Path:
    """On a file system whose page cache can be emptied."""
    kind = subprocess.run(["stat", "-f", "-c", "%T", tmp_path], check=True, capture_output=True,
                          text=True).stdout.strip()
    if kind in ("tmpfs", "ramfs"):
        pytest.skip(f"{tmp_path} is in memory: nothing can be dropped from its page cache")
    return tmp_path


def import_image(daemon, work: Path, name: str = "golden") -> Path:
    source = work / "source.raw"
    source.write_bytes(os.urandom(SIZE))
    daemon.ok("image", "import", source, "--name", name)
    return Path(version(daemon, name)["path"])


def version(daemon, name: str = "golden") -> dict:
    return daemon.get(f"/v1/images/{name}").json["versions"][-1]


def boot_set(daemon, name: str = "golden") -> dict | None:
    return version(daemon, name)["boot_set"]


def wait_for_kernel(daemon, name: str) -> None:
    """The daemon knows that it has come so far: no machine is up within a moment of that."""
    def stage() -> str | None:
        (node,) = [n for n in daemon.get("/v1/status").json["nodes"] if n["name"] == name]
        return node["boot"] and node["boot"]["stage"]
    wait_until(lambda: stage() == "initramfs", f"{name} to have a kernel", 60)


class Bed(SanDaemon):
    """A daemon with a node whose HTTP can be reached."""

    def __init__(self, work: Path, more: str = "") -> None:
        self.more = more
        super().__init__(work)

    def write_config(self, more: str = "") -> None:
        super().write_config(f"[http]\nlisten = {self.portal[0]}:80\n{self.more}{more}")

    def session(self, number: int = 1, **how: object) -> Session:
        return Session(self.portal, f"{BASE_IQN}:web{number}", f"{BASE_IQN}:web{number}", **how).login()

    def add_node(self, number: int = 1, image: str = "golden") -> None:
        self.ok("node", "add", f"web{number}", "--mac", mac_of(number), "--image", image)

    def up(self, number: int = 1) -> None:
        wait_for_kernel(self, f"web{number}")
        connection = http.client.HTTPConnection(self.portal[0], 80, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", f"/up?mac={mac_of(number)}")
            assert connection.getresponse().status == 200

    def boot(self, number: int = 1, reads: tuple[int, ...] = (0,), until_up: bool = True) -> None:
        """Its firmware reads the first block, the system that it loads those blocks (of 512 bytes)."""
        with self.session(number, keys=FIRMWARE) as firmware:
            firmware.read(0, 1)
            with self.session(number) as system:
                for block in reads:
                    system.read(block, 8)
                if until_up:
                    self.up(number)

    def boots(self, count: int) -> dict:
        """The boot set when it is that of so many boots."""
        wait_until(lambda: (boot_set(self) or {"boots": 0})["boots"] == count, f"{count} boots", 60)
        return boot_set(self)


@pytest.fixture
def bed(work) -> Iterator[Bed]:
    with Bed(work / "bed") as bed:
        import_image(bed, work)
        bed.add_node()
        yield bed


def pieces_of(path: Path) -> set[int]:
    """What the file of the boot set says that the last boot has read."""
    data = path.read_bytes()
    magic, form, shift, size, _, _, _ = struct.unpack(">8sIIQQ16sI", data[:52])
    assert (magic, form, shift, size) == (b"nodiskBS", 1, 16, SIZE)
    assert len(data) == 60 + PIECES
    return {n for n, boots in enumerate(data[60:]) if boots & 1}


_libc = ctypes.CDLL(None, use_errno=True)


def resident(path: Path) -> set[int]:
    """Which pages of a file are in memory."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), SIZE) as mapped:
        vector = (ctypes.c_ubyte * (SIZE // mmap.PAGESIZE))()
        here = ctypes.c_char.from_buffer(mapped)
        try:
            assert _libc.mincore(ctypes.c_void_p(ctypes.addressof(here)), ctypes.c_size_t(SIZE), vector) == 0
        finally:
            del here
        return {n for n, page in enumerate(vector) if page & 1}


def drop(path: Path) -> None:
    """Nothing of the file is in memory any more."""
    def is_dropped() -> bool:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return not resident(path)
    wait_until(is_dropped, "the page cache to be emptied", 60)


def pages(pieces: set[int]) -> set[int]:
    each = PIECE // mmap.PAGESIZE
    return {piece * each + n for piece in pieces for n in range(each)} & set(range(SIZE // mmap.PAGESIZE))


def test_a_boot_is_recorded_and_warmed(work):
    """All the way: DHCP, the script, firmware, an initramfs that logs in after firmware has gone."""
    lab = NetLab(work)
    try:
        daemon = lab.daemon(f"{SUBNET}[iscsi]\nlisten = {SERVER}:3260\n")
        image = import_image(daemon, work)
        daemon.ok("node", "add", "web1", "--mac", MAC, "--image", "golden", "--address", "10.0.0.11")
        assert boot_set(daemon) is None and "no boot was recorded yet" in daemon.ok("image", "show", "golden")
        machine = lab.client()
        wire = Wire(machine)
        client = Client(wire, MAC)
        client.extra[77] = b"iPXE"
        client.lease()
        wire.close()
        machine.run("ip", "addr", "add", "10.0.0.11/24", "dev", "eth0")
        machine.run("curl", "-sS", "-f", "-A", "iPXE/1.21.1+", f"http://{SERVER}/boot.ipxe?mac={MAC}")
        node = f"{BASE_IQN}:web1"
        with inside(machine):
            with Session((SERVER, 3260), node, node, keys=FIRMWARE).login() as firmware:
                firmware.read(2 * PIECE // 512, 1)
                assert firmware.logout() == 0
            system = Session((SERVER, 3260), node, node).login()
        system.read(5 * PIECE // 512 - 1, 2)  # the end of a piece and the beginning of the next one
        system.write(9 * PIECE // 512 + 1, b"x" * 512)  # the rest of its block comes from the image
        system.write(12 * PIECE // 512, b"y" * PIECE)
        assert system.read(12 * PIECE // 512, 8) == b"y" * 4096  # and this does not
        daemon.ok("volume", "snapshot", "web1", "early")
        system.read((SIZE - 512) // 512, 1)
        wait_for_kernel(daemon, "web1")
        machine.run("curl", "-sS", "-f", "-X", "POST", f"http://{SERVER}/up?mac={MAC}")
        wait_until(lambda: boot_set(daemon), "the boot to be recorded", 60)
        system.read(100 * PIECE // 512, 1)  # the boot is over
        assert boot_set(daemon)["boots"] == 1 and boot_set(daemon)["size"] == 4 * PIECE + (20 << 10)
        read = {2, 4, 5, 9, PIECES - 1}
        assert pieces_of(image.with_suffix(".boot")) == read
        system.close()
        daemon.stop()
        drop(image)
        daemon.write_config(f"{SUBNET}{WARM_UP}")
        daemon.start()
        daemon.wait_line("warmed 276 KiB of golden@1 in ")
        assert resident(image) == pages(read)
        assert boot_set(daemon)["resident"] == 4 * PIECE + (20 << 10)
        assert "276 KiB, from 1 boot; in memory: 276 KiB" in daemon.ok("image", "show", "golden")
    finally:
        lab.close()


def test_what_is_no_boot_is_not_recorded(bed):
    bed.add_node(2)
    with bed.session(keys=FIRMWARE) as firmware:  # a menu that somebody looks at
        firmware.read(40 * PIECE // 512, 1)
    bed.boot(2, reads=(3 * PIECE // 512,))
    assert bed.boots(1)["size"] == 2 * PIECE
    with bed.session(2) as system:  # it comes back after its boot
        system.read(42 * PIECE // 512, 1)
    bed.boot(2, reads=(3 * PIECE // 512,))
    assert bed.boots(2)["size"] == 2 * PIECE


def test_what_one_boot_reads_alone_does_not_stay(bed):
    """A node that reads its whole disk once."""
    usual = (1 * PIECE // 512, 2 * PIECE // 512)
    bed.boot(reads=tuple(range(0, SIZE // 512, PIECE // 512)))
    assert bed.boots(1)["size"] == SIZE
    bed.boot(reads=usual)
    bed.boots(2)
    bed.boot(reads=usual)
    assert bed.boots(3)["size"] == 3 * PIECE
    for count in (4, 5, 6, 7, 8):
        bed.boot(reads=usual)
        bed.boots(count)
    at = boot_set(bed)["recorded_at"]
    bed.boot(reads=usual)
    wait_until(lambda: boot_set(bed)["recorded_at"] > at, "one more boot", 60)
    assert boot_set(bed)["boots"] == 8 and boot_set(bed)["size"] == 3 * PIECE


def test_warming_by_hand(bed):
    assert "no boot from image 'golden@1' was recorded yet" in bed.refused("image", "warm", "golden")
    assert "there is no image 'silver'" in bed.refused("image", "warm", "silver")
    bed.boot(reads=(7 * PIECE // 512,))
    bed.boots(1)
    image = Path(version(bed)["path"])
    drop(image)
    assert boot_set(bed)["resident"] == 0
    assert bed.ok("image", "warm", "golden@1") == (
        "image golden@1: 128 KiB of the 128 KiB that nodes read at boot are in memory\n")
    assert resident(image) == pages({0, 7})
    result = bed.post("/v1/warmups", image="golden").result
    assert result["boot_set"]["resident"] == 2 * PIECE


def test_there_is_a_limit(work):
    """What most boots have read comes first; of several images, the newest."""
    with Bed(work / "bed", f"{WARM_UP}warm-up-limit = 192K\n") as bed:
        old = import_image(bed, work, "old")
        new = import_image(bed, work)
        bed.add_node(1)
        bed.add_node(2, "old")
        for count, reads in enumerate(((1, 2, 3), (1, 5, 6), (1, 5, 6))):
            bed.boot(1, tuple(n * PIECE // 512 for n in reads))
            bed.boots(count + 1)
        bed.boot(2)
        wait_until(lambda: boot_set(bed, "old"), "the boot to be recorded", 60)
        assert boot_set(bed)["size"] == 4 * PIECE
        bed.stop()
        drop(old)
        drop(new)
        bed.start()
        bed.wait_line("warmed 64 KiB of old@1 in ")
        bed.wait_line("warmed 128 KiB of the 256 KiB of golden@1 that nodes read at boot in ")
        assert resident(new) == pages({0, 1}) and resident(old) == pages({0})


def test_a_damaged_file_does_no_harm(bed):
    bed.boot()
    bed.boots(1)
    path = Path(version(bed)["path"]).with_suffix(".boot")
    good = path.read_bytes()
    bed.stop()
    bed.more = WARM_UP
    bed.write_config()
    for damaged in (b"", good[:100], good[:70] + b"\1" + good[71:], bytes(2 << 20), os.urandom(len(good))):
        path.write_bytes(damaged)
        bed.log.unlink()
        bed.start()
        bed.wait_line("is not warmed")
        assert boot_set(bed) is None
        assert f"{path} is ignored" in bed.refused("image", "warm", "golden")
        bed.stop()
        assert len(bed.lines("is ignored")) == 1
    bed.start()
    bed.boot()
    assert bed.boots(1)["size"] == PIECE
    assert len(path.read_bytes()) == len(good)


def test_it_goes_with_its_image(bed, work):
    bed.boot()
    bed.boots(1)
    image = Path(version(bed)["path"])
    bed.ok("image", "rename", "golden", "silver")
    assert boot_set(bed, "silver")["boots"] == 1
    bed.ok("node", "remove", "web1", "--with-volume")
    bed.ok("image", "remove", "silver")
    assert not image.parent.exists()
    bed.stop()
    image.parent.mkdir()  # killed while it wrote
    (image.parent / "7.boot").write_bytes(b"x")
    (image.parent / "7.boot.tmp").write_bytes(b"x")
    bed.start()
    assert not image.parent.exists()
