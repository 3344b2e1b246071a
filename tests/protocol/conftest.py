"""What the protocol tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from netlab import NetLab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[NetLab]:
    """Network namespaces of the test's own, in which a daemon is started by lab.daemon()."""
    lab = NetLab(tmp_path)
    yield lab
    lab.close()
