"""The replayer of bench/storm: twenty nodes boot at once as a real one did, and none of them needs a second try."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.nodisk import Nodisk  # noqa: E402
from lab.peers import Node, Today  # noqa: E402
from lab.storm import CONFIG, TRACES, Storm, StormNet, StormNode, find_replayer, register  # noqa: E402

NODES = 20
IMAGE_SIZE = 3 << 30  # of the image that was recorded

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for network namespaces")


@pytest.fixture
def net(tmp_path):
    with StormNet(tmp_path, "storm") as net:
        yield net


@pytest.fixture
def image(tmp_path):
    """It has data here and there."""
    image = tmp_path / "image.raw"
    with image.open("wb") as file:
        for at in range(0, IMAGE_SIZE, IMAGE_SIZE // 16):
            file.seek(at)
            file.write(os.urandom(1 << 16))
        file.truncate(IMAGE_SIZE)
    return image


@pytest.fixture
def nodisk(net, tmp_path, image):
    """The daemon, with a node for each."""
    nodisk = Nodisk(net.server, tmp_path / "nodisk", config=CONFIG)
    nodisk.start(60)
    register(nodisk, [StormNode(n) for n in range(NODES)], nodisk.import_image(image))
    yield nodisk
    nodisk.stop()


def test_every_node_is_up_at_the_first_try(net, nodisk):
    """Through all four protocols; with a patience that a busy machine does not use up."""
    trace = TRACES / "debian12-uefi.trace"
    report = Storm(trace, NODES, pace=0, patience=300, timeout=900).run(net)
    log = (net.server.work / "storm.log").read_text()
    assert report["up"] == NODES and report["retried"] == 0, f"{report}\n{log}"
    steps = [line.split()[0] for line in trace.read_text().splitlines() if not line.startswith("#")]
    commands = sum(step in ("read", "write", "scsi") for step in steps)
    assert report["commands"] == NODES * commands
    assert all(node["boot"]["stage"] == "up" for node in nodisk.json("status")["nodes"])


def test_they_are_no_friends_of_nodisk_alone(net, image):
    """Somebody else's servers boot them as well."""
    today = Today(net.server, crowd=3)
    today.folder.mkdir(parents=True)
    today.nodes = [Node(node.name, node.mac, node.address, image) for node in map(StormNode, range(3))]
    today.start()
    try:
        report = Storm(TRACES / "debian12-bios.trace", 3, pace=0, patience=300, timeout=900).run(net)
        assert report["up"] == 3, f"{report}\n{(net.server.work / 'storm.log').read_text()}"
        assert all(today.reported_up(node) for node in today.nodes)
    finally:
        today.stop()


def test_nodes_that_nobody_serves(net):
    """They ask and ask again, and are told of."""
    report = Storm(TRACES / "debian12-uefi.trace", 3, pace=0, patience=0.01, timeout=1).run(net)
    assert report["up"] == 0 and report["failed"] == 3
    assert report["retried"] == 3 and report["dhcp_retries"] >= 3


@pytest.mark.parametrize("line", ["dhcp 1 0 nobody 7 8000 0", "read 1 0 1 0 8", "read 0 0 1 0 8", "dance 1 0 1",
                                  "login 1 0 9 00023d000001 87 -", "scsi 1 0 1 12 36 -", "tftp 1 0 get 70000 1"])
def test_a_trace_that_is_none(tmp_path, line):
    """An error with the line."""
    trace = tmp_path / "trace"
    trace.write_text(f"# a trace\ntftp 1 0 get 1468 4\n{line}\n")
    done = subprocess.run([find_replayer(), "--trace", trace, "--interface", "lo"], capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 1 and f"{trace}, line 3" in done.stderr


def test_the_measurement_of_addresses(tmp_path):
    """bench/dhcp, with few machines: all of them are served by nodisk, in the flood, too."""
    bench = Path(__file__).resolve().parents[2] / "bench/dhcp"
    done = subprocess.run([sys.executable, bench, "--nodes", "20", "--rounds", "1", "--flood-seconds", "1",
                           "--rate", "2000", "--json"], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    every = json.loads(done.stdout)
    for kind in ("storm", "flood"):
        assert [report["up"] for report in every[kind]["nodisk"]] == [NODES]
        assert len(every[kind]["dnsmasq"]) == 1
    assert every["flood"]["nodisk"][0]["flood_rate"] > 0
