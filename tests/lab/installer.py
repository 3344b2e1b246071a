"""Debian's installer as apt's mirror has it, with what an installation over iSCSI takes beside its initrd."""

import re
import shutil
import struct
import subprocess
from pathlib import Path

from .prepared import plain_tar
from .process import LabError

#: Where the package debian-installer-12-netboot-amd64 has them.
NETBOOT = Path("/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64")
KERNEL, INITRD = NETBOOT / "linux", NETBOOT / "initrd.gz"
SOURCES = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirror} bookworm main/debian-installer\n"
#: A program with its libraries lies here in the initrd.
PLACE = "nodisk"


def mirror() -> str:
    """Where apt has Debian from."""
    for path in [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]:
        found = re.search(r"^(?:URIs:|deb(?: \[.*?\])?) *(http\S+/debian)/?(?:\s|$)",
                          path.read_text() if path.is_file() else "", re.MULTILINE)
        if found:
            return found[1]
    raise LabError("apt has no mirror of Debian over HTTP here")


def kernel_release() -> str:
    """Of the installer's kernel, as its modules call it."""
    data = KERNEL.read_bytes()
    at = struct.unpack_from("<H", data, 0x20e)[0] + 0x200  # Linux' Documentation/arch/x86/boot.rst
    return data[at:at + 256].split(b" ", 1)[0].decode()


def fetch_udebs(work: Path, names: list[str]) -> None:
    """Components of the installer, unpacked into WORK/tree, by an apt of our own."""
    (work / "sources.list").write_text(SOURCES.format(mirror=mirror()))
    for name in ("lists/partial", "cache/archives/partial", "tree"):
        (work / name).mkdir(parents=True)
    options = ["-o", f"Dir::Etc::SourceList={work}/sources.list", "-o", "Dir::Etc::SourceParts=-",
               "-o", f"Dir::State::Lists={work}/lists", "-o", f"Dir::Cache={work}/cache"]
    for words in (["update"], ["download", *names]):
        subprocess.run(["apt-get", "-q", *options, *words], cwd=work, check=True, capture_output=True, text=True)
    for udeb in work.glob("*.udeb"):
        subprocess.run(["dpkg-deb", "-x", udeb, work / "tree"], check=True)


def put_iscsistart(work: Path) -> None:
    """Debian's program that logs in to what the iBFT names, and all that it needs, into WORK/tree."""
    root, place = work / "debian", work / "tree" / PLACE
    root.mkdir()
    place.mkdir()
    subprocess.run(["tar", "-C", root, "-xf", plain_tar(), "--exclude=./dev/*"], check=True)
    program = next(path for path in ("/sbin/iscsistart", "/usr/sbin/iscsistart") if (root / path[1:]).exists())
    said = subprocess.run(["chroot", root, "ldd", program], capture_output=True, text=True, check=True).stdout
    for path in [program, *(word for word in said.split() if word.startswith("/"))]:
        shutil.copy(root / path[1:], place)
    shutil.rmtree(root)


def make_initrd(work: Path, script: str) -> Path:
    """A second initrd: the modules for a disk over iSCSI, iscsistart, and SCRIPT as PLACE/install."""
    work.mkdir()
    release = kernel_release()
    fetch_udebs(work, [f"{name}-modules-{release}-di" for name in ("scsi-core", "scsi", "crc")])
    put_iscsistart(work)
    (work / "tree" / PLACE / "install").write_text(script)
    made = work / "more.gz"
    with made.open("wb") as output:
        subprocess.run("find . | cpio -o -H newc --quiet | gzip -1", shell=True, cwd=work / "tree", check=True,
                       stdout=output)
    return made
