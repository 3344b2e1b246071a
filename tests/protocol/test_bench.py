"""The measuring tools of bench/: that they ask for what they say, count it, and see what is wrong.

No speed is looked at here.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import xml.etree.ElementTree
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from daemon import BASE_IQN, NODISK, ROOT
from iscsilab import MIB, SanDaemon, Volume

sys.path.insert(0, str(ROOT / "bench"))
from charts import Chart  # noqa: E402
from workloads import TGT, WORKLOADS  # noqa: E402

BENCH = Path(NODISK).parent / "bench"
SIZE = 4 * MIB
INITIATOR = f"{BASE_IQN}:load%d"


class Load:
    """bench_load with a target."""

    def __init__(self, portal: str, target: str) -> None:
        self.words = [str(BENCH / "bench_load"), "--portal", portal, "--target", target, "--initiator", INITIATOR,
                      "--requests", "300", "--seconds", "0.2", "--warm-up", "0", "--json"]

    def try_it(self, *options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self.words, *map(str, options)], capture_output=True, text=True, timeout=300)

    def __call__(self, *options: object) -> dict:
        """What it says; it must end well."""
        done = self.try_it(*options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    with SanDaemon(tmp_path_factory.mktemp("bench") / "d", iscsi="login-timeout = 120\n") as d:
        yield d


@pytest.fixture(scope="module")
def disk(daemon) -> Volume:
    return daemon.volume("disk", size=SIZE, allow=("any",))


@pytest.fixture(scope="module")
def load(daemon, disk) -> Load:
    load = Load(f"{disk.portal[0]}:{disk.portal[1]}", disk.target)
    load("--fill", "--block", "64K")
    return load


@contextlib.contextmanager
def ceiling(file: Path, *options: str) -> Iterator[Load]:
    """A bench_ceiling that serves the file."""
    words = [str(BENCH / "bench_ceiling"), "--listen", "127.0.0.1:0", "--size", str(SIZE), "--file", str(file), *options]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield Load(child.stdout.readline().strip(), f"{BASE_IQN}:any")
            assert child.poll() is None
        finally:
            child.kill()


@pytest.fixture
def random_file(tmp_path) -> Path:
    path = tmp_path / "data"
    path.write_bytes(os.urandom(SIZE))
    return path


@pytest.mark.parametrize("options", [
    ("--depth", 16, "--reads", 50),
    ("--depth", 4, "--reads", 50, "--block", "256K", "--digests", "crc32c"),
    ("--depth", 4, "--reads", 50, "--block", "512K", "--segment", "8K", "--initial-r2t", "--no-immediate"),
    ("--sessions", 20, "--order", "sequential", "--block", "16K"),
], ids=["small", "digests", "r2t", "many"])
def test_what_is_read_is_what_was_written(load, options):
    figures = load("--verify", *options)
    assert figures["reads"] > 0 and figures["errors"] == figures["mismatches"] == 0
    assert ("--reads" in options) == (figures["writes"] > 0)


def forward(source: socket.socket, sink: socket.socket) -> int:
    """Until its end; how many bytes."""
    count = 0
    while data := source.recv(65536):
        sink.sendall(data)
        count += len(data)
    sink.shutdown(socket.SHUT_WR)
    return count


@pytest.mark.parametrize("block", [4096, 65536])
def test_counts_are_those_of_the_wire(disk, load, block):
    """Data are counted while it measures: all but what a moment more than that time takes."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(3) as pool:
        listener.settimeout(60)
        done = pool.submit(Load(f"127.0.0.1:{listener.getsockname()[1]}", disk.target), "--block", block)
        near, _ = listener.accept()
        with near, socket.create_connection(disk.portal) as far:
            pool.submit(forward, near, far)
            received = pool.submit(forward, far, near).result(timeout=300)
        figures = done.result(timeout=300)
    assert figures["received"] == ("discarded" if block > 16384 else "copied")
    # another read was under way when it was enough; the login and the first commands are small
    assert 0 < figures["reads"] * block < received < (figures["reads"] + 3) * (block + 48) + 4096


def test_a_wrong_byte_is_noticed(load, disk):
    with disk.path.open("r+b") as file:
        file.seek(MIB + 1234)
        before = file.read(1)
        file.seek(MIB + 1234)
        file.write(bytes([before[0] ^ 1]))
        file.flush()
        try:
            done = load.try_it("--verify", "--order", "sequential", "--block", "64K", "--depth", 64)
        finally:
            file.seek(MIB + 1234)
            file.write(before)
    assert done.returncode == 1
    assert f"the byte at {MIB + 1234} is not what it must be" in done.stderr
    assert json.loads(done.stdout)["mismatches"] > 0


def test_errors_are_told(load, disk, tmp_path):
    missing = Load(load.words[2], f"{BASE_IQN}:nobody").try_it()
    assert missing.returncode == 1 and "the login was refused: status 0203" in missing.stderr
    beyond = load.try_it("--span", SIZE + 4096)
    assert beyond.returncode == 1 and "the LU has" in beyond.stderr
    assert load.try_it("--block", "4000").returncode == 1
    assert load.try_it("--depth", "many").returncode == 2


def test_a_refused_write_is_an_error(daemon, tmp_path):
    image = tmp_path / "image"
    image.write_bytes(bytes(SIZE))
    volume = daemon.volume("locked", file=str(image), read_only=True, allow=("any",))
    done = Load(f"{volume.portal[0]}:{volume.portal[1]}", volume.target).try_it("--reads", 0)
    assert done.returncode == 1 and "sense 7/27/" in done.stderr  # data protect
    assert json.loads(done.stdout)["errors"] > 0


def test_storm_and_idle(daemon, load):
    before = daemon.counter("logins")
    storm = load("--login-storm", 4, "--sessions", 3, "--pid", daemon.process.pid)
    assert 0 < storm["logins"] < daemon.counter("logins") - before and storm["target_us"] > 0
    idle = load("--idle", "--sessions", 10, "--pid", daemon.process.pid)
    assert idle["memory_bytes"] > 0
    daemon.wait_for("sessions", 0)


@pytest.mark.parametrize("how", [
    ("--from", "memory"), ("--from", "page-cache"), ("--from", "sendfile")], ids=lambda how: how[1])
def test_ceilings(random_file, how):
    with ceiling(random_file, *how) as load:
        for options in (("--depth", 32), ("--depth", 4, "--block", "256K"), ("--sessions", 30)):
            figures = load("--against", random_file, *options)
            assert figures["reads"] > 0 and figures["mismatches"] == 0
        assert load("--reads", 0, "--depth", 8)["writes"] > 0
        assert load("--login-storm", 4)["logins"] > 0


def test_a_ceiling_that_writes(random_file):
    """With digests, too; and the bytes are in the file."""
    with ceiling(random_file, "--from", "page-cache", "--writes", "file") as load:
        figures = load("--fill", "--verify", "--reads", 50, "--depth", 8, "--digests", "crc32c")
        assert figures["writes"] > 0 and figures["mismatches"] == 0
    with ceiling(random_file, "--from", "memory", "--writes", "memory") as load:
        assert load("--verify", "--reads", 50, "--block", "64K")["mismatches"] == 0


def test_a_report_of_what_was_measured(tmp_path):
    """tgt does half of what the others do, and each request costs it four times as much."""
    def rounds(unit: str, who: str) -> list[dict | None]:
        value, cost = (50, 40) if who == TGT else (100, 10)
        figures = {"p50_us": 1, "p99_us": 2, "target_percent": 0, "target_us": cost, unit: value}
        return [figures, {**figures, unit: value * 10}, {**figures, unit: value * 3}]
    kept = tmp_path / "kept"
    kept.write_text(json.dumps({
        "machine": {"date": "today", "processor": "p", "system": "s", "nodisk": "1", "tgt": "2", "load": "0"},
        "rounds": 3, "seconds": 1, "span": 1 << 20,
        "workloads": {one.key: {who: rounds(one.unit, who) for who in one.who} for one in WORKLOADS}}))
    done = subprocess.run(["/usr/bin/python3", ROOT / "bench/target", "--again", kept], capture_output=True, text=True,
                          timeout=300, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines() if "|" in line]
    first = next(row for row in rows if row[:2] == ["4 KiB random read, QD32", "image"])
    assert first[2:] == ["300", "150", "2.00", "10.0", "40.0", "0.25", "10.0", "1.00", "page-cache"]
    titles = {row[0] for row in rows}
    assert {one.title for one in WORKLOADS if one.unit in ("iops", "mb_per_s") and TGT in one.who} <= titles


def test_a_chart():
    """A bar for each value that there is, as long as the value is large."""
    svg = Chart("a < b", ["x", "y"], [("one", [1.0, 2.0]), ("two", [None, 4.0])], " us", 1).svg()
    root = xml.etree.ElementTree.fromstring(svg)
    bars = [element for element in root.iter("{http://www.w3.org/2000/svg}rect") if element.get("height") == "12"]
    widths = [float(bar.get("width", "0")) for bar in bars]
    assert len(widths) == 3
    assert widths[1] == pytest.approx(2 * widths[0], abs=1) and widths[2] == pytest.approx(4 * widths[0], abs=1)
