"""The installed unit on a server with systemd: what it forbids the daemon never needs."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import PASSWORD, ROOT
from lab.netns import Namespace
from lab.nodisk import find_binary
from lab.process import LabError, run, wait_until
from lab.qemu import Machine

MAC, ADDRESS = "52:54:00:77:4e:41", "10.77.0.5"
IQN = "iqn.2026-11.lan.example"

CONFIG_PATH = "/etc/nodisk/nodisk.conf"
CONFIG = f"""\
[server]
base-iqn = {IQN}

[subnet lab]
interface = lan0
network = 10.77.0.0/24
range = 10.77.0.100-10.77.0.199
"""

NETWORK = {
    "10-lan.link": f"[Match]\nPermanentMACAddress={MAC}\n[Link]\nName=lan0\n",
    "10-lan.network": f"[Match]\nName=lan0\n[Network]\nAddress={ADDRESS}/24\n",
}


def library_packages(binary: Path) -> set[str]:
    """The Debian packages of the shared libraries that a program needs."""
    files = [line.split()[2] for line in run("ldd", binary).stdout.splitlines() if "=> /" in line]
    # dpkg knows files by the path that they were packaged with
    names = {name for file in files for name in (file, file.removeprefix("/usr"), f"/usr{file}")}
    found = run("dpkg", "-S", *sorted(names), check=False).stdout
    return {line.split(":")[0] for line in found.splitlines()}


def installed_tree(folder: Path) -> Path:
    """What `meson install` puts on a server, with a configuration, started at boot."""
    subprocess.run(["meson", "install", "-C", find_binary().parent, "--no-rebuild", "--quiet",
                    "--destdir", folder / "dest"], check=True)
    tree = folder / "tree"
    units = tree / "etc/systemd/system"
    (units / "multi-user.target.wants").mkdir(parents=True)
    (unit,) = (folder / "dest").rglob("nodisk.service")
    (program,) = (folder / "dest").rglob("bin/nodisk")
    (units / "multi-user.target.wants/nodisk.service").symlink_to("../nodisk.service")
    place = tree / program.relative_to(folder / "dest")
    place.parent.mkdir(parents=True)
    program.rename(place)
    for name, text in NETWORK.items():
        (tree / "etc/systemd/network").mkdir(exist_ok=True)
        (tree / "etc/systemd/network" / name).write_text(text)
    config = tree / CONFIG_PATH.lstrip("/")
    config.parent.mkdir(parents=True)
    config.write_text(CONFIG)
    # where this build was configured for; a server has it under /usr
    (units / "nodisk.service").write_text(
        re.sub(r"--config \S+", f"--config {CONFIG_PATH}", unit.read_text()))
    return tree


@pytest.fixture
def server(namespace: Namespace, tmp_path: Path) -> Iterator[Machine]:
    """A machine with a disk, on which nodisk is installed."""
    suite = next(line.split("=")[1].strip() for line in Path("/etc/os-release").read_text().splitlines()
                 if line.startswith("VERSION_CODENAME="))
    image = namespace.work / "server.raw"
    packages = {"ipxe", *library_packages(find_binary())}
    subprocess.run([ROOT / "image/debian12/build", "--suite", suite, "--kernel", "cloud-amd64",
                    "--root-password", PASSWORD, "--include", ",".join(sorted(packages)),
                    "--files", installed_tree(tmp_path), image], check=True)
    machine = Machine(namespace, "server", MAC, disk=image)
    try:
        yield machine
    finally:
        machine.kill()


def journal(server: Machine, *matches: str) -> list[dict]:
    """The daemon's messages in the journal of this boot."""
    lines = server.run(f"journalctl -b -u nodisk -o json --output-fields=MESSAGE,SYSLOG_IDENTIFIER,"
                       f"NODISK_NODE,PRIORITY {' '.join(matches)} | cat").output.splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_unit(server: Machine, namespace: Namespace) -> None:
    """Started, used in every way that touches what the unit guards, reloaded, crashed, stopped."""
    server.power_on()
    server.login()

    def ask(command: str) -> str:
        return server.run(command, timeout=120).output

    def main_pid() -> str:
        return ask("systemctl show -p MainPID --value nodisk")

    try:
        wait_until("the unit to run",
                   lambda: ask("systemctl is-active nodisk || true") == "active", 300, 1)
    except LabError as error:
        raise LabError(f"{error}:\n{ask('journalctl -b -u nodisk | tail -n 15')}") from None
    wait_until("its first words", lambda: any(m["MESSAGE"] == "ready" and m["SYSLOG_IDENTIFIER"] == "nodisk"
                                              for m in journal(server)), 300, 1)

    # files of its own, devices, files of others, a home directory
    ask("nodisk volume create disk --size 64M")
    ask("nodisk node add web1 --mac 52:54:00:77:4e:42 --volume disk --address 10.77.0.42")
    ask("truncate -s 32M /root/raw && nodisk image import /root/raw --name raw")
    ask("nodisk node add web2 --mac 52:54:00:77:4e:43 --image raw")
    ask("modprobe loop; losetup /dev/loop0 /root/raw && nodisk volume create dev --device /dev/loop0"
        " --allow any")

    url = f"iscsi://{ADDRESS}/{IQN}"
    namespace.run("iscsi-inq", "-i", f"{IQN}:web1", f"{url}:disk/0")
    namespace.run("iscsi-readcapacity16", "-i", f"{IQN}:web1", f"{url}:disk/0")
    namespace.run("qemu-io", "-f", "raw", "-c", "write -P 7 0 1M", "-c", "flush", "-c", "discard 0 1M",
                  f"{url}:dev/0")
    namespace.run("curl", "-fsS", "-o", namespace.work / "loader", f"tftp://{ADDRESS}/undionly.kpxe")
    assert "#!ipxe" in namespace.run(
        "curl", "-fsS", f"http://{ADDRESS}/boot.ipxe?mac=52-54-00-00-00-09").stdout
    wait_until("the login to be told", lambda: any("login of" in m["MESSAGE"]
                                                   for m in journal(server, "NODISK_NODE=web1")), 300, 1)

    before = main_pid()
    ask(f"sed -i 's/^range.*/range = 10.77.0.100-10.77.0.150/' {CONFIG_PATH}; systemctl reload nodisk")
    wait_until("the reload", lambda: any(m["MESSAGE"] == "configuration reloaded"
                                         for m in journal(server)), 300, 1)
    assert main_pid() == before
    ask("systemctl kill -s KILL nodisk")
    wait_until("the daemon to be back", lambda: main_pid() not in (before, "0")
               and ask("nodisk status >/dev/null && echo answers || true") == "answers", 60, 1)
    namespace.run("iscsi-inq", "-i", f"{IQN}:web1", f"{url}:disk/0")

    ask("systemctl stop nodisk")
    assert ask("systemctl show -p Result --value nodisk") == "success"
    assert ask("systemctl --failed --no-legend") == ""
