"""A Linux with its own iSCSI initiator, driven over its serial console."""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.nodisk import Nodisk
from lab.peers import BASE_IQN
from lab.process import wait_until
from lab.qemu import Machine

PASSWORD = "nodisk"
PACKAGES = ["btrfs-progs", "fio", "iproute2", "kmod", "lvm2", "multipath-tools", "open-iscsi", "sg3-utils", "xfsprogs"]
PORTALS = ("10.77.0.1", "10.78.0.1")  # two networks over one card
INITIATOR = f"{BASE_IQN}:guest"
PATIENCE = 900  # seconds for a command; a slow machine's command is not a failure
MIB = 1 << 20


@dataclass
class Disk:
    """A volume in the guest."""

    name: str
    path: Path  # on the server
    device: str  # in the guest: /dev/sda

    def at(self, offset: int, size: int) -> bytes:
        """What lies in its file."""
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(size)


def fio(device: str, size: int, depth: int, blocks: str, more: str = "") -> str:
    """Random writes, then every block is read again and its checksum looked at."""
    return (f"fio --name=x --filename={device} --ioengine=libaio --direct=1 --rw=randwrite --randseed=5"
            f" --iodepth={depth} --{'bsrange' if '-' in blocks else 'bs'}={blocks} --size={size} --verify=crc32c"
            f" --do_verify=1 --verify_fatal=1 --output-format=terse {more}")


def wait_for_writes(disk: Disk) -> None:
    """Until the file on the server changes."""
    before = disk.path.stat().st_mtime_ns
    wait_until("a write", lambda: disk.path.stat().st_mtime_ns != before, PATIENCE)


class Guest:
    """The machine, logged in, and the server that its disks come from."""

    def __init__(self, machine: Machine, server: Nodisk) -> None:
        self.machine, self.server = machine, server
        self.run("card=$(basename $(dirname $(ls -d /sys/class/net/*/device))); ip link set $card up"
                 + "".join(f" && ip addr add {portal[:-1]}9/24 dev $card" for portal in PORTALS))
        self.run(f"mkdir -p /run/nodisk /mnt; echo InitiatorName={INITIATOR} >/run/nodisk/initiatorname.iscsi")
        self.run("echo 1 >/proc/sys/kernel/printk; modprobe iscsi_tcp; modprobe sg; systemctl start iscsid")

    def run(self, command: str, check: bool = True, timeout: float = PATIENCE):
        """A command to its end; what it printed, and its status."""
        return self.machine.run(command, timeout=timeout, check=check)

    def said(self, command: str) -> str:
        """What a command prints that must succeed."""
        return self.run(command).output

    def repeat(self, command: str) -> "Job":
        """Runs a command again and again beside others, until it fails or the job is to finish."""
        job = Job(self)
        self.run(f"rm -f {job.stop} {job.status}; ( ( ( until [ -e {job.stop} ]; do {command} || exit 1; done )"
                 f" >{job.log} 2>&1; echo $? >{job.status} ) & )")
        return job

    def counters(self) -> dict[str, int]:
        """The daemon's iSCSI counters."""
        return self.server.json("status")["counters"]["iscsi"]

    # --- disks ---

    def create(self, name: str, size: int, *words: str) -> Path:
        """A volume; with no more words, for the guest alone."""
        self.server.cli("volume", "create", name, "--size", size, *(words or ("--allow", INITIATOR)))
        return Path(self.server.json("volume", "show", name)["path"])

    def remove(self, name: str) -> None:
        """The volume again; its sessions have just ended, and the server may still be at it."""
        wait_until(f"{name} to be removed", lambda: self.server.cli("volume", "remove", name, check=False)
                   .returncode == 0, PATIENCE, 0.5)

    def log_in(self, name: str, portal: str = PORTALS[0], **settings: object) -> str:
        """Logs in to a target; the device of its LUN 0."""
        node = f"iscsiadm -m node -T {BASE_IQN}:{name} -p {portal}"
        self.run(f"{node} -o new >/dev/null")
        for key, value in settings.items():
            self.run(f"{node} -o update -n {key} -v {value}")
        self.run(f"{node} --login && udevadm settle")
        return self.device(name, 0, portal)

    def device(self, name: str, lun: int, portal: str = PORTALS[0]) -> str:
        """Waits for the device of a LUN."""
        link = f"/dev/disk/by-path/ip-{portal}:3260-iscsi-{BASE_IQN}:{name}-lun-{lun}"
        return self.said(f"until [ -e {link} ]; do sleep 0.2; done; readlink -f {link}")

    def log_out(self, name: str, portal: str = PORTALS[0]) -> None:
        """Ends a session and forgets the target."""
        node = f"iscsiadm -m node -T {BASE_IQN}:{name} -p {portal}"
        self.run(f"{node} --logout && {node} -o delete && udevadm settle")

    def clear(self) -> None:
        """Whatever a failed test has left: mounts, maps, sessions, records."""
        self.run("for fio in $(pidof fio); do kill $fio; done; umount /mnt; multipath -F; dmsetup remove_all;"
                 " vgchange -an; iscsiadm -m node -u; iscsiadm -m node -o delete; udevadm settle", check=False)

    @contextlib.contextmanager
    def disk(self, name: str, size: int = 64 * MIB, **settings: object) -> Iterator[Disk]:
        """A volume of its own, logged in to."""
        path = self.create(name, size)
        try:
            yield Disk(name, path, self.log_in(name, **settings))
        except BaseException:
            self.clear()
            self.server.cli("volume", "remove", name, check=False)
            raise
        self.log_out(name)
        self.remove(name)

    def assert_same(self, disk: Disk) -> None:
        """What the guest reads past its cache is what lies in the file."""
        read = self.said(f"dd if={disk.device} bs=1M iflag=direct status=none | md5sum").split()[0]
        assert read == hashlib.md5(disk.path.read_bytes()).hexdigest()


class Job:
    """A command that runs beside others in the guest."""

    number = 0

    def __init__(self, guest: Guest) -> None:
        Job.number += 1
        self.guest = guest
        self.log, self.status, self.stop = (f"/tmp/job{Job.number}.{end}" for end in ("log", "status", "stop"))

    def ended(self) -> bool:
        """By itself, or because it was told to."""
        return self.guest.run(f"[ -s {self.status} ]", check=False).status == 0

    def check(self) -> None:
        """It must not have failed yet."""
        assert not self.ended(), self.guest.said(f"cat {self.log}; dmesg | tail -n 30")

    def finish(self) -> None:
        """Lets the run that is under way be the last one; all must have ended well."""
        self.guest.run(f"touch {self.stop}")
        wait_until("the guest's job to end", self.ended, 2 * PATIENCE, 1)
        status = self.guest.said(f"cat {self.status}")
        assert status == "0", self.guest.said(f"cat {self.log}; dmesg | tail -n 30")
