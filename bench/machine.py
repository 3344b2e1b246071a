"""The machine that something was measured on, and the versions of what was."""

import os
import platform
import re
import subprocess
import time
from pathlib import Path


def _output(*command: object) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _system() -> str:
    lines = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return lines.get("PRETTY_NAME", "Linux").strip('"')


def describe(program: Path) -> dict[str, str]:
    """All that somebody needs who wants the same figures."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB of memory",
        "system": f"{_system()}, Linux {platform.release()}",
        "nodisk": _output(program, "--version").removeprefix("nodisk").strip() or "unknown",
        "tgt": _output("dpkg-query", "-W", "-f", "${Version}", "tgt") or "none",
        "load": f"{os.getloadavg()[0]:.1f} before",
    }


def sentence(machine: dict[str, str]) -> str:
    """The same for people."""
    return (f"{machine['date']}; {machine['processor']}; {machine['system']}; nodisk {machine['nodisk']}, "
            f"tgt {machine['tgt']}; load {machine['load']}.")
