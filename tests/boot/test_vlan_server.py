"""The server's side of a VLAN: a kernel that has them, in a machine that has nothing else than the daemon."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from lab.nodisk import find_binary
from lab.process import run

ROOT_OFFSET = 34 * 1024 * 1024
MODULES = ["net/llc/llc.ko", "net/802/stp.ko", "net/802/garp.ko", "net/802/mrp.ko", "net/8021q/8021q.ko",
           "drivers/net/veth.ko"]

CONFIG = """[server]
state-directory = /var/lib/nodisk
socket = /run/nodisk.sock
base-iqn = iqn.2026-11.lan.example
[iscsi]
threads = 1
[tftp]
loaders = /tmp
[subnet vlan20]
interface = eth1.20
network = 10.20.0.0/24
range = 10.20.0.100-10.20.0.150
"""

# eth1 is the server's, port what is behind the switch
INIT = """#!/bin/sh
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in {modules}; do insmod /$module; done
/bin/ip link add eth1 type veth peer name port
/bin/ip link add link eth1 name eth1.20 type vlan id 20
for id in 20 21; do /bin/ip link add link port name port.$id type vlan id $id; done
for name in lo eth1 eth1.20 port port.20 port.21; do /bin/ip link set $name up; done
/bin/ip addr add 10.20.0.1/24 dev eth1.20
touch /tmp/undionly.kpxe /tmp/snponly.efi
nodisk serve --config /nodisk.conf > /tmp/log 2>&1 &
daemon=$!
until grep -q ready /tmp/log; do sleep 1; kill -0 $daemon || break; done
nodisk --socket /run/nodisk.sock node add web1 --mac $(cat /sys/class/net/port.20/address) --address 10.20.0.11
for name in port.20 port port.21; do echo "asking on $name"; udhcpc -i $name -s /bound -n -q -t 4 -T 3 -f 2>&1; done
/bin/ip addr add 10.20.0.150/24 dev port.20
kill -HUP $daemon # which looks for it at once
for i in 0 1 2 3 4 5 6 7 8 9; do grep -q 10.20.0.150 /tmp/log && break; sleep 3; done
cat /proc/net/vlan/config /tmp/log
echo "that is all"
poweroff -f
"""
BOUND = '#!/bin/sh\n[ "$1" != bound ] || echo "$interface has $ip of $serverid"\n'


def take(golden: Path, name: str, to: Path) -> None:
    """A file of the image."""
    run("debugfs", "-R", f"dump {name} {to}", f"{golden}?offset={ROOT_OFFSET}", timeout=120)
    assert to.stat().st_size > 0, name


def listed(golden: Path, folder: str) -> list[str]:
    said = run("debugfs", "-R", f"ls -p {folder}", f"{golden}?offset={ROOT_OFFSET}", timeout=120).stdout
    return [line.split("/")[5] for line in said.splitlines() if line.startswith("/")]


def put_program(tree: Path, program: Path, name: str) -> None:
    """With its libraries."""
    shutil.copy(program, tree / "bin" / name)
    for file in re.findall(r"/\S+\.so\S*", run("ldd", program).stdout):
        place = tree / file.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)


def make_tree(golden: Path, tree: Path, kernel: str) -> None:
    for folder in ("bin", "proc", "sys", "dev", "run", "tmp", "var/lib/nodisk"):
        (tree / folder).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin/busybox")
    for name in ("sh", "mount", "insmod", "touch", "grep", "sleep", "cat", "udhcpc", "echo", "poweroff"):
        (tree / "bin" / name).symlink_to("busybox")
    put_program(tree, find_binary(), "nodisk")
    put_program(tree, Path(shutil.which("ip") or "/sbin/ip").resolve(), "ip")
    for module in MODULES:
        take(golden, f"/usr/lib/modules/{kernel}/kernel/{module}", tree / Path(module).name)
    (tree / "nodisk.conf").write_text(CONFIG)
    (tree / "init").write_text(INIT.format(modules=" ".join(Path(module).name for module in MODULES)))
    (tree / "bound").write_text(BOUND)
    for name in ("init", "bound"):
        os.chmod(tree / name, stat.S_IRWXU)


@pytest.mark.full
def test_dhcp_and_conflicts_in_a_vlan(golden: Path, tmp_path: Path) -> None:
    """A machine that tags its frames rightly gets its address, one that does not or otherwise gets none; and
    who uses an address there is found."""
    kernel = next(name for name in listed(golden, "/boot") if name.startswith("vmlinuz-"))
    take(golden, f"/boot/{kernel}", tmp_path / "vmlinuz")
    make_tree(golden, tmp_path / "tree", kernel.removeprefix("vmlinuz-"))
    with (tmp_path / "initrd").open("wb") as initrd:
        files = "\n".join(str(path.relative_to(tmp_path / "tree")) for path in (tmp_path / "tree").rglob("*"))
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=tmp_path / "tree", input=files.encode(),
                       stdout=initrd, check=True)
    said = run("qemu-system-x86_64", "-m", "512", "-nographic", "-no-reboot", "-nic", "none", "-kernel",
               tmp_path / "vmlinuz", "-initrd", tmp_path / "initrd", "-append", "console=ttyS0 panic=-1 quiet",
               timeout=900).stdout
    assert "that is all" in said, said
    asked = dict(zip(("before", "port.20", "port", "port.21"), said.split("asking on "), strict=True))
    assert "port.20 has 10.20.0.11 of 10.20.0.1" in asked["port.20"], said
    for name in ("port", "port.21"):
        assert "no lease" in asked[name] and " has 10." not in asked[name], said
    assert "uses address 10.20.0.150 of [subnet vlan20] without a lease" in said, said
