"""What the guest tests share: one Debian in QEMU with Linux's own initiator, and nodisk beside it.

    sudo script/test guest          (or: /usr/bin/python3 -m pytest tests/guest -k NAME -s)

The guest boots once, from a local disk; each test has volumes of its own. Everything is slow here
(no hardware acceleration), so the time-outs are long and nothing depends on a time.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from guest.guest import PACKAGES, PASSWORD, PORTALS, Guest  # noqa: E402
from lab.netns import Namespace  # noqa: E402
from lab.nodisk import Nodisk  # noqa: E402
from lab.process import clean_exit  # noqa: E402
from lab.qemu import Machine  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def _clean_exit() -> Iterator[None]:
    with clean_exit():
        yield


@pytest.fixture(scope="session")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """The guest, logged in, with the network of both portals; the daemon runs."""
    work = tmp_path_factory.mktemp("guest")
    image = work / "guest.raw"
    subprocess.run([ROOT / "image/debian12/build", "--kernel", "cloud-amd64", "--root-password", PASSWORD,
                    "--include", ",".join(PACKAGES), image], check=True)
    with Namespace(work / "lab", "guest") as namespace:
        namespace.add_bridge(*(f"{address}/24" for address in PORTALS))
        server = Nodisk(namespace, namespace.work / "nodisk")
        server.start()
        try:
            with Machine(namespace, "guest", "52:54:00:77:4e:61", disk=image) as machine:
                machine.login(timeout=900)
                yield Guest(machine, server)
        finally:
            server.stop()
            for disk in work.rglob("*.raw"):
                disk.unlink()


@pytest.fixture(autouse=True)
def _no_violations(guest: Guest) -> Iterator[None]:
    """Whatever a test did, the daemon has seen no PDU that breaks the standard."""
    yield
    assert guest.counters()["violations"] == 0
