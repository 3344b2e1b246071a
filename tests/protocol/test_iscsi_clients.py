"""Other people's initiators, alone and together, against what then lies in the volume's file.

libiscsi's tools and QEMU's own iSCSI driver. What they write is kept beside in a model, and in the
end every byte of the file is compared with it. The random numbers are the same in every run.
"""

import random
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from iscsilab import INITIATOR, MIB, SanDaemon, Volume, need, qemu, run

KIB = 1 << 10
SIZE = 16 * MIB  # of a volume


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[SanDaemon]:
    """One that nothing here may drive to a protocol error."""
    with SanDaemon(tmp_path / "d") as d:
        yield d
        d.wait_for("sessions", 0)
        assert d.counter("violations") == 0


@pytest.fixture
def disk(daemon: SanDaemon) -> Volume:
    """For any number of initiators of any name."""
    return daemon.volume(size=SIZE, allow=("any",))


def content(volume: Volume) -> bytes:
    """What lies in its file."""
    return volume.path.read_bytes()


def differences(found: bytes, expected: bytes) -> list[int]:
    """The first blocks that are not as expected, for a message that can be read."""
    assert len(found) == len(expected)
    return [n for n in range(0, len(found), 512) if found[n:n + 512] != expected[n:n + 512]][:10]


def all_at_once(*jobs) -> None:
    """Runs them in threads of their own; what one raises is raised."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        for done in [pool.submit(job) for job in jobs]:
            done.result()


# --- QEMU ---


def io(volume: Volume, *commands: str, options: tuple[str, ...] = ()) -> str:
    """qemu-io, whose exit status does not tell of each command."""
    words = [word for command in commands for word in ("-c", command)]
    said = run("qemu-io", *options, "-d", "unmap", "--image-opts", qemu(volume), *words)
    assert not re.search(r"failed|error|verification", said.stdout + said.stderr, re.IGNORECASE), said
    return said.stdout


class Model:
    """What must lie in a volume, or in a part of it, after the commands of qemu-io made here."""

    def __init__(self, seed: int, size: int = SIZE, start: int = 0) -> None:
        self.random = random.Random(seed)
        self.start, self.data = start, bytearray(size)

    def extent(self, unit: int, most: int) -> tuple[int, int]:
        """Somewhere, in whole units."""
        size = self.random.randint(1, most // unit) * unit
        return self.random.randrange(0, len(self.data) - size + 1, unit), size

    def set(self, at: int, size: int, byte: int) -> str:
        """Notes it; the words for where it is."""
        self.data[at:at + size] = bytes([byte]) * size
        return f"{self.start + at} {size}"

    def command(self) -> str:
        """One more command, of any kind. Blocks are discarded in whole granules of 4 KiB: of a
        part of one, QEMU discards nothing."""
        byte = self.random.randrange(1, 256)
        kind = self.random.choice(("write", "fua", "odd", "vector", "zero", "zero and unmap", "discard", "flush",
                                   "read"))
        if kind == "flush":
            return "flush"
        if kind == "read":
            return self.read()
        if kind == "vector":
            sizes = [self.random.randint(1, 24) * 512 for _ in range(self.random.randint(2, 9))]
            at = self.random.randrange(0, len(self.data) - sum(sizes), 512)
            self.set(at, sum(sizes), byte)
            return f"writev -P {byte} {self.start + at} {' '.join(map(str, sizes))}"
        words, unit, most = {
            "write": (f"write -P {byte}", 512, 512 * KIB), "fua": (f"write -f -P {byte}", 512, 64 * KIB),
            "odd": (f"write -P {byte}", 1, 5000), "zero": ("write -z", 512, 256 * KIB),
            "zero and unmap": ("write -z -u", 4096, MIB), "discard": ("discard", 4096, MIB)}[kind]
        at, size = self.extent(unit, most)
        return f"{words} {self.set(at, size, 0 if 'z' in words or kind == 'discard' else byte)}"

    def read(self) -> str:
        """A read that checks a piece, which is all of one byte."""
        at = self.random.randrange(len(self.data)) // 512 * 512
        end = at
        while end < min(at + 128 * KIB, len(self.data)) and self.data[end] == self.data[at]:
            end += 1
        return f"read -P {self.data[at]} {self.start + at} {end - at}"

    def commands(self, count: int) -> list[str]:
        """So many."""
        return [self.command() for _ in range(count)]


@pytest.mark.parametrize("seed", range(3))
def test_qemu_io_does_anything_in_any_order(disk, seed):
    need("qemu-io")
    model = Model(seed)
    for _ in range(2):  # the second session finds what the first has left
        io(disk, *model.commands(150), "flush")
        assert differences(content(disk), model.data) == []


def test_qemu_io_with_many_requests_under_way(disk):
    """Each piece of 64 KiB by a request of its own, all sent before the first is waited for."""
    need("qemu-io")
    expected = b"".join(bytes([1 + n % 255]) * 64 * KIB for n in range(SIZE // (64 * KIB)))
    order = list(range(SIZE // (64 * KIB)))
    random.Random(1).shuffle(order)
    pieces = [(n, f"{n * 64}k") for n in order]
    io(disk, *(f"aio_write -q -P {1 + n % 255} {at} 40k 24k" for n, at in pieces), "aio_flush")
    assert differences(content(disk), expected) == []
    io(disk, *(f"aio_read -q -P {1 + n % 255} {at} 16k 48k" for n, at in pieces), "aio_flush")
    io(disk, *(f"aio_write -q -z -u {at} 64k" for n, at in pieces if n % 2), "aio_flush")
    for n in range(1, len(order), 2):
        expected = expected[:n * 64 * KIB] + bytes(64 * KIB) + expected[(n + 1) * 64 * KIB:]
    assert differences(content(disk), expected) == []


def test_several_qemu_at_once_on_one_volume(disk):
    """Each in a part of its own, beside programs that only read and ask."""
    need("qemu-io", "iscsi-inq", "iscsi-readcapacity16", "iscsi-perf")
    part = SIZE // 4
    models = [Model(10 + n, part, n * part) for n in range(4)]

    def ask() -> None:
        for _ in range(5):
            assert "Vendor:NODISK" in run("iscsi-inq", disk.url).stdout
            assert run("iscsi-readcapacity16", "-s", disk.url).stdout.strip() == str(SIZE)

    commands = [model.commands(100) for model in models]
    all_at_once(ask, lambda: read_much(disk, 64), *(lambda c=c: io(disk, *c) for c in commands))
    assert differences(content(disk), b"".join(model.data for model in models)) == []


def read_much(volume: Volume, blocks: int, *options: str) -> None:
    """iscsi-perf, for a second."""
    said = run("iscsi-perf", "-i", INITIATOR, "-m", 16, "-b", blocks, *options, "-t", 1, volume.url)
    assert "finished" in said.stdout and "failed" not in (said.stdout + said.stderr).lower(), said


def test_every_kind_of_client_at_once_on_volumes_of_their_own(daemon, tmp_path):
    need("qemu-img", "qemu-io", "iscsi-perf", "iscsi-ls")
    names = ("filled", "benched", "worked", "read", "copied")
    disks = {name: daemon.volume(name, size=SIZE) for name in names}
    image = noise(tmp_path / "image", 3)
    model = Model(20)
    commands = model.commands(150)
    address = f"iscsi://{daemon.portal[0]}:{daemon.portal[1]}"

    def list_targets() -> None:
        for _ in range(5):
            said = run("iscsi-ls", "-s", "-i", INITIATOR, address).stdout
            assert set(re.findall(r"Target:\S+:(\S+) Portal", said)) == set(names)
            assert len(re.findall(r"Lun:0 ", said)) == len(names)

    all_at_once(
        list_targets,
        lambda: convert(raw(image), qemu(disks["filled"]), "-m", "16", "-W"),
        lambda: run("qemu-img", "bench", "-w", "--pattern=77", "-c", 512, "-d", 32, "-s", "32k", "-t", "none",
                    "--image-opts", qemu(disks["benched"])),
        lambda: io(disks["worked"], *commands),
        lambda: read_much(disks["read"], 128, "-r"),
        lambda: convert(raw(image), qemu(disks["copied"])))
    assert differences(content(disks["filled"]), image.read_bytes()) == []
    assert differences(content(disks["copied"]), image.read_bytes()) == []
    assert differences(content(disks["benched"]), bytes([77]) * SIZE) == []
    assert differences(content(disks["worked"]), model.data) == []
    assert differences(content(disks["read"]), bytes(SIZE)) == []


def noise(path: Path, seed: int) -> Path:
    """An image with random data, zeroes and holes."""
    numbers = random.Random(seed)
    with path.open("wb") as file:
        file.truncate(SIZE)
        for _ in range(8):
            file.seek(numbers.randrange(0, SIZE - MIB, 512))
            file.write(numbers.randbytes(numbers.randrange(1, MIB)))
    return path


def raw(path: Path) -> str:
    """QEMU's words for a file."""
    return f"driver=raw,file.driver=file,file.filename={path}"


def convert(source: str, target: str, *options: str) -> None:
    """qemu-img copies onto what is there."""
    run("qemu-img", "convert", "-n", *options, "--image-opts", "--target-image-opts", source, target)


@pytest.mark.parametrize("options", [(), ("-W", "-m", "16"), ("-C",), ("-S", "0"), ("--target-is-zero",)])
def test_qemu_img_copies_from_volume_to_volume(daemon, tmp_path, options):
    """-C lets the target copy, if it can. The target of all but the last has data in it already."""
    need("qemu-img")
    image = noise(tmp_path / "image", 4)
    source, target = (daemon.volume(name, size=SIZE) for name in ("source", "target"))
    convert(raw(image), qemu(source))
    if "--target-is-zero" not in options:
        io(target, f"write -P 0xee 0 {SIZE}")
    convert(qemu(source), qemu(target), *options)
    assert differences(content(target), image.read_bytes()) == []
    compared = run("qemu-img", "compare", "--image-opts", qemu(source), qemu(target)).stdout
    assert "Images are identical." in compared


def test_qemu_img_compare_finds_the_one_block_that_differs(daemon):
    need("qemu-img", "qemu-io")
    one, other = (daemon.volume(name, size=SIZE) for name in ("one", "other"))
    for volume in (one, other):
        io(volume, "write -P 9 1M 4M")
    io(other, "write -P 8 3000832 512")
    said = run("qemu-img", "compare", "--image-opts", qemu(one), qemu(other), check=False)
    assert said.returncode == 1 and re.search(r"mismatch at offset (\d+)", said.stdout)[1] == "3000832"


def test_qcow2_lives_in_a_volume(disk, tmp_path):
    """A format that reads, writes and flushes its own tables, with a snapshot in it."""
    need("qemu-img", "qemu-io")
    run("qemu-img", "create", "-f", "qcow2", "-o", "cluster_size=4096", disk.url, "64M")

    def change(*commands: str) -> None:
        said = run("qemu-io", "-f", "qcow2", *(word for c in commands for word in ("-c", c)), disk.url)
        assert "failed" not in said.stdout + said.stderr, said

    def check(*parts: tuple[int, bytes]) -> None:
        assert "No errors were found" in run("qemu-img", "check", "-f", "qcow2", disk.url).stdout
        back = tmp_path / "back"
        run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", disk.url, back)
        expected = bytearray(64 * MIB)
        for at, data in parts:
            expected[at:at + len(data)] = data
        assert differences(back.read_bytes(), expected) == []

    change("write -P 1 0 2M", "write -P 2 50M 300k", "flush")
    run("qemu-img", "snapshot", "-c", "before", disk.url)
    change("write -P 3 1M 2M", "discard 0 64k", "write -z 50M 4k")
    check((64 * KIB, b"\1" * (MIB - 64 * KIB)), (MIB, b"\3" * 2 * MIB), (50 * MIB + 4096, b"\2" * (300 * KIB - 4096)))
    run("qemu-img", "snapshot", "-a", "before", disk.url)
    check((0, b"\1" * 2 * MIB), (50 * MIB, b"\2" * 300 * KIB))


def test_a_reader_beside_a_writer_sees_old_blocks_or_new_ones(disk):
    """One process writes the whole volume again and again, two read all of it meanwhile."""
    need("qemu-io", "qemu-img")
    io(disk, f"write -P 1 0 {SIZE}")
    images = [disk.path.parent / f"copy{n}" for n in range(2)]

    def read(image: Path) -> None:
        run("qemu-img", "convert", "-O", "raw", "--image-opts", qemu(disk), image)
        data = image.read_bytes()
        blocks = {data[n:n + 512] for n in range(0, SIZE, 512)}
        assert blocks <= {bytes([byte]) * 512 for byte in (1, 2, 3, 4)}, "a block that nobody has written"

    all_at_once(lambda: io(disk, *(f"write -P {byte} 0 {SIZE}" for byte in (2, 3, 4))),
                *(lambda image=image: read(image) for image in images))
    assert differences(content(disk), bytes([4]) * SIZE) == []


# --- libiscsi ---


def test_iscsi_swp_protects_a_volume_from_qemu(disk):
    need("iscsi-swp", "qemu-io")

    def write() -> subprocess.CompletedProcess[str]:
        return run("qemu-io", "--image-opts", qemu(disk), "-c", "write -P 5 0 4k", check=False)

    with disk.session():  # while somebody has the volume open, it stays as it is
        assert "SWP:0" in run("iscsi-swp", disk.url).stdout
        run("iscsi-swp", "-s", "on", disk.url)
        assert "SWP:1" in run("iscsi-swp", disk.url).stdout
        refused = write()
        assert refused.returncode == 1 and "write protected" in refused.stdout + refused.stderr
        assert "read 4096/4096" in run("qemu-io", "-r", "--image-opts", qemu(disk), "-c", "read -P 0 0 4k").stdout
        run("iscsi-swp", "-s", "off", disk.url)
        assert write().returncode == 0
    assert disk.bytes_at(0, 8192) == b"\5" * 4096 + bytes(4096)


def test_iscsi_perf_reads_at_every_size(disk):
    need("iscsi-perf")
    for blocks, order in ((1, ()), (7, ("-r",)), (255, ("-r",)), (2048, ())):
        read_much(disk, blocks, *order)
