"""What the tests that kill the daemon have in common."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "protocol"))

from iscsilab import SanDaemon  # noqa: E402


@pytest.fixture
def daemon(tmp_path):
    d = SanDaemon(tmp_path / "d").start()
    yield d
    if d.process:
        d.kill()
