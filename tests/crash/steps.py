"""What is done to the daemon at one of its steps: see preload_steps.c."""

import errno
import mmap
import os
import struct
from pathlib import Path

COUNT, KILL_BEFORE, KILL_BEHIND, FAIL_ONCE, FAIL_FROM_THERE, SHORTEN = range(6)
NAMES = ("counted", "killed before", "killed behind", "failed once", "failing from there on", "shortened")
_HEADER = struct.Struct("=7I")
_SIZE = 256
ROOT = Path(__file__).resolve().parents[2]
PRELOAD = os.environ.get("NODISK_PRELOAD", str(ROOT / "build/tests/crash/libpreload_steps.so"))


class Steps:
    """The memory that the test and the daemon share."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(bytes(_SIZE))
        with path.open("r+b") as file:
            self.map = mmap.mmap(file.fileno(), _SIZE)

    @property
    def prefix(self) -> tuple[str, ...]:
        """The words before the program."""
        asan = os.environ.get("ASAN_OPTIONS", "detect_leaks=1") + ":verify_asan_link_order=0"
        return ("env", f"LD_PRELOAD={PRELOAD}", f"NODISK_STEPS={self.path}", f"ASAN_OPTIONS={asan}")

    def arm(self, at: int, action: int, error: int = errno.EIO, ring: bool = False) -> None:
        """Counting begins."""
        self.map[:] = bytes(_SIZE)
        self.map[4:28] = _HEADER.pack(0, 0, at, action, error, ring, 0)[4:]
        self.map[0:4] = struct.pack("=I", 1)

    def disarm(self) -> None:
        """Nothing happens any more."""
        self.map[0:4] = bytes(4)

    @property
    def count(self) -> int:
        """Steps since it was armed."""
        return _HEADER.unpack(self.map[:28])[1]

    @property
    def hit(self) -> bool:
        """Has a call failed?"""
        return _HEADER.unpack(self.map[:28])[6] > 0

    @property
    def what(self) -> str:
        """The call that it was about."""
        return self.map[28:].split(b"\0")[0].decode(errors="replace")
