"""Golden images: whatever file they come from, against qemu-img's own reading of it."""

import bz2
import contextlib
import gzip
import hashlib
import itertools
import json
import lzma
import os
import re
import signal
import struct
import subprocess
import time
from pathlib import Path

import pytest
from daemon import NODISK, Daemon, is_gone, wait_until

MIB = 1 << 20
SIZE = 24 * MIB


def run(*words: object) -> str:
    return subprocess.run([str(word) for word in words], check=True, capture_output=True,
                          text=True).stdout


def make_disk(path: Path, size: int = SIZE) -> Path:
    """Data, holes and a stretch of written zeroes."""
    with path.open("wb") as file:
        file.truncate(size)
        for at, data in ((0, b"boot" * 128), (MIB, os.urandom(3 * MIB + 512)),
                         (9 * MIB, bytes(2 * MIB)), (size - 512, b"the end." * 64)):
            file.seek(at)
            file.write(data)
    return path


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    return make_disk(tmp_path_factory.mktemp("disk") / "disk.raw")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with Daemon(tmp_path_factory.mktemp("lab") / "d") as daemon:
        yield daemon


@pytest.fixture
def daemon(tmp_path):
    with Daemon(tmp_path / "d") as d:
        yield d


def refusal_of(daemon, source: Path) -> str:
    """What an import that must fail says, behind its progress."""
    done = daemon.cli("image", "import", source, "--name", "x")
    last = done.stderr.splitlines()[-1:]
    assert done.returncode == 1 and last and last[0].startswith("nodisk: "), (source, done)
    return last[0]


def files_of(daemon) -> list[str]:
    images = daemon.state / "images"
    return sorted(str(p.relative_to(images)) for p in images.rglob("*"))


def show(daemon, reference: str) -> dict:
    return json.loads(daemon.ok("image", "show", reference, "--json"))["versions"][-1]


def children_of(daemon, program: str) -> list[int]:
    """What runs below the daemon under this name; the dead are not counted."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, state, parent = re.match(r"\d+ \((.*)\) (\S) (\d+)", stat.read_text()).groups()
            if name == program and state != "Z" and int(parent) == daemon.process.pid:
                found.append(int(stat.parent.name))
    return found


FORMATS = {
    "qcow2": ("qcow2", []), "compressed qcow2": ("qcow2", ["-c"]),
    "qcow2 of version 2": ("qcow2", ["-o", "compat=0.10"]),
    "extended qcow2": ("qcow2", ["-o", "extended_l2=on,cluster_size=128k"]),
    "monolithic vmdk": ("vmdk", ["-o", "subformat=monolithicSparse"]),
    "stream vmdk": ("vmdk", ["-o", "subformat=streamOptimized"]),
    "vhdx": ("vhdx", []), "dynamic vhd": ("vpc", ["-o", "force_size=on"]),
    "fixed vhd": ("vpc", ["-o", "subformat=fixed,force_size=on"]),
    "vdi": ("vdi", []), "static vdi": ("vdi", ["-o", "static=on"]), "qed": ("qed", []),
}


@pytest.mark.parametrize("what", FORMATS)
def test_each_format_of_qemu(lab, disk, tmp_path, what):
    driver, options = FORMATS[what]
    source = tmp_path / "source file"
    run("qemu-img", "convert", "-f", "raw", "-O", driver, *options, disk, source)
    name = what.replace(" ", "-")
    assert lab.ok("image", "import", source, "--name", name) == f"image {name}@1 is imported\n"
    image = show(lab, name)
    assert image["format"] == driver.replace("vpc", "vhd") and image["source"] == "source file"
    assert run("qemu-img", "compare", "-f", driver, "-F", "raw", source, image["path"])
    content = Path(image["path"]).read_bytes()
    assert content == disk.read_bytes() and image["size"] == len(content)
    assert image["sha256"] == hashlib.sha256(content).hexdigest()
    assert image["used"] < SIZE // 3 and Path(image["path"]).stat().st_mode & 0o7777 == 0o444


PACKERS = {
    "gz": lambda data: gzip.compress(data, 1), "xz": lambda data: lzma.compress(data, preset=0),
    "bz2": lambda data: bz2.compress(data, 1),
    "zstd": lambda data: subprocess.run(["zstd", "-1c"], input=data, capture_output=True,
                                        check=True).stdout,
}


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("inner", ["raw", "qcow2", "vhd"])
def test_packed_files(lab, disk, tmp_path, packer, inner):
    unpacked = disk
    if inner == "qcow2":
        unpacked = tmp_path / "inner"
        run("qemu-img", "convert", "-O", "qcow2", disk, unpacked)
    if inner == "vhd":
        unpacked = tmp_path / "inner"
        run("qemu-img", "convert", "-O", "vpc", "-o", "subformat=fixed,force_size=on", disk,
            unpacked)
    source = tmp_path / f"disk.{packer}"
    source.write_bytes(PACKERS[packer](unpacked.read_bytes()))
    lab.ok("image", "import", source, "--name", f"{packer}-{inner}")
    image = show(lab, f"{packer}-{inner}")
    content = Path(image["path"]).read_bytes()
    assert content == disk.read_bytes() and image["used"] < SIZE // 3
    assert image["sha256"] == hashlib.sha256(content).hexdigest()
    assert image["format"] in (f"{inner} in {packer}", f"raw in {packer}")
    assert files_of(lab).count(f"{packer}-{inner}/1.raw") == 1
    assert not [name for name in files_of(lab) if "tmp" in name]


def test_a_raw_file_and_a_block_device(lab, disk):
    lab.ok("image", "import", disk, "--name", "plain")
    image = show(lab, "plain")
    digest = hashlib.sha256(disk.read_bytes()).hexdigest()
    assert image["sha256"] == digest and image["format"] == "raw"
    assert image["used"] <= disk.stat().st_blocks * 512
    loop = run("losetup", "--find", "--show", "--read-only", disk).strip()
    try:
        lab.ok("image", "import", loop, "--name", "device")
    finally:
        run("losetup", "--detach", loop)
    assert show(lab, "device")["sha256"] == digest


def qcow2_header(**changes: int) -> bytes:
    """The header of a version 3 image without anything in it."""
    fields = {"version": 3, "backing": 0, "backing_size": 0, "cluster_bits": 16, "size": MIB,
              "crypt": 0, "l1_size": 1, "l1": 65536, "refcount": 131072, "refcount_clusters": 1,
              "snapshots": 0, "snapshot_offset": 0, "incompatible": 0, "compatible": 0,
              "autoclear": 0, "refcount_order": 4, "header": 104, **changes}
    return b"QFI\xfb" + struct.pack(">IQIIQIIQQIIQQQQII", *fields.values()) + bytes(3 * 65536)


def hostile_files(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    """Made by qemu-img where it makes them, and by hand where it does not."""
    made = {name: tmp_path / name for name in (
        "backing", "qed-backing", "vmdk-backing", "data-file", "raw-data-file", "garbage", "huge", "descriptor", "extent", "twice.gz", "cut.gz", "gz-of-backing.gz", "luks",
        "differencing", "odd-size", "short-xz", "vhdx-parent", "8 EiB", "cut qcow2", "cut vmdk", "cut vhdx", "cut vpc", "cut vdi",
        "cut qed")}
    run("qemu-img", "create", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", made["backing"], "1M")
    run("qemu-img", "create", "-f", "qed", "-b", "/etc/passwd", "-F", "raw", made["qed-backing"],
        "1M")
    run("qemu-img", "create", "-f", "vmdk", tmp_path / "base.vmdk", "1M")
    run("qemu-img", "create", "-f", "vmdk", "-b", tmp_path / "base.vmdk", "-F", "vmdk",
        made["vmdk-backing"])
    run("qemu-img", "create", "-f", "qcow2", "-o", f"data_file={tmp_path / 'ext'}",
        made["data-file"], "1M")
    run("qemu-img", "create", "-f", "qcow2", "-o",
        f"data_file={tmp_path / 'ext'},data_file_raw=on", made["raw-data-file"], "1M")
    disk = make_disk(tmp_path / "disk")
    for driver in ("qcow2", "vmdk", "vhdx", "vpc", "vdi", "qed"):
        cut = made[f"cut {driver}"]
        run("qemu-img", "convert", "-O", driver, disk, cut)
        os.truncate(cut, cut.stat().st_size // 3 * 2 // 512 * 512)
    made["garbage"].write_bytes(b"QFI\xfb" + os.urandom(100000))
    run("qemu-img", "create", "-f", "qcow2", "-o", "cluster_size=2M", made["huge"], "1E")
    made["8 EiB"].write_bytes(qcow2_header(size=(1 << 63) - 512))
    run("qemu-img", "convert", "-O", "vmdk", "-o", "subformat=monolithicFlat", disk,
        made["descriptor"])
    extent = bytearray(MIB)
    extent[0:4] = b"KDMV"
    struct.pack_into("<IIQQQQ", extent, 4, 1, 3, 0, 128, 1, 20)
    text = b'# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 8 FLAT "/etc/passwd" 0\n'
    extent[512:512 + len(text)] = text
    made["extent"].write_bytes(extent)
    made["twice.gz"].write_bytes(gzip.compress(gzip.compress(disk.read_bytes(), 1), 1))
    made["cut.gz"].write_bytes(gzip.compress(os.urandom(2 * MIB), 1)[:MIB])
    made["gz-of-backing.gz"].write_bytes(gzip.compress(made["backing"].read_bytes()))
    made["luks"].write_bytes(qcow2_header(crypt=1))
    vhd = bytearray(b"conectix" + bytes(504))
    struct.pack_into(">I", vhd, 60, 4)
    made["differencing"].write_bytes(bytes(vhd) + bytes(2048) + bytes(vhd))
    made["odd-size"].write_bytes(gzip.compress(b"x" * 1000))
    made["short-xz"].write_bytes(b"\xfd7zXZ\0")
    made["vhdx-parent"].write_bytes(b"vhdxfile" + bytes(4 * MIB))
    expect = {
        "backing": "is an overlay over another image", "qed-backing": "is an overlay over another",
        "vmdk-backing": "refers to the file", "data-file": "keeps its data in another file",
        "raw-data-file": "keeps its data in another file", "cut qcow2": "is damaged, or a part of it is missing",
        "cut vmdk": "is damaged", "cut vhdx": "truncated", "cut vpc": "truncated",
        "cut vdi": "is cut off", "cut qed": "", "garbage": "", "huge": "has a disk of 1024 PiB", "8 EiB": "cannot be read", "descriptor": "VMDK descriptor",
        "extent": "keeps its data in other files", "twice.gz": "packed twice",
        "cut.gz": "cannot be unpacked", "gz-of-backing.gz": "is an overlay over another image",
        "luks": "", "differencing": "is a differencing disk", "odd-size": "not a multiple of",
        "short-xz": "cannot be unpacked", "vhdx-parent": "cannot be read",
    }
    return {name: (made[name], expect[name]) for name in made}


def test_hostile_files_are_refused_and_leave_nothing(daemon, tmp_path):
    (tmp_path / "made").mkdir()
    for name, (path, says) in hostile_files(tmp_path / "made").items():
        refusal = refusal_of(daemon, path)
        assert says in refusal and "/dev/fd" not in refusal, (name, refusal)
        assert files_of(daemon) == [], name
    assert daemon.ok("image", "list").startswith("no images yet")
    assert not children_of(daemon, "qemu-img")


def test_names_that_qemu_would_take_for_more_than_a_file(daemon, disk, tmp_path):
    for name in ("json:{}", "nbd:localhost:1", "https:x", "-f", "a,b=c", "$(id)", "ä \033[31m"):
        source = tmp_path / name
        run("qemu-img", "convert", "-O", "qcow2", disk, "./in.qcow2")
        Path("in.qcow2").rename(source)
        daemon.ok("image", "import", f"{tmp_path}/{name}", "--name", "x")
        assert show(daemon, "x")["source"] == name.replace("\033", "?")
    assert "\033" not in daemon.ok("image", "show", "x")


def test_labels_rename_and_show(daemon, disk):
    daemon.ok("image", "import", disk, "--name", "debian12", "--label", "os=Debian 12",
              "--label", "role=web")
    daemon.ok("image", "import", disk, "--name", "debian12")
    one, two = (show(daemon, f"debian12@{n}") for n in (1, 2))
    assert one["labels"] == {"os": "Debian 12", "role": "web"} and two["labels"] == {}
    assert one["identity"] != two["identity"] and one["sha256"] == two["sha256"]
    assert "os=Debian 12 role=web" in daemon.ok("image", "list")
    daemon.ok("image", "set", "debian12@1", "--label", "role=db", "--unlabel", "os")
    assert daemon.ok("image", "set", "debian12", "--label", "latest=") == "image debian12@2 is changed\n"
    assert show(daemon, "debian12@1")["labels"] == {"role": "db"}
    assert show(daemon, "debian12@2")["labels"] == {"latest": ""}
    daemon.ok("volume", "create", "v", "--image", "debian12@1", "--copy")
    daemon.ok("image", "rename", "debian12", "bookworm")
    assert show(daemon, "bookworm@1")["identity"] == one["identity"]
    assert "there is no image 'debian12'" in daemon.refused("image", "show", "debian12")
    assert json.loads(daemon.ok("volume", "show", "v", "--json"))["image"] == "bookworm@1"
    assert "volumes made from it: v" in daemon.ok("image", "show", "bookworm@1")
    daemon.ok("image", "import", disk, "--name", "debian12")  # the name is free, its numbers not
    assert show(daemon, "debian12")["reference"] == "debian12@3"
    assert "there is an image 'debian12' already" in daemon.refused(
        "image", "rename", "bookworm", "debian12")
    daemon.ok("image", "remove", "debian12")
    daemon.ok("image", "rename", "bookworm", "debian12")
    daemon.ok("image", "import", disk, "--name", "debian12")
    assert show(daemon, "debian12")["reference"] == "debian12@4"
    daemon.stop()
    daemon.start()
    assert [show(daemon, f"debian12@{n}")["identity"] for n in (1, 2)] == [
        one["identity"], two["identity"]]
    assert daemon.ok("image", "verify").count("is whole") == 3
    daemon.ok("image", "remove", "debian12")
    assert files_of(daemon) == []


@pytest.mark.parametrize("words, says", [
    (["rename", "x", "Y"], "cannot be an image's name"), (["rename", "x", "x"], "already"),
    (["rename", "no", "y"], "there is no image 'no'"), (["rename", "x@1", "y"], "without @1"),
    (["set", "x@7", "--label", "a=b"], "no such image"),
    (["set", "x", "--label", "A=b"], "cannot be a label"),
    (["set", "x", "--label", "a=" + "b" * 256], "more than 255 bytes"),
    (["set", "x", "--label", "a=\033[31m"], "control characters"),
    (["verify", "no"], "there is no image 'no'"), (["verify", "x@9"], "there is no image 'x@9'"),
])
def test_what_is_refused(lab, disk, words, says):
    if "there is no image" in lab.cli("image", "show", "x").stderr:
        lab.ok("image", "import", disk, "--name", "x")
    assert says in lab.refused("image", *words)


@pytest.mark.parametrize("words, says", [
    (["set", "x"], "say what to change"), (["set", "x", "--label", "a"], "is not a label such as"),
    (["set", "x", "--unlabel", "a=b"], "must be the name of a label"),
    (["set", "x", "--label", "a=b", "--unlabel", "a"], "given twice"),
    (["import", "/x", "--name", "x", "--label", "=b"], "is not a label such as"),
    (["rename", "x"], "NEW is missing"),
])
def test_wrong_usage(lab, words, says):
    assert says in lab.usage("image", *words)


def test_verify_finds_a_flipped_bit(daemon, disk):
    daemon.ok("image", "import", disk, "--name", "a")
    daemon.ok("image", "import", disk, "--name", "b")
    assert daemon.ok("image", "verify") == "image a@1 is whole\nimage b@1 is whole\n"
    path = Path(show(daemon, "a")["path"])
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(2 * MIB)
        byte = file.read(1)[0]
        file.seek(2 * MIB)
        file.write(bytes([byte ^ 1]))
    done = daemon.cli("image", "verify")
    assert done.returncode == 1 and done.stdout == "image b@1 is whole\n"
    assert "image 'a@1' is not what was imported any more (its checksum is another)" in done.stderr
    assert "import the image again" in done.stderr
    os.truncate(path, MIB)
    assert "its file has another size" in daemon.refused("image", "verify", "a@1")
    path.unlink()
    assert "cannot be opened" in daemon.refused("image", "verify", "a")
    done = daemon.cli("image", "verify", "b", "--json")
    assert json.loads(done.stdout)["whole"][0]["reference"] == "b@1"


def test_a_version_from_before_gets_its_checksum_on_request(daemon, disk):
    daemon.ok("image", "import", disk, "--name", "old")
    daemon.stop()
    run("sqlite3", daemon.state / "registry.db",
        "UPDATE image_versions SET sha256 = NULL, source = NULL, format = NULL")
    daemon.start()
    assert show(daemon, "old")["sha256"] is None
    assert "not known; nodisk image verify records it" in daemon.ok("image", "show", "old")
    digest = hashlib.sha256(disk.read_bytes()).hexdigest()
    assert daemon.ok("image", "verify") == (
        f"image old@1 had no checksum; from now on it has: {digest}\n")
    assert show(daemon, "old")["sha256"] == digest
    assert daemon.ok("image", "verify", "old") == "image old@1 is whole\n"


@pytest.fixture
def small(tmp_path):
    """A daemon whose state is on a file system of 48 MiB, which nobody else sees."""
    state = tmp_path / "state"
    state.mkdir()
    program = tmp_path / "nodisk-on-small"
    program.write_text('#!/bin/sh\nexec unshare --mount --propagation private sh -c \''
                       'mount -t tmpfs -o size=48M tmpfs "$0" && exec "$@"\' '
                       f'{state} {NODISK} "$@"\n')
    program.chmod(0o755)
    with Daemon(tmp_path / "d", state, str(program)) as daemon:
        yield daemon


def left_on(daemon) -> list[str]:
    """What is in its state directory, as the daemon sees it."""
    root = f"/proc/{daemon.process.pid}/root{daemon.state}/images"
    return sorted(os.listdir(root))


def used_on(daemon) -> int:
    fs = os.statvfs(f"/proc/{daemon.process.pid}/root{daemon.state}")
    return (fs.f_blocks - fs.f_bfree) * fs.f_frsize


def test_a_full_disk(small, tmp_path):
    used = used_on(small)
    big = tmp_path / "big"
    big.write_bytes(os.urandom(40 * MIB) + bytes(24 * MIB))
    tight = tmp_path / "tight"
    tight.write_bytes(os.urandom(60 * MIB))
    cases = {"a bomb": tmp_path / "bomb.gz", "zeroes": tmp_path / "zeroes.gz",
             "tight": tmp_path / "tight.qcow2", "large": tmp_path / "large.qcow2",
             "packed": tmp_path / "packed.gz", "raw": tight}
    cases["a bomb"].write_bytes(gzip.compress(os.urandom(4096) * (256 * 64), 1))
    cases["zeroes"].write_bytes(gzip.compress(bytes(256 * MIB), 1))
    run("qemu-img", "convert", "-O", "qcow2", tight, cases["tight"])
    run("qemu-img", "convert", "-O", "qcow2", big, cases["large"])
    inner = tmp_path / "inner"
    run("qemu-img", "convert", "-O", "qcow2", make_disk(tmp_path / "disk", 46 * MIB), inner)
    cases["packed"].write_bytes(gzip.compress(inner.read_bytes() + os.urandom(42 * MIB), 1))
    says = {"a bomb": "no space left", "zeroes": "larger than the whole file system",
            "tight": "the whole file system", "large": "the whole file system",
            "packed": "space", "raw": "not enough space"}
    for what, path in cases.items():
        refusal = refusal_of(small, path)
        assert says[what] in refusal, (what, refusal)
        assert left_on(small) == []
        wait_until(lambda: used_on(small) <= used + MIB, f"the space of {what}")
    fits = tmp_path / "fits.qcow2"
    run("qemu-img", "convert", "-O", "qcow2", make_disk(tmp_path / "fits"), fits)
    small.ok("image", "import", fits, "--name", "x")  # and goes on working


def test_space_that_runs_out_while_qemu_writes(small, tmp_path):
    source, filler = tmp_path / "source", tmp_path / "filler"
    source.write_bytes(os.urandom(30 * MIB))
    filler.write_bytes(os.urandom(30 * MIB))
    run("qemu-img", "convert", "-O", "qcow2", source, tmp_path / "source.qcow2")
    small.ok("image", "import", filler, "--name", "filler")
    assert "space" in refusal_of(small, tmp_path / "source.qcow2")
    assert left_on(small) == ["filler"]


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """An image that takes a while to convert: compressed, and much of it."""
    directory = tmp_path_factory.mktemp("slow")
    raw = directory / "raw"
    with raw.open("wb") as file:
        block = os.urandom(MIB)
        for n in range(256):
            file.write(n.to_bytes(8, "big") + block[8:MIB // 2] + bytes(MIB // 2))
    run("qemu-img", "convert", "-c", "-O", "qcow2", raw, directory / "slow.qcow2")
    os.truncate(raw, 128 * MIB)  # xz takes longer
    packed = subprocess.run(["xz", "-0c", raw], capture_output=True, check=True).stdout
    (directory / "slow.xz").write_bytes(packed)
    raw.unlink()
    return directory


def begin_slow(daemon, slow, program):
    source = slow / {"qemu-img": "slow.qcow2", "xz": "slow.xz"}[program]
    cli = subprocess.Popen([NODISK, "--socket", daemon.socket, "image", "import", source, "--name",
                            "slow"], stderr=subprocess.PIPE, text=True)
    file = daemon.state / "images/slow/1.raw.tmp"

    def at_work():
        assert cli.poll() is None, "it was too fast to be interrupted"
        return file.exists() and file.stat().st_blocks > 8 and children_of(daemon, program)

    wait_until(at_work, f"{program} at work", 60)
    return cli, children_of(daemon, program)


@pytest.mark.parametrize("program", ["qemu-img", "xz"])
def test_ctrl_c_leaves_nothing(daemon, slow, program):
    cli, children = begin_slow(daemon, slow, program)
    cli.send_signal(signal.SIGINT)
    assert "undoes what was not finished" in cli.communicate(timeout=60)[1]
    wait_until(lambda: files_of(daemon) == [], "nothing left")
    wait_until(lambda: all(map(is_gone, children)), "no child left")
    assert daemon.ok("image", "list").startswith("no images yet")


@pytest.mark.parametrize("program", ["qemu-img", "xz"])
def test_kill_9_of_the_daemon_leaves_nothing(daemon, slow, program):
    cli, children = begin_slow(daemon, slow, program)
    daemon.kill()
    assert cli.wait(60) == 1
    cli.stderr.close()
    wait_until(lambda: all(map(is_gone, children)), "no child outlives it")
    daemon.start()
    assert files_of(daemon) == []
    assert daemon.ok("image", "list").startswith("no images yet")


def test_a_stop_of_the_daemon_leaves_nothing(daemon, slow):
    cli, children = begin_slow(daemon, slow, "qemu-img")
    daemon.stop()
    assert "is being stopped" in cli.communicate(timeout=60)[1]
    wait_until(lambda: all(map(is_gone, children)), "no child outlives it")
    daemon.start()
    assert files_of(daemon) == []


def test_an_image_that_somebody_has_open_for_writing(daemon, disk, tmp_path):
    source = tmp_path / "open.qcow2"
    run("qemu-img", "convert", "-O", "qcow2", disk, source)
    nbd = subprocess.Popen(["qemu-nbd", "--socket", tmp_path / "nbd", "-f", "qcow2", source])
    try:
        wait_until((tmp_path / "nbd").exists, "qemu-nbd")
        assert "is in use by another program" in daemon.refused("image", "import", source, "--name",
                                                                "x")
    finally:
        nbd.terminate()
        nbd.wait(60)
    daemon.ok("image", "import", source, "--name", "x")


def test_each_stage_is_told_however_short_it_is(daemon, disk, tmp_path):
    source = tmp_path / "x.qcow2"
    run("qemu-img", "convert", "-O", "qcow2", disk, source)
    lines = daemon.post("/v1/images", name="x", path=str(source)).lines
    told = [line["progress"] for line in lines[:-1]]
    stages = [name for name, _ in itertools.groupby(told, key=lambda progress: progress["stage"])]
    assert stages == [None, "checking", "converting", "computing the checksum"]
    for stage in stages:
        done = [progress["done"] for progress in told if progress["stage"] == stage]
        assert done == sorted(done)
    assert told[-1]["done"] == told[-1]["total"] == SIZE


def test_the_bar_tells_the_stages(daemon, slow):
    done = daemon.cli("image", "import", slow / "slow.qcow2", "--name", "x")
    assert done.returncode == 0
    lines = re.findall(r"importing x, (.*): (\d+) %", done.stderr)
    assert lines[-1] == ("computing the checksum", "100")
    for stage in {stage for stage, _ in lines}:
        percents = [int(percent) for name, percent in lines if name == stage]
        assert percents == sorted(percents) and percents[-1] <= 100


def test_without_the_program_it_is_told(tmp_path, disk):
    """A daemon that sees no qemu-img."""
    source = tmp_path / "x.qcow2"
    run("qemu-img", "convert", "-O", "qcow2", disk, source)
    program = tmp_path / "nodisk-without"
    program.write_text("#!/bin/sh\nexec unshare --mount --propagation private sh -c '"
                       "mount --bind /dev/null /usr/bin/qemu-img && exec \"$0\" \"$@\"' "
                       f"{NODISK} \"$@\"\n")
    program.chmod(0o755)
    with Daemon(tmp_path / "d", program=str(program)) as daemon:
        assert "install it (apt install qemu-utils)" in daemon.refused(
            "image", "import", source, "--name", "x")
        daemon.ok("image", "import", disk, "--name", "x")


def test_time_is_counted_for_users_of_an_image(daemon, disk):
    daemon.ok("image", "import", disk, "--name", "x")
    row = daemon.ok("image", "list").splitlines()[1].split()
    assert row[0] == "x@1" and row[5] == "0"
    assert time.time() - show(daemon, "x")["created_at"] / 1e6 < 3600
