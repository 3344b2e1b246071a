"""Direct boot over HTTP: what is sent is what the loader on the disk would boot, at any moment."""

import contextlib
import http.client
import os
import random
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import BASE_IQN, ROOT
from iscsilab import MIB, SanDaemon, need

sys.path.insert(0, str(ROOT / "tests"))
from lab.bootdisk import RECORD, BootDisk, make_tree  # noqa: E402
from lab.iscsi import FIRMWARE, Session  # noqa: E402
from netlab import SERVER, Client, NetLab, Wire  # noqa: E402

MAC = "52:54:00:10:00:01"
SIZE = 48 * MIB
KERNEL = os.urandom(3 * MIB + 777)
INITRD = os.urandom(5 * MIB + 1)
OTHER_KERNEL = os.urandom(2 * MIB + 5)


class Bed(SanDaemon):
    """A daemon with a node whose HTTP can be reached."""

    def __init__(self, work: Path, more: str = "", **how: object) -> None:
        self.more = more
        super().__init__(work, **how)

    def write_config(self, more: str = "") -> None:
        super().write_config(f"[http]\nlisten = {self.portal[0]}:80\n{self.more}{more}")

    def session(self, **how: object) -> Session:
        return Session(self.portal, f"{BASE_IQN}:web1", f"{BASE_IQN}:web1", **how).login()

    def get_path(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.portal[0], 80, timeout=120)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"User-Agent": "iPXE/1.21.1+"})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def script(self) -> str:
        """What this node boots."""
        status, body = self.get_path(f"/direct.ipxe?mac={MAC}")
        assert status == 200 and body.startswith(b"#!ipxe\n")
        return body.decode()

    def reason(self) -> str:
        """Why it does not boot directly."""
        found = re.fullmatch(r"#!ipxe\necho nodisk: the disk's own loader boots: (.*)\nexit 1\n", self.script())
        assert found, self.script()
        return found.group(1)

    def paths(self) -> tuple[str, str]:
        """Where the kernel and the initramfs are to be fetched."""
        script = self.script()
        kernel, initrd = (re.search(rf"^{word} [^\n]*http://[^/]+(/direct/{word}\S*)", script, re.MULTILINE)
                          for word in ("kernel", "initrd"))
        assert kernel and initrd, script
        return kernel.group(1), initrd.group(1)

    def files(self) -> list[bytes]:
        """Both, fetched."""
        answers = [self.get_path(path) for path in self.paths()]
        assert [status for status, _ in answers] == [200, 200]
        return [body for _, body in answers]


class Tree:
    """A root directory and the disk that is made of it."""

    def __init__(self, work: Path) -> None:
        need("mkfs.ext4", "sfdisk", "debugfs")
        self.work, self.path = work, work / "tree"
        make_tree(self.path, KERNEL, INITRD)
        self.disk = BootDisk(work / "disk.raw", SIZE)

    def write(self, *options: str, **changes: str) -> Path:
        (self.path / RECORD).write_text(self.disk.record(self.path, **changes))
        self.disk.write(self.path, "-O", "^metadata_csum_seed,^orphan_file", *options)
        return self.disk.path

    def change(self, *commands: str) -> list[tuple[int, bytes]]:
        """What debugfs makes of it: the sectors that are others then, and their first one."""
        before = self.disk.path.read_bytes()
        self.disk.debugfs(*commands)
        after = self.disk.path.read_bytes()
        step = 64 << 10
        return [(at // 512, after[at:at + step]) for at in range(0, SIZE, step)
                if before[at:at + step] != after[at:at + step]]


@pytest.fixture
def tree(tmp_path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture
def bed(tmp_path) -> Iterator[Bed]:
    with Bed(tmp_path / "bed") as bed:
        yield bed


def add_node(bed: Bed, disk: Path) -> None:
    bed.ok("image", "import", disk, "--name", "golden")
    bed.ok("node", "add", "web1", "--mac", MAC, "--image", "golden")


def write(session: Session, sectors: list[tuple[int, bytes]]) -> None:
    for sector, data in sectors:
        session.write(sector, data)


@pytest.mark.parametrize("options", [(), ("-b", "1024"), ("-O", "^64bit,^metadata_csum"), ("-I", "128")])
def test_what_is_sent_is_what_is_on_the_disk(bed, tree, options):
    with (tree.path / "boot/vmlinuz-1").open("r+b") as kernel:  # a hole, which GRUB reads as zeroes
        kernel.truncate(len(KERNEL) + MIB)
        kernel.seek(len(KERNEL) + MIB)
        kernel.write(b"end")
    add_node(bed, tree.write(*options))
    assert bed.reason().startswith("the disk cannot be read")  # nobody has logged in
    with bed.session(keys=FIRMWARE):
        script = bed.script()
        assert f" BOOT_IMAGE=/vmlinuz root=UUID={tree.disk.uuid} ro quiet initrd=initrd " in script
        kernel, initrd = bed.files()
    assert kernel == KERNEL + bytes(MIB) + b"end" and initrd == INITRD
    bed.wait_line("web1: boots /vmlinuz of its disk directly")


def test_the_script_has_the_disk_hooked_first(bed, tree):
    add_node(bed, tree.write())
    script = bed.get_path(f"/boot.ipxe?mac={MAC}")[1].decode()
    hook, chain, loader = (script.index(word) for word in ("sanhook ", "/direct.ipxe?mac=", "sanboot --drive"))
    assert hook < chain < loader


def test_what_changes_while_the_disk_is_in_use_is_seen(bed, tree):
    """Not flushed, either: whoever reads the disk gets it, as GRUB would."""
    add_node(bed, tree.write())
    (tree.work / "other").write_bytes(OTHER_KERNEL)
    (tree.work / "config").write_text("linux /vmlinuz single\n")
    with bed.session() as system, bed.session(keys=FIRMWARE):
        old, _ = bed.paths()
        # an upgrade, without anybody being told
        write(system, tree.change(f"write {tree.work}/other boot/vmlinuz-2", "rm vmlinuz",
                                  "symlink vmlinuz boot/vmlinuz-2"))
        assert bed.get_path(old)[0] == 409  # what an earlier script meant is nothing now
        assert bed.files() == [OTHER_KERNEL, INITRD]
        write(system, tree.change("rm boot/vmlinuz-2"))
        assert bed.reason() == "/vmlinuz: there is no such file"
        write(system, tree.change(f"write {tree.work}/other boot/vmlinuz-2"))
        assert bed.files()[0] == OTHER_KERNEL
        write(system, tree.change("rm boot/grub/grub.cfg", f"write {tree.work}/config boot/grub/grub.cfg"))
        assert bed.reason() == "/boot/grub/grub.cfg was changed since /boot/nodisk-boot was made"
        write(system, tree.change("rm boot/grub/grub.cfg"))
        assert bed.reason() == "/boot/grub/grub.cfg: there is no such file"
        write(system, tree.change(f"write {tree.path}/boot/grub/grub.cfg boot/grub/grub.cfg"))
        assert bed.files()[1] == INITRD
        write(system, tree.change("rm boot/nodisk-boot"))
        assert bed.reason() == "it has no /boot/nodisk-boot in an ext4 file system"


def test_another_loader_boots_itself(bed, tree):
    add_node(bed, tree.write())
    with bed.session(keys=FIRMWARE) as session:
        assert bed.files()[0] == KERNEL
        session.write(40, b"another core image".ljust(512, b"\0"))
        assert bed.reason() == "its boot loader is another one than /boot/nodisk-boot was made for"


@pytest.mark.parametrize(("changes", "words"), [
    ({"arguments": "ro ${net0/mac}"}, "has a value that cannot be used"),
    ({"arguments": "ro || shell"}, "has a value that cannot be used"),
    ({"kernel": "/boot"}, "/boot: it is no file"),
    ({"kernel": "/boot/grub/../../etc/none"}, "there is no such file"),
    ({"filesystem": "3a1c0f2e-0000-4000-8000-000000000000"}, "was made for another file system"),
])
def test_a_record_that_does_not_fit_is_no_use(bed, tree, changes, words):
    add_node(bed, tree.write(**changes))
    with bed.session(keys=FIRMWARE):
        assert words in bed.reason()


def test_what_is_staged_has_happened_before(bed, tree):
    """A node whose disk is reset at this boot boots what the image has."""
    add_node(bed, tree.write())
    (tree.work / "other").write_bytes(OTHER_KERNEL)
    with bed.session() as system:
        write(system, tree.change("rm boot/vmlinuz-1", f"write {tree.work}/other boot/vmlinuz-1"))
        assert bed.files()[0] == OTHER_KERNEL
        bed.ok("volume", "reset", "web1", "--at-next-boot")
        assert bed.files()[0] == OTHER_KERNEL
        with bed.session(keys=FIRMWARE):
            assert bed.files() == [KERNEL, INITRD]


def test_a_disk_that_is_damaged_is_never_trouble(bed, tree):
    """Whatever stands in the tables of the file system: an answer, and the daemon lives."""
    add_node(bed, tree.write("-b", "1024"))
    chance = random.Random(7)
    disk = bytearray(tree.disk.path.read_bytes())
    with bed.session(keys=FIRMWARE) as session:
        for _ in range(25):
            at = chance.choice([0, 512, 1024, 65536 + 1024, *range(65536, 65536 + 40 * 1024, 512)])
            sector = bytearray(disk[at:at + 512])
            for _ in range(chance.randint(1, 24)):
                sector[chance.randrange(512)] = chance.randrange(256)
            session.write(at // 512, bytes(sector))
            script = bed.script()
            if "kernel " in script:
                assert bed.get_path(bed.paths()[0])[0] in (200, 409)
            session.write(at // 512, bytes(disk[at:at + 512]))
        assert bed.files() == [KERNEL, INITRD]


def test_many_fetch_at_once_and_some_hang_up(bed, tree):
    add_node(bed, tree.write())
    results: list[bool] = []

    def fetch() -> None:
        results.append(bed.get_path(paths[1]) == (200, INITRD))

    with bed.session(keys=FIRMWARE):
        paths = bed.paths()
        for _ in range(4):
            connection = http.client.HTTPConnection(bed.portal[0], 80, timeout=60)
            connection.request("GET", paths[1])
            connection.getresponse().read(100)
            connection.close()
        threads = [threading.Thread(target=fetch) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [True] * 10


def test_a_disk_that_goes_away_ends_it(bed, tree):
    """The last session ends before the kernel is fetched: no bytes of a disk that nobody has."""
    add_node(bed, tree.write())
    with bed.session(keys=FIRMWARE) as session:
        kernel, _ = bed.paths()
        session.logout()
    assert bed.get_path(kernel)[0] == 409


def test_it_can_be_switched_off(tmp_path, tree):
    with Bed(tmp_path / "bed", "[boot]\ndirect = no\n") as bed:
        add_node(bed, tree.write())
        script = bed.get_path(f"/boot.ipxe?mac={MAC}")[1].decode()
        assert "sanboot iscsi:" in script and "direct" not in script
        with bed.session(keys=FIRMWARE):
            assert bed.get_path(f"/direct.ipxe?mac={MAC}")[0] == 404


def test_nobody_gets_the_kernel_of_another(tmp_path):
    """Where addresses are handed out here, only the one that this machine was given."""
    lab = NetLab(tmp_path)
    with contextlib.closing(lab):
        daemon = lab.daemon()
        daemon.ok("volume", "create", "disk1", "--size", "1M")
        daemon.ok("node", "add", "web1", "--mac", MAC, "--volume", "disk1")
        machine = lab.client()
        wire = Wire(machine)
        with contextlib.closing(wire):
            stranger = Client(wire, "52:54:00:10:00:99").lease()
            Client(wire, MAC).lease()
        machine.run("ip", "addr", "add", f"{stranger}/24", "dev", "eth0")
        for path in ("/direct.ipxe", "/direct/kernel", "/direct/initrd"):
            answer = machine.run("curl", "-s", "--max-time", "60", "-o", "/dev/null", "-w", "%{http_code}",
                                 f"http://{SERVER}{path}?mac={MAC}&token=0")
            assert answer.stdout == "403"
