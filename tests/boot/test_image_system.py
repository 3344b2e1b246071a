"""`nodisk image check` and `nodisk image prepare`: what is in an image, by libguestfs; and what was prepared boots."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_golden_image import ADDRESS, MAC, NAME, Setup, check_running, debugfs

from lab.nodisk import Nodisk, find_binary
from lab.peers import Node
from lab.prepared import MACHINE_ID, SYSTEMD, make_plain_image, plain_tar, unpack
from lab.process import wait_until
from lab.qemu import Machine

TOOLS = find_binary().resolve().parent / "src/image_system"


def missing() -> str | None:
    """Why libguestfs cannot be used here."""
    if not (TOOLS / "nodisk-image-system").exists():
        return "nodisk is built without libguestfs"
    if not list(Path("/boot").glob("vmlinuz-*")) or not list(Path("/lib/modules").glob("*")):
        return "no kernel is installed here, which libguestfs boots"
    return None


pytestmark = [pytest.mark.full, pytest.mark.skipif(missing() is not None, reason=str(missing()))]

# Two that every diskless system needs: they are installed while it is prepared.
PACKAGES = tuple(name for name in SYSTEMD if name not in ("zstd", "libnss-myhostname"))

FAULTS = {
    "host-name": ("warning", "write", "etc/hostname", "old\n"),
    "machine-id": ("error", "write", "etc/machine-id", MACHINE_ID + "\n"),
    "initiator-name": ("error", "write", "etc/iscsi/initiatorname.iscsi", "InitiatorName=iqn.x\n"),
    "fstab-root-device": ("error", "write", "etc/fstab", "/dev/sda1 / ext4 noatime 0 1\n"),
    "random-seed": ("warning", "write", "var/lib/systemd/random-seed", "seed"),
    "card-names": ("warning", "write", "etc/udev/rules.d/70-persistent-net.rules", 'ATTR{address}=="x"\n'),
    "networkd-file": ("warning", "write", "etc/systemd/network/00-all.network", "[Match]\nName=*\n"),
    "disk-timeout": ("warning", "rm", "etc/udev/rules.d/60-nodisk-disk.rules", ""),
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where images are worked on; the machines of the tests have no KVM, and neither has this one."""
    monkeypatch.setenv("NODISK_LIBEXEC", str(TOOLS))
    monkeypatch.setenv("NODISK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LIBGUESTFS_BACKEND_SETTINGS", "force_tcg")
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk with a Debian 12 that is installed, and nothing else."""
    work = tmp_path_factory.mktemp("plain")
    unpack(plain_tar(PACKAGES), work / "root")
    disk = make_plain_image(work / "root", work)
    shutil.rmtree(work / "root")
    yield disk
    shutil.rmtree(work)


def plant(disk: Path, work: Path) -> None:
    """All the faults at once, by names that are written anew."""
    for number, (_, how, path, text) in enumerate(FAULTS.values()):
        source = work / f"fault{number}"
        source.write_text(text)
        requests = [f"rm /{path}"] + ([f"write {source} /{path}"] if how == "write" else [])
        for request in requests:
            subprocess.run(["debugfs", "-w", "-R", request, f"{disk}?offset={34 << 20}"], check=True,
                           capture_output=True, timeout=120)


def check(server: Nodisk, image: str, status: int) -> dict[str, dict]:
    """What the doctor says, by name."""
    done = server.cli("--json", "image", "check", image, check=False, timeout=1200)
    assert done.returncode == status, done.stderr + done.stdout
    report = json.loads(done.stdout)
    assert report["errors"] == sum(finding["severity"] == "error" for finding in report["findings"])
    return {finding["name"]: finding for finding in report["findings"]}


def test_faults_are_found_and_none_in_the_golden_image(server: Nodisk, golden: Path, cache: Path,
                                                       tmp_path: Path) -> None:
    """Whatever is found in a tree is found in an image, which stays as it is."""
    server.start()
    broken = tmp_path / "broken.raw"
    subprocess.run(["cp", "--sparse=always", golden, broken], check=True)
    plant(broken, tmp_path)
    server.cli("image", "import", golden, "--name", "golden", timeout=600)
    server.cli("image", "import", broken, "--name", "golden", timeout=600)
    broken.unlink()
    found = check(server, "golden", 1)
    assert {name: finding["severity"] for name, finding in found.items()} == \
        {name: fault[0] for name, fault in FAULTS.items()}
    assert all(finding["stage"] and finding["what"] and finding["fix"] for finding in found.values())
    assert not check(server, "golden@1", 0)
    server.cli("image", "verify", "golden", timeout=600)
    assert not list(cache.glob("*"))


def qemus(cache: Path) -> list[str]:
    """Virtual machines that work in the cache."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if "qemu" in words and str(cache) in words:
            found.append(words)
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_it_leaves_nothing(server: Nodisk, plain: Path, cache: Path, tmp_path: Path,
                                  number: signal.Signals) -> None:
    """In the middle, while the system is changed: the version that there is stays, and no other comes."""
    server.start()
    server.cli("image", "import", plain, "--name", "plain", timeout=600)
    said = tmp_path / "said"
    with said.open("w") as out:
        process = subprocess.Popen([find_binary(), "--socket", server.socket, "image", "prepare", "plain"],
                                   stdout=out, stderr=out)
    wait_until("the system to be prepared", lambda: "preparing it" in said.read_text(), 600, 0.2)
    assert qemus(cache)
    os.kill(process.pid, number)
    assert process.wait(timeout=120) == (-number if number == signal.SIGKILL else 1)
    wait_until("all to be removed", lambda: not list(cache.glob("*")), 60)
    wait_until("the virtual machine to end", lambda: not qemus(cache), 60)
    assert number == signal.SIGKILL or "no image was made" in said.read_text()
    assert [image["reference"] for image in server.json("image", "list")["images"]] == ["plain@1"]
    server.cli("image", "verify", "plain", timeout=600)


def test_a_plain_debian_is_prepared_and_boots(server: Nodisk, plain: Path, cache: Path) -> None:
    """It is another version, in which nothing is found, and comes up as itself; the first is as it was."""
    server.start()
    server.cli("image", "import", plain, "--name", "plain", "--label", "role=web", timeout=600)
    assert {"initramfs-iscsi-auto", "machine-id", "ssh-host-keys"} <= set(check(server, "plain", 1))
    done = server.cli("--json", "image", "prepare", "plain", timeout=3600)
    made = json.loads(done.stdout)
    assert made["reference"] == "plain@2" and made["labels"]["role"] == "web" and made["labels"]["prepared"]
    for stage in ("copying", "virtual machine", "debian 12", "preparing", "apt-get install"):
        assert stage in done.stderr, done.stderr
    assert not check(server, "plain@2", 0)
    assert not list(cache.glob("*"))
    assert "whole" in server.cli("image", "verify", "plain@1", timeout=600).stdout

    server.cli("volume", "create", NAME, "--image", "plain@2", "--copy", timeout=600)
    server.cli("node", "add", NAME, "--mac", MAC, "--address", ADDRESS, "--volume", NAME)
    node = Node(NAME, MAC, ADDRESS, server.work / "state/volumes" / f"{NAME}.raw")
    assert "/run/nodisk/resolv.conf" in debugfs(node.disk, "stat /etc/resolv.conf")
    machine = Machine(server.namespace, NAME, MAC)
    with machine:
        machine.login(timeout=900)
        assert machine.run("systemctl is-system-running --wait", timeout=600).output == "running"
        check_running(Setup(machine, node, server))
        wait_until("the node phoning home", lambda: server.reported_up(node), 300)
        assert machine.run("cat /etc/machine-id").output != MACHINE_ID
