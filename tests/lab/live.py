"""A Debian whose initramfs is dracut's, for any machine: as a rescue system, and as a live system over HTTP."""

import shutil
import subprocess
from pathlib import Path

from .prepared import plain_tar, unpack

PACKAGES = ("linux-image-cloud-amd64", "systemd-sysv", "udev", "iproute2", "e2fsprogs", "zstd", "dracut-core",
            "dracut-live", "dracut-network", "dmsetup", "isc-dhcp-client", "iputils-arping", "procps", "curl")


def make_live(work: Path) -> tuple[Path, Path, Path]:
    """Its kernel, its initramfs and its root file system as a squashfs, in the new directory WORK."""
    work.mkdir()
    root = work / "root"
    unpack(plain_tar(PACKAGES), root)
    release = next((root / "lib/modules").iterdir()).name
    subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={root}/proc",
                    "chroot", root, "dracut", "--quiet", "--no-hostonly", "--force",
                    "--add", "network-legacy dmsquash-live livenet", "/boot/initrd.img", release], check=True)
    kernel, initrd, squashfs = work / "kernel", work / "initrd", work / "live.squashfs"
    shutil.copy(root / f"boot/vmlinuz-{release}", kernel)
    shutil.copy(root / "boot/initrd.img", initrd)
    (root / "etc/hostname").write_text("live\n")
    subprocess.run(["mksquashfs", root, squashfs, "-comp", "zstd", "-Xcompression-level", "3", "-no-progress",
                    "-quiet", "-e", "boot"], check=True)
    shutil.rmtree(root)
    return kernel, initrd, squashfs
