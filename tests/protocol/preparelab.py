"""Trees that look like an installed Debian to `nodisk prepare`, and initramfs images to put in them."""

import bz2
import gzip
import json
import lzma
import os
import re
import shutil
import subprocess
from pathlib import Path

from daemon import NODISK

KERNEL = "6.1.0-99-amd64"
UUID = "11111111-2222-3333-4444-555555555555"
MODULES = f"usr/lib/modules/{KERNEL}/kernel"

INSTALLED = ["initramfs-tools", "open-iscsi", "busybox", "zstd", "libnss-myhostname"]

# Debian's own, which gives up after 120 s.
ISCSID_CONF = "node.startup = manual\nnode.session.timeo.replacement_timeout = 120\n"

PACKERS = {
    "plain": lambda data: data,
    "gzip": lambda data: gzip.compress(data, 1),
    "xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32, preset=0),
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE, preset=0),
    "bzip2": bz2.compress,
    "zstd": lambda data: subprocess.run(["zstd", "-q", "-1", "-c"], input=data, capture_output=True,
                                        check=True).stdout,
    "lz4": lambda data: subprocess.run(["lz4", "-q", "-l", "-1", "-c"], input=data,
                                       capture_output=True, check=True).stdout,
}


def cpio(files: dict[str, bytes]) -> bytes:
    """An archive as the kernel has it (newc)."""
    archive = b""
    for number, (name, data) in enumerate([*files.items(), ("TRAILER!!!", b"")], 1):
        fields = [number, 0o100755, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
        archive += b"070701" + b"".join(b"%08x" % field for field in fields)
        for part in (name.encode() + b"\0", data):
            archive += part
            archive += bytes(-len(archive) % 4)
    return archive + bytes(-len(archive) % 512)


def microcode() -> bytes:
    """What stands before the packed archive, plain."""
    return cpio({"kernel/x86/microcode/GenuineIntel.bin": bytes(3000)})


class Tree:
    """An installed system in a directory, with nothing done for diskless boot."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        self.put("var/lib/dpkg/status", "".join(
            f"Package: {name}\nStatus: install ok installed\nPriority: optional\n\n"
            for name in INSTALLED))
        self.put("usr/lib/systemd/systemd", "")
        self.put("usr/sbin/update-initramfs", "#!/bin/sh\nexit 3\n")
        self.put("usr/sbin/ifup", "")
        for name in ("bin", "sbin", "lib"):
            (root / name).symlink_to(f"usr/{name}")
        self.put(f"boot/vmlinuz-{KERNEL}", "")
        self.put(f"boot/initrd.img-{KERNEL}", cpio({"init": b""}))
        self.put("etc/fstab", "# static\n/dev/sda1 / ext4 errors=remount-ro 0 1\n"
                              "/dev/sda5 none swap sw 0 0\n/dev/sr0 /media/cdrom0 udf user,noauto 0 0\n")
        self.put("etc/hosts", "127.0.0.1\tlocalhost\n127.0.1.1\told.example old\n")
        self.put("etc/hostname", "old\n")
        self.put("etc/machine-id", "0123456789abcdef0123456789abcdef\n", 0o444)
        self.put("etc/resolv.conf", "nameserver 192.0.2.1\n")
        self.put("etc/iscsi/iscsid.conf", ISCSID_CONF)
        self.put("etc/iscsi/initiatorname.iscsi", "InitiatorName=iqn.1993-08.org.debian:01:abc\n", 0o600)
        self.put("etc/ssh/ssh_host_ed25519_key", "SECRET-OF-ONE-MACHINE\n", 0o600)
        self.put("etc/ssh/ssh_host_ed25519_key.pub", "public\n")
        self.put("etc/network/interfaces", "auto lo\niface lo inet loopback\n"
                                           "allow-hotplug eth0\niface eth0 inet dhcp\n")
        self.put("etc/initramfs-tools/conf.d/resume", "RESUME=UUID=abc\n")
        self.put("var/lib/dhcp/dhclient.eth0.leases", "lease {}\n")
        self.put("var/lib/systemd/random-seed", bytes(range(256)), 0o600)
        self.put("etc/udev/rules.d/70-persistent-net.rules", 'ATTR{address}=="52:54:00:00:00:09"\n')
        self.put("etc/systemd/system/multi-user.target.wants/ssh.service", "")

    script = "etc/initramfs-tools/scripts/local-top/nodisk"
    initramfs = f"boot/initrd.img-{KERNEL}"

    def path(self, name: str) -> Path:
        return self.root / name

    def put(self, name: str, data: str | bytes, mode: int = 0o644) -> None:
        """Writes a file with what it needs around it."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        path.chmod(mode)

    def change(self, name: str, old: str, new: str) -> None:
        """Replaces words in a file."""
        text = self.path(name).read_text()
        assert old in text
        self.put(name, text.replace(old, new))

    def add_program(self, name: str) -> None:
        """One of this machine's, with the libraries that it needs."""
        program = shutil.which(name)
        libraries = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for path in [program, *re.findall(r"/\S+", libraries)]:
            self.put(path.lstrip("/"), Path(path).read_bytes(), 0o755)

    def contents(self) -> dict[str, bytes]:
        """What a good initramfs of this tree has."""
        return {
            "init": b"#!/bin/sh\n",
            "usr/bin/busybox": b"",
            "usr/sbin/iscsid": b"",
            "usr/sbin/iscsiadm": b"",
            "usr/lib/systemd/systemd-udevd": b"",
            f"{MODULES}/drivers/net/ethernet/intel/e1000/e1000.ko": b"x" * 5000,
            f"{MODULES}/drivers/net/phy/libphy.ko": b"",
            f"{MODULES}/drivers/scsi/iscsi_tcp.ko": b"",
            f"{MODULES}/drivers/scsi/sd_mod.ko": b"",
            f"{MODULES}/drivers/firmware/iscsi_ibft.ko.xz": b"",
            f"{MODULES}/fs/ext4/ext4.ko": b"x" * 100000,
            "scripts/local-top/nodisk": self.path(self.script).read_bytes(),
            # a hard link, whose data is at its last name
            "etc/iscsi/iscsid.conf": b"",
            "nodisk-iscsid/etc/iscsi/iscsid.conf": self.path("etc/iscsi/iscsid.conf").read_bytes(),
            "conf/conf.d/nodisk": b"MODULES=list\nRESUME=none\n",
        }

    def make_initramfs(self, without: str = "", packer: str = "zstd", early: bytes | None = None,
                       **changed: bytes) -> None:
        """One that is good, but for what is left out or changed."""
        files = {name: data for name, data in self.contents().items() if not without or without not in name}
        files.update({name: data for name, data in changed.items()})
        image = (microcode() if early is None else early) + PACKERS[packer](cpio(files))
        self.put(self.initramfs, image)

    def snapshot(self, but: str = "") -> dict[str, tuple]:
        """All names with what they are."""
        found = {}
        for path in self.root.rglob("*"):
            name = str(path.relative_to(self.root))
            if but and name.startswith(but):
                continue
            st = path.lstat()
            what = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
            when = st.st_mtime_ns if path.is_file() and not path.is_symlink() else 0
            found[name] = (st.st_mode, st.st_uid, st.st_gid, when, what)
        return found

    def run(self, *arguments: str, code: int = 0) -> str:
        """`nodisk prepare` of this tree, without its programs; what it says."""
        return prepare("--root", str(self.root), *arguments, code=code)

    def prepare(self) -> str:
        return self.run("--no-commands", "--root-uuid", UUID)

    def findings(self, code: int | None = None) -> dict[str, dict]:
        """What the doctor says, by name."""
        result = subprocess.run([NODISK, "--json", "prepare", "--check", "--root", str(self.root)],
                                capture_output=True, text=True, timeout=60)
        assert not result.stderr, result.stderr
        report = json.loads(result.stdout)
        findings = {finding["name"]: finding for finding in report["findings"]}
        errors = sum(finding["severity"] == "error" for finding in report["findings"])
        assert report["errors"] == errors
        assert result.returncode == (1 if errors else 0) if code is None else code
        return findings


class DracutTree(Tree):
    """The same with dracut."""

    script = "usr/lib/dracut/modules.d/91nodisk/nodisk-boot"
    hook = "usr/lib/dracut/hooks/initqueue/settled/10-nodisk-settled.sh"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.path("usr/sbin/update-initramfs").unlink()
        self.path("etc/initramfs-tools/conf.d/resume").unlink()
        self.put("usr/bin/dracut", "#!/bin/sh\nexit 3\n", 0o755)
        self.change("var/lib/dpkg/status", "Package: initramfs-tools\n", "Package: dracut\n")

    def contents(self) -> dict[str, bytes]:
        files = super().contents()
        del files["scripts/local-top/nodisk"], files["conf/conf.d/nodisk"], files["usr/bin/busybox"]
        files["usr/sbin/nodisk-boot"] = self.path(self.script).read_bytes()
        files[self.hook] = b""
        files["usr/lib/dracut/need-initqueue"] = b""
        return files


class RpmTree(DracutTree):
    """As an installation of Fedora or RHEL leaves it, with the loader's entries in /boot/loader."""

    initramfs = f"boot/initramfs-{KERNEL}.img"
    entry = f"boot/loader/entries/0123456789abcdef0123456789abcdef-{KERNEL}.conf"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        shutil.rmtree(self.path("var/lib/dpkg"))
        for name in ("usr/sbin/ifup", "etc/network/interfaces", f"boot/initrd.img-{KERNEL}"):
            self.path(name).unlink()
        for name in ("usr/lib/sysimage/rpm/rpmdb.sqlite", "usr/bin/dnf", "usr/sbin/iscsid", "usr/sbin/grubby",
                     "usr/sbin/setfiles", "usr/sbin/NetworkManager", "boot/vmlinuz-0-rescue-0123456789abcdef",
                     "var/lib/NetworkManager/secret_key", "boot/efi/EFI/BOOT/BOOTX64.EFI"):
            self.put(name, "")
        self.put("boot/grub2/grub.cfg", "insmod blscfg\nblscfg\n")
        self.put(self.entry, "title Linux\nlinux /vmlinuz\noptions root=UUID=1-2 ro resume=UUID=3-4 quiet\n")
        self.put("etc/default/grub", 'GRUB_ENABLE_BLSCFG=true\nGRUB_CMDLINE_LINUX="resume=UUID=3-4 quiet"\n')
        self.put("etc/kernel/cmdline", "root=UUID=1-2 ro resume=UUID=3-4 quiet\n")
        self.put("etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=targeted\n")
        self.put(self.initramfs, cpio({"init": b""}))


def prepare(*arguments: str, code: int = 0) -> str:
    """Runs `nodisk prepare`; what it says on both its outputs."""
    result = subprocess.run([NODISK, "prepare", *arguments], capture_output=True, text=True, timeout=60)
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout + result.stderr
