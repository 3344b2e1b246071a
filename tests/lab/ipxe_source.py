"""iPXE, built from its sources with what Debian's has not: HTTPS, and a certificate that it trusts."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

#: The ROM of QEMU's virtio-net-pci.
ROM = "bin/1af41000.rom"

SOURCES = "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian {codename} main\n"


def _codename() -> str:
    words = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return words.get("VERSION_CODENAME", "stable").strip('"')


def _fetch(work: Path) -> Path | None:
    """Debian's source package, with lists of its own; None if no mirror has it."""
    work.mkdir()
    (work / "list").write_text(SOURCES.format(codename=_codename()))
    (work / "lists/partial").mkdir(parents=True)
    (work / "cache/archives/partial").mkdir(parents=True)
    apt = ["apt-get", "-q", "-o", f"Dir::Etc::sourcelist={work}/list", "-o", "Dir::Etc::sourceparts=/dev/null",
           "-o", f"Dir::State::lists={work}/lists", "-o", f"Dir::Cache={work}/cache", "-o", "APT::Sandbox::User=root"]
    for words in (["update"], ["source", "ipxe"]):
        if subprocess.run([*apt, *words], cwd=work, capture_output=True, timeout=600, check=False).returncode != 0:
            return None
    return next((path for path in work.glob("ipxe-*") if path.is_dir()), None)


def ipxe_source(work: Path) -> Path:
    """A copy of NODISK_IPXE_SOURCE (a tree of iPXE), or Debian's package; the test is skipped without either."""
    named = os.environ.get("NODISK_IPXE_SOURCE")
    if named:
        shutil.copytree(named, work / "ipxe", symlinks=True)
        return work / "ipxe/src"
    found = _fetch(work / "package") if shutil.which("dpkg-source") and shutil.which("make") else None
    if not found:
        pytest.skip("no source package of iPXE can be had (NODISK_IPXE_SOURCE=DIRECTORY for a tree of it)")
    return found / "src"


def build_with_https(source: Path, authority: Path) -> Path:
    """The ROM; it trusts this certificate and no other."""
    local = source / "config/local"
    local.mkdir(parents=True, exist_ok=True)
    general = local / "general.h"
    if not general.exists() or "HTTPS" not in general.read_text():
        with general.open("a") as file:
            file.write("#define DOWNLOAD_PROTO_HTTPS\n")
    done = subprocess.run(["make", "-j2", "NO_WERROR=1", ROM, f"TRUST={authority}", f"CERT={authority}"], cwd=source,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return source / ROM
