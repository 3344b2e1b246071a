"""Child processes that never outlive the test: stopped by their id, in order."""

import contextlib
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path


class LabError(Exception):
    """Something in the laboratory is not as it must be; the text says what to do."""


def require(tools: dict[str, str]) -> None:
    """Checks that programs are there. TOOLS maps a program to its Debian package."""
    missing = sorted({package for tool, package in tools.items()
                      if not shutil.which(tool, path="/usr/sbin:/sbin:/usr/bin:/bin")})
    if missing:
        raise LabError("packages are missing; run: apt-get install " + " ".join(missing))


def run(*command: object, check: bool = True, timeout: float = 60,
        stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end; upon failure its own words are in the error."""
    words = [str(word) for word in command]
    done = subprocess.run(words, text=True, capture_output=True, timeout=timeout, input=stdin,
                          stdin=subprocess.DEVNULL if stdin is None else None, check=False)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(words)} failed (exit {done.returncode}): "
                       f"{done.stderr.strip() or done.stdout.strip()}")
    return done


class Process:
    """A running program with its output in a file."""

    def __init__(self, name: str, command: list[object], log: Path,
                 env: dict[str, str] | None = None) -> None:
        """Starts COMMAND. It dies with us, whatever becomes of us (pdeathsig).

        "Us" is the thread that starts it, so that has to be the main thread.
        """
        if threading.current_thread() is not threading.main_thread():
            raise LabError(f"{name} would end with this thread: start it in the main thread")
        self.name = name
        self.log = log
        with log.open("ab") as out:
            self.child = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *(str(word) for word in command)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env,
                start_new_session=True)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.child.pid

    def alive(self) -> bool:
        """Whether it still runs."""
        return self.child.poll() is None

    def output(self) -> str:
        """All that it has said."""
        return self.log.read_text(errors="replace")

    def cpu_seconds(self) -> float:
        """User and system time that it has used, its waited-for children included."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(int(field) for field in fields[11:15]) / 100

    def stop(self, timeout: float = 10) -> int:
        """SIGTERM, then SIGKILL; returns its exit status."""
        if self.alive():
            self.child.terminate()
            try:
                self.child.wait(timeout)
            except subprocess.TimeoutExpired:
                self.child.kill()
        return self.child.wait()

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        if self.alive():
            self.child.kill()
        self.child.wait()

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def wait_until(what: str, condition, timeout: float, step: float = 0.05):
    """Waits until CONDITION() is true and returns its value."""
    end = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > end:
            raise LabError(f"{what}: not within {timeout:.0f} seconds")
        time.sleep(step)
    return value


@contextlib.contextmanager
def clean_exit() -> Iterator[None]:
    """Lets SIGTERM unwind the stack as Ctrl-C does, so that everything is cleaned up."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
