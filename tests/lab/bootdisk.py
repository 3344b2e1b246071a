"""Disks with a boot loader and what it boots, made without a mount: a GPT, a BIOS boot partition
and an ext4 file system with a record of what its loader does (/boot/nodisk-boot)."""

import hashlib
import subprocess
import uuid
from pathlib import Path

SECTOR = 512
BOOT_CODE = 440
LOADER_AREA = 1024 * 1024
BIOS_TYPE = "21686148-6449-6E6F-744E-656564454649"
LINUX_TYPE = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
RECORD = "boot/nodisk-boot"
BIOS_AT, BIOS_SECTORS = 34, 64
ROOT_AT = 128  # sectors


def sha256(data: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def make_tree(tree: Path, kernel: bytes, initrd: bytes, config: str = "linux /vmlinuz quiet\n") -> None:
    """A root directory as Debian has it: links at the top, files in /boot."""
    (tree / "boot/grub").mkdir(parents=True)
    (tree / "boot/vmlinuz-1").write_bytes(kernel)
    (tree / "boot/initrd.img-1").write_bytes(initrd)
    (tree / "vmlinuz").symlink_to("boot/vmlinuz-1")
    (tree / "initrd.img").symlink_to("boot/initrd.img-1")
    (tree / "boot/grub/grub.cfg").write_text(config)


class BootDisk:
    """One such disk, in a file."""

    def __init__(self, path: Path, size: int, core: bytes = b"core image"):
        self.path = path
        self.size = size
        self.core = core.ljust(BIOS_SECTORS * SECTOR, b"\0")
        self.uuid = str(uuid.uuid4())

    def record(self, tree: Path, **changes: str) -> str:
        """The record of the loader of this disk, whose files are in TREE."""
        lines = {
            "filesystem": self.uuid,
            "loader": sha256(bytes(BOOT_CODE) + self.core),
            "file": "/boot/grub/grub.cfg " + sha256((tree / "boot/grub/grub.cfg").read_bytes()),
            "kernel": "/vmlinuz",
            "initrd": "/initrd.img",
            "arguments": f"root=UUID={self.uuid} ro quiet",
            **changes,
        }
        return "nodisk-boot 1\n" + "".join(f"{key} {value}\n" for key, value in lines.items()) + "end\n"

    def write(self, tree: Path, *options: str) -> None:
        """Makes the disk with the files of TREE."""
        with self.path.open("wb") as disk:
            disk.truncate(self.size)
        sectors = self.size // SECTOR - 34 - ROOT_AT
        table = (f"label: gpt\nfirst-lba: 34\n"
                 f"start={BIOS_AT}, size={BIOS_SECTORS}, type={BIOS_TYPE}\n"
                 f"start={ROOT_AT}, size={sectors}, type={LINUX_TYPE}\n")
        subprocess.run(["/usr/sbin/sfdisk", "--quiet", self.path], input=table, text=True, check=True)
        with self.path.open("r+b") as disk:
            disk.seek(BIOS_AT * SECTOR)
            disk.write(self.core)
        subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "-F", "-d", tree, "-U", self.uuid, *options,
                        "-E", f"offset={ROOT_AT * SECTOR},lazy_itable_init=0,root_owner=0:0",
                        self.path, f"{sectors // 2}k"], check=True)

    def debugfs(self, *commands: str) -> bytes:
        """What debugfs says to these commands; it may write."""
        script = "".join(command + "\n" for command in commands)
        done = subprocess.run(["/usr/sbin/debugfs", "-w", "-f", "-", f"{self.path}?offset={ROOT_AT * SECTOR}"],
                              input=script.encode(), capture_output=True, check=True)
        return done.stdout
