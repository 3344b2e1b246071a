"""What machines boot beside their volume: with the real iPXE, and a second disk of the machine's own."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from lab.nodisk import Nodisk
from lab.qemu import Machine

NAME, MAC, ADDRESS = "policy", "52:54:00:77:4e:71", "10.77.0.71"
BOOTED = "the own disk has booted"
#: Of a disk of BIOS, which iPXE takes for one without a cylinder if it is smaller than 8 MiB.
SIZE = 16 << 20
FIRMWARE = ["bios", "uefi"]
#: Where Debian's package memtest86+ has its files.
MEMTEST = Path(os.environ.get("NODISK_MEMTEST", "/boot"))


def bios_disk(path: Path, says: str = BOOTED) -> None:
    """A boot sector that says so on the first serial port and stops."""
    code = bytes.fromhex("fa31c08ed8be207cac84c0740bbaf803eeb9ffffe2feebf0f4ebfd")
    sector = bytearray(code.ljust(512, b"\0"))
    text = f"\r\n{says}\r\n".encode() + b"\0"
    sector[0x20:0x20 + len(text)] = text
    sector[510:] = b"\x55\xaa"
    path.write_bytes(bytes(sector).ljust(SIZE, b"\0"))


def uefi_disk(path: Path, says: str = BOOTED) -> None:
    """GRUB where firmware looks for a loader on a disk."""
    config, loader = path.with_suffix(".cfg"), path.with_suffix(".efi")
    config.write_text(f"serial --unit=0 --speed=115200\nterminal_output serial\necho {says}\nsleep 1000\n")
    subprocess.run(["grub-mkimage", "-O", "x86_64-efi", "-o", loader, "-p", "/", "-c", config,
                    "serial", "terminal", "echo", "sleep", "normal"], check=True)
    with path.open("wb") as disk:
        disk.truncate(34 << 20)
    subprocess.run(["mformat", "-i", path, "-F", "::"], check=True)
    subprocess.run(["mmd", "-i", path, "::/EFI", "::/EFI/BOOT"], check=True)
    subprocess.run(["mcopy", "-i", path, loader, "::/EFI/BOOT/BOOTX64.EFI"], check=True)


@pytest.fixture
def own_disk(tmp_path: Path, firmware: str) -> list[str]:
    """QEMU's words for a disk of the machine's own, which firmware tries after the card."""
    path = tmp_path / "own.img"
    (bios_disk if firmware == "bios" else uefi_disk)(path)
    return ["-drive", f"file={path},format=raw,if=none,id=own", "-device", "virtio-blk-pci,drive=own,bootindex=9"]


def machine_of(daemon: Nodisk, firmware: str, extra: list[str]) -> Machine:
    """The node."""
    daemon.cli("node", "add", NAME, "--mac", MAC, "--address", ADDRESS)
    return Machine(daemon.namespace, NAME, MAC, firmware=firmware, memory=512, extra=extra)


@pytest.mark.full
@pytest.mark.parametrize("firmware", FIRMWARE)
def test_local_is_the_own_disk(daemon: Nodisk, firmware: str, own_disk: list[str]) -> None:
    """Left to firmware by UEFI, by its number in BIOS."""
    machine = machine_of(daemon, firmware, own_disk)
    daemon.cli("boot", NAME, "local")
    with machine:
        machine.console.expect(f"{NAME} boots its own disk", 300)
        machine.console.expect(BOOTED, 300)


@pytest.mark.full
@pytest.mark.parametrize("firmware", FIRMWARE)
def test_a_menu_is_driven_by_its_keys(daemon: Nodisk, firmware: str, own_disk: list[str]) -> None:
    """Into a submenu and back, the shell and out of it, and then the own disk by its key."""
    machine = machine_of(daemon, firmware, own_disk)
    daemon.stop()
    daemon.config = daemon.config.replace("[iscsi]", "[boot]\nmenu-timeout = 0\n[iscsi]", 1)
    daemon.start()
    daemon.cli("boot", NAME, "menu")
    with machine:
        console = machine.console

        def shown(pattern: str, key: str, timeout: float = 120) -> None:
            start = len(console.text)
            console.send(key)
            console.expect(pattern, timeout, start)

        console.expect(f"what is {NAME} to boot", 300)
        shown("Shell of iPXE", "t")
        shown(f"what is {NAME} to boot", "x")
        shown("Shell of iPXE", "t")
        shown("iPXE>", "s")
        shown(f"what is {NAME} to boot", "exit\r")
        # the first: this node has no disk of ours. OVMF comes by again with each of its ways to boot from the
        # network, and nobody is asked there.
        start = len(console.text)
        shown(BOOTED, "b", 400)
        assert "what is" not in console.text[start:]


@pytest.mark.full
@pytest.mark.parametrize("firmware", FIRMWARE)
def test_a_snapshot_is_chosen_by_keys(daemon: Nodisk, firmware: str, tmp_path: Path) -> None:
    """For one boot, the disk has on it what it had before it was rebased; at the next it is as it was."""
    then, now = "this is the disk of then", "this is the disk of now"
    daemon.stop()
    daemon.config = daemon.config.replace("[iscsi]", "[boot]\nmenu-timeout = 0\nmenu-snapshots = yes\n[iscsi]", 1)
    daemon.start()
    for n, says in enumerate((then, now)):
        (bios_disk if firmware == "bios" else uefi_disk)(tmp_path / f"{n}.img", says)
        daemon.cli("image", "import", tmp_path / f"{n}.img", "--name", "disks", timeout=300)
        if n == 0:
            daemon.cli("node", "add", NAME, "--mac", MAC, "--address", ADDRESS, "--image", "disks@1")
    daemon.cli("volume", "rebase", NAME, "--image", "disks@2")
    daemon.cli("boot", NAME, "menu")
    machine = Machine(daemon.namespace, NAME, MAC, firmware=firmware, memory=512)
    for key, says in (("p", then), ("b", now)):
        with machine:
            console = machine.console
            start = console.expect(f"what is {NAME} to boot", 600).end()
            console.send(key)
            if key == "p":
                start = console.expect("before-disks-2", 200, start).end()
                console.send("\r")
                console.expect(f"boots snapshot before-disks-2 of volume {NAME}", 200, start)
            console.expect(says, 600, start)
            trial = daemon.json("volume", "show", NAME)["overlay"]["trial"]
            assert (trial is not None) == (says == then)
    assert f"volume {NAME} is again what it was" in daemon.log()


@pytest.mark.full
@pytest.mark.parametrize("firmware", ["bios"])
def test_a_change_reaches_who_waits(daemon: Nodisk, firmware: str) -> None:
    """In a menu that waits for ever, and being off."""
    machine = machine_of(daemon, firmware, [])
    daemon.stop()
    daemon.config = daemon.config.replace("[iscsi]", "[boot]\nmenu-timeout = 0\n[iscsi]", 1)
    daemon.start()
    daemon.cli("boot", NAME, "menu")
    with machine:
        machine.console.expect(f"what is {NAME} to boot", 300)
        daemon.cli("boot", NAME, "off")
        machine.console.expect(f"{NAME} is to be off", 300)
        daemon.cli("boot", NAME, "menu")
        start = len(machine.console.text)
        machine.console.expect(f"what is {NAME} to boot", 300, start)


@pytest.mark.full
@pytest.mark.parametrize("firmware", FIRMWARE)
def test_a_live_system_is_its_kernel(daemon: Nodisk, firmware: str, tmp_path: Path) -> None:
    """The kernel of the machine that tests, and an initramfs of two pieces whose init speaks."""
    kernel = next(Path("/boot").glob("vmlinuz-*"), None)
    if not kernel:
        pytest.skip("no kernel here")
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    subprocess.run(["cp", "/bin/busybox", tree / "bin/busybox"], check=True)
    (tree / "init").write_text("#!/bin/busybox sh\n/bin/busybox cat /piece\n"
                               "/bin/busybox mount -t proc p /proc 2>/dev/null\necho the live system runs\n"
                               "/bin/busybox sleep 1000\n")
    (tree / "init").chmod(0o755)
    (tree / "proc").mkdir()
    second = tmp_path / "second"
    second.mkdir()
    (second / "piece").write_text("the second piece is there\n")
    for directory in (tree, second):
        subprocess.run("find . | cpio -o -H newc | gzip > ../$(basename $PWD).gz", shell=True, cwd=directory,
                       check=True, stderr=subprocess.DEVNULL)
    machine = machine_of(daemon, firmware, [])
    daemon.cli("entry", "add", "live", "--kernel", kernel, "--initrd", tmp_path / "tree.gz",
               "--initrd", tmp_path / "second.gz", "--args", "console=ttyS0 quiet")
    daemon.cli("boot", NAME, "live", "--once")
    with machine:
        machine.console.expect("the second piece is there", 400)
        machine.console.expect("the live system runs", 100)


@pytest.mark.full
@pytest.mark.parametrize("firmware", FIRMWARE)
def test_memtest_runs(daemon: Nodisk, firmware: str) -> None:
    """Debian's memtest86+: as an entry it can be told to speak on the serial port; by its word it is the same."""
    memtest = MEMTEST / f"memtest86+x64.{'bin' if firmware == 'bios' else 'efi'}"
    if not memtest.exists():
        pytest.skip("memtest86+ is not installed")
    machine = machine_of(daemon, firmware, ["-vga", "std"])  # without a screen it does not start under UEFI
    daemon.stop()
    daemon.config = daemon.config.replace("[iscsi]", f"[boot]\nmemtest = {MEMTEST}\n[iscsi]", 1)
    daemon.start()
    daemon.cli("entry", "add", "loud", "--kernel", memtest, "--args", "console=ttyS0,115200")
    daemon.cli("boot", NAME, "memtest")
    with machine:
        machine.console.expect(f"{NAME} tests its memory", 300)
        machine.console.expect(rf"{memtest.name.replace('86+x64', '')}\S*\.\.\. o", 100)
    daemon.cli("boot", NAME, "loud")
    with machine:
        machine.console.expect("Memtest86", 400)


#: A hook that writes down what it is told, one line each.
FAILED_HOOK = """\
#!/bin/sh
echo "$NODISK_EVENT $NODISK_NODE $NODISK_STAGE $NODISK_FAILURES $NODISK_VOLUME" >>{told}
"""


@pytest.mark.full
def test_a_node_that_fails_falls_back(daemon: Nodisk, tmp_path: Path) -> None:
    """Its disk is nothing but zeroes. After two boots it gets its fallback, the operator is told, and so is his
    hook; what it is told to boot then is tried again."""
    hooks, told = tmp_path / "hooks", tmp_path / "told"
    hooks.mkdir()
    (hooks / "failed").write_text(FAILED_HOOK.format(told=told))
    (hooks / "failed").chmod(0o755)
    (tmp_path / "rescue").write_text("#!ipxe\necho the fallback runs\nsleep 1000\n")
    daemon.stop()
    daemon.config += f"[hooks]\ndirectory = {hooks}\n"
    daemon.start()
    daemon.cli("volume", "create", "garbage", "--size", "16M")
    daemon.cli("node", "add", NAME, "--mac", MAC, "--address", ADDRESS, "--volume", "garbage")
    daemon.cli("entry", "add", "rescue", "--script", tmp_path / "rescue")
    daemon.cli("boot", NAME, "rescue", "--fallback", "--after", "2")
    machine = Machine(daemon.namespace, NAME, MAC, firmware="bios", memory=512)
    for _ in range(2):
        with machine:
            machine.console.expect(f"{NAME} cannot boot volume garbage", 600)
    with machine:
        machine.console.expect("the fallback runs", 600)
        assert "cannot boot volume" not in machine.console.text
    assert told.read_text().splitlines() == [f"failed {NAME} firmware {n} garbage" for n in (1, 2)]
    log = daemon.log()
    for n in (1, 2):
        assert re.search(rf"came no further than the stage firmware .*; {n} in a row", log), log
    assert "2 times in a row: it boots entry:rescue instead" in log
    assert f"{NAME} has failed to boot, 2 times in a row" in daemon.cli("status").stdout
    assert daemon.json("boot", NAME, "--explain")["target"] == "entry:rescue"
    daemon.cli("boot", NAME, "volume")
    with machine:
        machine.console.expect(f"{NAME} cannot boot volume garbage", 600)


@pytest.mark.full
@pytest.mark.parametrize("firmware", FIRMWARE)
def test_what_a_machine_is_decides(daemon: Nodisk, firmware: str, own_disk: list[str]) -> None:
    """A rule of the configuration on maker and product: the machine is asked before it is told anything, by its own
    iPXE, which reads its SMBIOS."""
    daemon.stop()
    daemon.config += "[rule boxes]\nmanufacturer = acme*\nproduct = box 3\nboot = local\n"
    daemon.start()
    words = ["-smbios", "type=1,manufacturer=ACME Inc.,product=Box 3,serial=77"]
    machine = machine_of(daemon, firmware, [*own_disk, *words])
    daemon.cli("boot", "--default", "off")
    assert "not told" in daemon.cli("boot", NAME, "--explain").stdout
    with machine:
        machine.console.expect(BOOTED, 600)
        assert "is to be off" not in machine.console.text
    assert daemon.json("boot", NAME, "--explain")["rule"] == "rule boxes"
    other = Machine(daemon.namespace, "other", MAC, firmware=firmware, memory=512, extra=own_disk)
    with other:
        other.console.expect(f"{NAME} is to be off", 600)
