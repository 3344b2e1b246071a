"""libiscsi's conformance tests (iscsi-test-cu) against any target.

Each suite runs in a process of its own: a test that gives up half-way (of CompareAndWrite, say)
would spoil those behind it, and one that hangs takes only its suite with it.
"""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .process import LabError

PROGRAM = "iscsi-test-cu"
SECONDS = 300  # after which a suite hangs


@dataclass(frozen=True)
class Outcome:
    """What a test came to."""

    test: str  # Suite.Test
    verdict: str  # passed, failed, skipped, hung or died
    detail: str = ""  # why it was skipped, or what it said

    @property
    def reason(self) -> str:
        """In a line."""
        return " ".join(self.detail.split())[:300]


def with_mutual_chap(url: str, user: str, secret: str, target_user: str, target_secret: str) -> str:
    """The URL with credentials, as libiscsi writes them."""
    return (url.replace("iscsi://", f"iscsi://{user}%{secret}@")
            + f"?target_user={target_user}&target_password={target_secret}")


def tests_by_suite(family: str = "ALL") -> dict[str, list[str]]:
    """All that the installed suite has."""
    suites: dict[str, list[str]] = {}
    for line in subprocess.run([PROGRAM, "--list"], capture_output=True, text=True, check=True).stdout.split():
        words = line.split(".", 2)
        if words[0] == family and len(words) == 3:
            suites.setdefault(words[1], []).append(words[2])
    if not suites:
        raise LabError(f"{PROGRAM} lists no tests")
    return suites


def _outcome(suite: str, text: str) -> Outcome:
    """From what the program said of one test, which begins with its name."""
    name, _, rest = text.partition(" ...")
    verdict = re.search(r"(passed|FAILED)(?=\s)", rest)
    if not verdict:
        return Outcome(f"{suite}.{name}", "died", rest)
    said = rest[:verdict.start()]
    if "[SKIPPED]" in said and verdict[1] == "passed":
        return Outcome(f"{suite}.{name}", "skipped", said.split("[SKIPPED]")[1])
    return Outcome(f"{suite}.{name}", verdict[1].lower(), said + rest[verdict.end():])


def run_suite(suite: str, tests: list[str], urls: tuple[str, ...], options: tuple[str, ...] = (),
              environment: dict[str, str] | None = None) -> list[Outcome]:
    """Every test of a suite, with all paths that urls gives."""
    words = [PROGRAM, "--dataloss", "--ignore", "--verbose", *options, f"--test=ALL.{suite}", *urls]
    hung = False
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                              timeout=SECONDS, env={**os.environ, **(environment or {})})
        output = done.stdout
    except subprocess.TimeoutExpired as expired:
        output, hung = expired.stdout or b"", True
    text = output.decode(errors="replace")
    told = {o.test: o for o in (_outcome(suite, part)
                                for part in re.split(r"^ +Test: (?=\S+ \.\.\.)", text, flags=re.MULTILINE)[1:])}
    missing = "hung" if hung else "died"
    outcomes = [told.get(f"{suite}.{test}", Outcome(f"{suite}.{test}", missing, text[-500:])) for test in tests]
    return [Outcome(o.test, missing, o.detail) if o.verdict == "died" else o for o in outcomes]


def run_all(urls: tuple[str, ...], options: tuple[str, ...] = (), environment: dict[str, str] | None = None,
            wanted: Callable[[str], bool] = lambda suite: True) -> Iterator[Outcome]:
    """Every test of every suite that is wanted."""
    for suite, tests in tests_by_suite().items():
        if wanted(suite):
            yield from run_suite(suite, tests, urls, options, environment)
