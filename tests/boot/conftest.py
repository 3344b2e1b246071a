"""What the boot tests share: the golden image, a laboratory, a boot server.

    pytest-3 tests/boot [-m 'not full'] [--server nodisk|today] [--golden FILE]
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from lab.netns import Namespace  # noqa: E402
from lab.nodisk import Nodisk  # noqa: E402
from lab.peers import ADDRESS, Server, Today  # noqa: E402
from lab.prepared import make_prepared  # noqa: E402
from lab.process import clean_exit  # noqa: E402

PASSWORD = "nodisk"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Our options."""
    parser.addoption("--server", default="nodisk", choices=["nodisk", "today"],
                     help="who serves the nodes (today: dnsmasq, nginx and tgt)")
    parser.addoption("--golden", type=Path, help="a golden image that is there already "
                     f"(root's password: {PASSWORD})")


def pytest_configure(config: pytest.Config) -> None:
    """Our marks."""
    config.addinivalue_line("markers", "full: takes many minutes; leave out with -m 'not full'")


@pytest.fixture(scope="session", autouse=True)
def _clean_exit() -> Iterator[None]:
    with clean_exit():
        yield


@pytest.fixture(scope="session")
def golden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The golden image of the tests: small and quick, for virtio cards."""
    given = request.config.getoption("--golden")
    if given:
        yield given
        return
    image = tmp_path_factory.mktemp("golden") / "golden.raw"
    subprocess.run([ROOT / "image/debian12/build", "--kernel", "cloud-amd64",
                    "--root-password", PASSWORD, image], check=True)
    yield image
    image.unlink()


@pytest.fixture(scope="session")
def prepared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The golden image, or a disk of the plain Debian that a test names (lab.prepared.SYSTEMS), prepared."""
    if request.param == "golden":
        yield request.getfixturevalue("golden")
        return
    work = tmp_path_factory.mktemp(request.param)
    yield make_prepared(request.param, work)
    shutil.rmtree(work)


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Namespace]:
    """A network of our own; its disks are removed at the end, its logs are kept."""
    with Namespace(tmp_path / "lab", "test") as lab:
        lab.add_bridge(f"{ADDRESS}/24", "fd77::1/64")
        try:
            yield lab
        finally:
            for disk in lab.work.rglob("*.raw"):
                disk.unlink()


@pytest.fixture
def daemon(namespace: Namespace) -> Iterator[Nodisk]:
    """A daemon that runs."""
    nodisk = Nodisk(namespace, namespace.work / "nodisk")
    nodisk.start()
    yield nodisk
    nodisk.stop()


@pytest.fixture
def server(request: pytest.FixtureRequest, namespace: Namespace) -> Iterator[Server]:
    """The boot server that was asked for; nodes are to be added before its start."""
    if request.config.getoption("--server") == "today":
        chosen: Server = Today(namespace, router_advertisements=True)
    else:
        chosen = Nodisk(namespace, namespace.work / "nodisk")
    yield chosen
    chosen.stop()
