"""Overlays: volumes over golden images, their snapshots, and what becomes of them."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import BASE_IQN, plain_program, wait_until
from iscsilab import MIB, SanDaemon, Volume, need, qemu, run
from lab.iscsi import INITIATOR, LoginRefused, Session

SIZE = 16 * MIB
BLOCK = 4096


def content(seed: int, size: int = SIZE) -> bytes:
    """Of an image: every block differs from every other, but a third is a hole."""
    blocks = [bytes(BLOCK) if n % 3 == 2 else (n * 7919 + seed).to_bytes(8, "big") * (BLOCK // 8)
              for n in range(size // BLOCK)]
    return b"".join(blocks)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[SanDaemon]:
    with SanDaemon(tmp_path / "d") as d:
        yield d


def add_image(daemon: SanDaemon, tmp_path: Path, seed: int, size: int = SIZE) -> bytes:
    """The next version of the image `golden`."""
    path = tmp_path / f"golden{seed}.raw"
    path.write_bytes(content(seed, size))
    daemon.ok("image", "import", path, "--name", "golden")
    return content(seed, size)


@pytest.fixture
def golden(daemon: SanDaemon, tmp_path: Path) -> bytes:
    return add_image(daemon, tmp_path, 1)


def overlay(daemon: SanDaemon, name: str, *options: object) -> Volume:
    daemon.ok("volume", "create", name, "--image", "golden", "--allow", INITIATOR, *options)
    return Volume(name, Path("/nowhere"), daemon.portal)


def shown(daemon: SanDaemon, name: str) -> dict:
    return daemon.get(f"/v1/volumes/{name}").json


def read_all(volume: Volume, size: int = SIZE) -> bytes:
    """All of it, by a session of its own."""
    with volume.session() as session:
        return read_by(session, size)


def read_by(session: Session, size: int = SIZE) -> bytes:
    return b"".join(session.read(lba, 2048) for lba in range(0, size // 512, 2048))


def write_once(volume: Volume, lba: int, data: bytes) -> None:
    with volume.session() as session:
        session.write(lba, data)
        assert session.logout() == 0


def put(old: bytes, offset: int, new: bytes) -> bytes:
    return old[:offset] + new + old[offset + len(new):]


def test_it_costs_nothing_until_it_is_written_to(daemon, golden):
    volumes = [overlay(daemon, f"v{n}") for n in range(20)]
    assert all(shown(daemon, v.name)["used"] == 0 for v in volumes)
    assert list((daemon.state / "layers").iterdir()) == []
    assert read_all(volumes[3]) == golden
    write_once(volumes[3], 8, b"x" * BLOCK)
    assert read_all(volumes[3]) == put(golden, BLOCK, b"x" * BLOCK)
    assert read_all(volumes[4]) == golden
    assert 0 < shown(daemon, "v3")["used"] < MIB


def test_what_many_that_are_open_take(tmp_path, capsys):
    """An idle one of 32 GiB with its session, of whose map nothing is needed yet."""
    count = 100
    with SanDaemon(tmp_path / "d", program=plain_program()) as daemon, contextlib.ExitStack() as sessions:
        add_image(daemon, tmp_path, 1)
        volumes = [overlay(daemon, f"v{n}", "--size", "32G") for n in range(count + 4)]
        for volume in volumes[:4]:  # what is taken once
            sessions.enter_context(volume.session()).read(0, 8)
        before = daemon.memory_kib()
        for volume in volumes[4:]:
            sessions.enter_context(volume.session()).read(0, 8)
        each = (daemon.memory_kib() - before) / count
    with capsys.disabled():
        print(f"\nan open overlay of 32 GiB and its session take {each:.0f} KiB")
    assert each < 64


def open_layers(daemon: SanDaemon) -> list[str]:
    """What the daemon has open of layers, also of those that are no more."""
    files = []
    for descriptor in Path(f"/proc/{daemon.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            files.append(os.readlink(descriptor))
    return [file for file in files if file.startswith(f"{daemon.state}/layers/")]


def test_machines_that_come_and_go(daemon, golden):
    """Between two sessions it may stay open for a while: nothing else that is done with it may notice."""
    volume, now = overlay(daemon, "v"), golden
    for turn in range(12):
        data = bytes([turn + 1]) * BLOCK
        write_once(volume, 8 * turn, data)
        now = put(now, BLOCK * turn, data)
        assert read_all(volume) == now
        if turn % 4 == 1:
            daemon.ok("volume", "reset", "v")
            now = golden
            assert read_all(volume) == now
        elif turn % 4 == 2:
            daemon.ok("volume", "snapshot", "v", f"s{turn}")
        elif turn % 4 == 3:
            daemon.ok("volume", "rollback", "v", f"s{turn - 1}")
            now = put(now, BLOCK * turn, golden[BLOCK * turn:BLOCK * (turn + 1)])
            assert read_all(volume) == now
    daemon.wait_for("sessions", 0)
    wait_until(lambda: not open_layers(daemon), "all to be closed", 60)
    write_once(volume, 0, b"x" * BLOCK)
    daemon.ok("volume", "remove", "v")
    wait_until(lambda: not open_layers(daemon), "what is removed to be closed", 60)
    assert list((daemon.state / "layers").iterdir()) == []


def test_qemu_reads_what_the_image_is(daemon, golden, tmp_path):
    need("qemu-img")
    volume = overlay(daemon, "v")
    run("qemu-img", "compare", "--image-opts", f"driver=raw,file.driver=file,file.filename={tmp_path}/golden1.raw",
        qemu(volume))
    run("qemu-io", "--image-opts", qemu(volume), "-c", "write -P 7 1536 512", "-c", "write -P 8 1M 64k", "-c", "flush")
    assert read_all(volume) == put(put(golden, 1536, b"\7" * 512), MIB, b"\10" * 65536)


def test_it_survives_the_daemon(daemon, golden):
    """What was acknowledged, without a flush, and the daemon is killed."""
    volume = overlay(daemon, "v")
    expected = golden
    for n in range(3):
        with volume.session() as session:
            for lba in (3 + n, 64 + 8 * n, 4096 + 100 * n):
                data = os.urandom(512 * (1 + 3 * n))
                session.write(lba, data)
                expected = put(expected, 512 * lba, data)
            daemon.kill()
        daemon.start()
        assert read_all(volume) == expected


def test_larger_than_its_image(daemon, golden):
    volume = overlay(daemon, "v", "--size", "20M")
    with volume.session() as session:
        assert session.capacity() == (20 * MIB // 512, 512)
    assert read_all(volume, 20 * MIB) == golden + bytes(4 * MIB)
    refused = daemon.cli("volume", "create", "w", "--image", "golden", "--size", "8M")
    assert refused.returncode == 1 and "give no size, or a larger one" in refused.stderr


def test_reset_and_rollback(daemon, golden):
    volume = overlay(daemon, "v")
    write_once(volume, 0, b"1" * 8192)
    first = read_all(volume)
    daemon.ok("volume", "snapshot", "v", "first")
    write_once(volume, 4, b"2" * 8192)
    daemon.ok("volume", "snapshot", "v", "second")
    second = read_all(volume)
    assert second == put(first, 2048, b"2" * 8192)
    write_once(volume, 100, b"3" * 512)
    assert "first" in daemon.ok("volume", "snapshots", "v")
    daemon.ok("volume", "rollback", "v", "first")
    assert read_all(volume) == first
    write_once(volume, 100, b"4" * 512)
    daemon.ok("volume", "rollback", "v", "second")
    assert read_all(volume) == second
    daemon.ok("volume", "reset", "v")
    assert read_all(volume) == golden
    daemon.ok("volume", "rollback", "v", "second")
    assert read_all(volume) == second
    daemon.stop()
    daemon.start()
    assert read_all(volume) == second


def test_a_snapshot_that_is_removed_changes_nothing(daemon, golden):
    volume = overlay(daemon, "v")
    for n in range(4):
        write_once(volume, 16 * n, bytes([n + 1]) * 8192)
        daemon.ok("volume", "snapshot", "v", f"s{n}")
    expected = read_all(volume)
    for n in (1, 3, 0, 2):
        daemon.ok("volume", "remove-snapshot", "v", f"s{n}")
        assert read_all(volume) == expected
    assert shown(daemon, "v")["overlay"]["layers"] == 1
    assert len(list((daemon.state / "layers").iterdir())) == 3


def test_a_snapshot_of_what_is_in_use(daemon, golden):
    """The session goes on, and its commands wait but for a moment."""
    volume = overlay(daemon, "v")
    stop, errors, written = threading.Event(), [], []

    def keep_writing() -> None:
        try:
            with volume.session() as session:
                while not stop.is_set():
                    n = len(written)
                    session.write(8 * (n % 1024), n.to_bytes(8, "big") * (BLOCK // 8))
                    written.append(n)
        except Exception as error:  # noqa: BLE001 told by the test
            errors.append(error)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    counts = []
    for n in range(5):
        before = len(written)
        wait_until(lambda: len(written) > before + 50 or errors, "the writer to go on")  # noqa: B023
        begun = len(written)
        daemon.ok("volume", "snapshot", "v", f"s{n}")
        counts.append((begun, len(written) + 1))
    stop.set()
    writer.join()
    assert errors == []
    now = read_all(volume)
    for n, (begun, ended) in enumerate(counts):
        daemon.ok("volume", "rollback", "v", f"s{n}")
        then = read_all(volume)
        numbers = [int.from_bytes(then[BLOCK * k:][:8], "big") for k in range(1024)]
        held = 1 + max(number for k, number in enumerate(numbers) if number % 1024 == k)
        assert begun <= held <= ended  # all before, none after
        assert all(then[BLOCK * (k % 1024):][:8] == k.to_bytes(8, "big") for k in range(max(0, held - 1024), held))
    assert now != then


def test_nobody_is_thrown_out_unasked(daemon, golden):
    volume = overlay(daemon, "v")
    write_once(volume, 0, b"x" * 512)
    with volume.session() as session:
        refused = daemon.cli("volume", "reset", "v")
        assert refused.returncode == 1
        assert INITIATOR in refused.stderr and "--force" in refused.stderr and "--at-next-boot" in refused.stderr
        assert session.read(0, 1) == b"x" * 512
        daemon.ok("volume", "reset", "v", "--force")
        with pytest.raises((ConnectionError, EOFError, OSError)):
            session.read(0, 1)
    assert read_all(volume) == golden


def test_rebase_keeps_what_was(daemon, golden, tmp_path):
    volume = overlay(daemon, "v")
    write_once(volume, 0, b"x" * 512)
    before = read_all(volume)
    newer = add_image(daemon, tmp_path, 2, SIZE + 4 * MIB)
    told = daemon.ok("volume", "rebase", "v", "--image", "golden@2")
    assert "before-golden-2" in told
    assert read_all(volume, SIZE + 4 * MIB) == newer
    assert "golden@1" in daemon.cli("image", "remove", "golden@1").stderr
    daemon.ok("volume", "rollback", "v", "before-golden-2")
    assert read_all(volume) == before
    assert shown(daemon, "v")["image"] == "golden@1"
    daemon.ok("volume", "reset", "v")  # it follows its image
    assert shown(daemon, "v")["image"] == "golden@2"


def test_a_disk_becomes_the_next_image(daemon, golden):
    """While it is in use; it goes on as it was."""
    volume = overlay(daemon, "v", "--size", "20M")
    with volume.session() as session:
        session.write(3, b"x" * 8192)
        expected = read_by(session, 20 * MIB)
        assert daemon.ok("volume", "commit", "v", "golden") == "volume v is image golden@2\n"
        session.write(0, b"y" * 512)
    assert shown(daemon, "v")["overlay"]["snapshots"] == []
    assert (daemon.state / "images/golden/2.raw").read_bytes() == expected
    assert "is whole" in daemon.ok("image", "verify", "golden@2")
    made = overlay(daemon, "w")
    assert shown(daemon, "w")["image"] == "golden@2"
    assert read_all(made, 20 * MIB) == expected
    assert read_all(volume, 20 * MIB) == put(expected, 0, b"y" * 512)


def test_export(daemon, golden, tmp_path):
    """Of a volume that nobody has opened yet, of one in use, and of a snapshot."""
    volume = overlay(daemon, "v")
    daemon.ok("volume", "export", "v", tmp_path / "untouched.raw")
    assert (tmp_path / "untouched.raw").read_bytes() == golden
    daemon.ok("volume", "create", "empty", "--size", "1G", "--overlay")
    daemon.ok("volume", "export", "empty", tmp_path / "empty.raw")
    assert (tmp_path / "empty.raw").stat().st_size == 1 << 30
    assert (tmp_path / "empty.raw").stat().st_blocks * 512 < MIB
    write_once(volume, 0, b"x" * 512)
    daemon.ok("volume", "snapshot", "v", "s")
    with volume.session() as session:
        session.write(0, b"y" * 512)
        daemon.ok("volume", "export", "v", tmp_path / "now.raw")
        daemon.ok("volume", "export", "v", tmp_path / "then.raw", "--snapshot", "s")
    assert (tmp_path / "now.raw").read_bytes() == put(golden, 0, b"y" * 512)
    assert (tmp_path / "then.raw").read_bytes() == put(golden, 0, b"x" * 512)
    for words, sentence in [(("v", tmp_path / "now.raw"), "is there already"),
                            (("v", tmp_path / "a.raw", "--snapshot", "none"), "has no snapshot 'none'"),
                            (("v", "/nowhere/a.raw"), "cannot be written"), (("w", tmp_path / "a.raw"), "no volume")]:
        refused = daemon.cli("volume", "export", *words)
        assert refused.returncode == 1 and sentence in refused.stderr, (words, refused.stderr)
    assert [s["name"] for s in shown(daemon, "v")["overlay"]["snapshots"]] == ["s"]
    assert sorted(path.name for path in tmp_path.glob("*.raw*")) == ["empty.raw", "golden1.raw", "now.raw", "then.raw",
                                                                     "untouched.raw"]


def layers(daemon: SanDaemon, name: str) -> int:
    return shown(daemon, name)["overlay"]["layers"]


def test_commits_leave_no_layers(daemon, golden):
    """Of a machine that never stops: there are two at the most in the end, and one when it stops at
    last. NODISK_COMMITS=100 for more of them."""
    volume, expected = overlay(daemon, "v"), golden
    with volume.session() as session:
        for n in range(int(os.environ.get("NODISK_COMMITS", "6"))):
            data = os.urandom(8192)
            session.write(8 * n, data)
            session.write(20000 + n, data[:512])
            expected = put(put(expected, BLOCK * n, data), 512 * (20000 + n), data[:512])
            daemon.ok("volume", "commit", "v", "nightly")
            assert layers(daemon, "v") < 32
        wait_until(lambda: layers(daemon, "v") == 2, "the layers to be folded", 60)
        wait_until(lambda: len(list((daemon.state / "layers").iterdir())) == 6, "their files to go", 60)
        assert read_by(session) == expected
        assert session.logout() == 0
    wait_until(lambda: layers(daemon, "v") == 1, "the last layer to be folded", 60)
    assert read_all(volume) == expected
    version = shown(daemon, "v")["image"]
    daemon.ok("volume", "rebase", "v", "--image", "nightly")
    assert version == "golden@1" and read_all(volume) == expected


def test_a_copy_of_what_nobody_uses_leaves_nothing(daemon, golden, tmp_path):
    """The layer that was put on top for it goes, and nothing is moved."""
    volume = overlay(daemon, "v")
    write_once(volume, 0, b"x" * 512)
    files = sorted((daemon.state / "layers").iterdir())
    inodes = [path.stat().st_ino for path in files]
    for n in range(3):
        daemon.ok("volume", "export", "v", tmp_path / f"{n}.raw")
        wait_until(lambda: layers(daemon, "v") == 1, "its layer to go", 60)
    assert sorted((daemon.state / "layers").iterdir()) == files
    assert [path.stat().st_ino for path in files] == inodes
    assert read_all(volume) == put(golden, 0, b"x" * 512)


def test_folding_goes_on_in_the_next_daemon(daemon, golden):
    """It is killed in the middle of it, at whatever moment; nobody uses the volume after that."""
    volume, expected = overlay(daemon, "v"), golden
    for round in range(3):
        with volume.session() as session:
            for n in range(4):
                data = os.urandom(MIB // 2)
                session.write(2048 * (4 * round + n), data)
                expected = put(expected, MIB * (4 * round + n), data)
                daemon.ok("volume", "snapshot", "v", f"s{n}")
            for n in range(4):
                daemon.ok("volume", "remove-snapshot", "v", f"s{n}")
            daemon.kill()
        daemon.start()
        wait_until(lambda: layers(daemon, "v") == 1, "the layers to be folded", 60)
        wait_until(lambda: len(list((daemon.state / "layers").iterdir())) == 3, "their files to go", 60)
        assert read_all(volume) == expected


def test_whoever_comes_while_layers_are_folded_does_not_wait(daemon, golden):
    """Logins, snapshots and rollbacks, again and again, while there is always something to fold."""
    volume, expected = overlay(daemon, "v"), golden
    for n in range(12):
        with volume.session() as session:
            data = os.urandom(MIB)
            session.write(2048 * n, data)
            expected = put(expected, MIB * n, data)
            daemon.ok("volume", "snapshot", "v", "s")
            session.write(0, bytes(512))
            assert session.logout() == 0
        if n % 3 == 0:
            daemon.ok("volume", "rollback", "v", "s")
        else:
            expected = put(expected, 0, bytes(512))
        daemon.ok("volume", "remove-snapshot", "v", "s")
        assert read_all(volume) == expected
    wait_until(lambda: layers(daemon, "v") == 1, "the layers to be folded", 60)
    assert read_all(volume) == expected


def test_a_version_in_use_stays(daemon, golden):
    overlay(daemon, "v1")
    overlay(daemon, "v2")
    refused = daemon.cli("image", "remove", "golden")
    assert refused.returncode == 1 and "'v1', 'v2'" in refused.stderr
    for name in ("v1", "v2"):
        daemon.ok("volume", "remove", name)
    daemon.ok("image", "remove", "golden")


def test_removal_leaves_no_file(daemon, golden):
    volume = overlay(daemon, "v")
    write_once(volume, 0, b"x" * 512)
    daemon.ok("volume", "snapshot", "v", "s")
    write_once(volume, 0, b"y" * 512)
    assert len(list((daemon.state / "layers").iterdir())) == 6
    daemon.ok("volume", "remove", "v")
    assert list((daemon.state / "layers").iterdir()) == []


@pytest.mark.parametrize("options", [("--image", "golden"), ("--size", "16M"), ("--size", "16M", "--overlay")])
def test_growth_is_told_to_who_uses_it(daemon, golden, options):
    daemon.ok("volume", "create", "v", *options, "--allow", INITIATOR)
    volume = Volume("v", Path("/nowhere"), daemon.portal)
    with volume.session() as session:
        session.write(0, b"x" * 512)
        daemon.ok("volume", "set", "v", "--size", "24M")
        assert session.command(bytes(6)).sense == "06/2a/09"  # CAPACITY DATA HAS CHANGED
        assert session.capacity() == (24 * MIB // 512, 512)
        session.write(24 * MIB // 512 - 1, b"y" * 512)
        assert session.read(0, 1) == b"x" * 512
        assert session.read(20 * MIB // 512, 1) == bytes(512)
    assert read_all(volume, 24 * MIB)[-512:] == b"y" * 512
    refused = daemon.cli("volume", "set", "v", "--size", "8M")
    assert refused.returncode == 1 and "a volume only grows" in refused.stderr


def add_node(daemon: SanDaemon, number: int, *options: object) -> Volume:
    name = f"web{number}"
    daemon.ok("node", "add", name, "--mac", f"52:54:00:00:00:{number:02x}", "--image", "golden", *options)
    return Volume(name, Path("/nowhere"), daemon.portal)


def boot(volume: Volume) -> Session:
    """A login as iPXE's, of the node that it is the disk of."""
    return Session(volume.portal, volume.target, f"{BASE_IQN}:{volume.name}",
                   keys={"ImmediateData": "No"}).login()


def system(volume: Volume) -> Session:
    """A login as that of its initramfs."""
    return Session(volume.portal, volume.target, f"{BASE_IQN}:{volume.name}").login()


def test_what_is_staged_happens_at_the_next_boot(daemon, golden, tmp_path):
    """Not at a reconnection; once; and whoever is left of the boot before has to go."""
    volume = add_node(daemon, 1)
    newer = add_image(daemon, tmp_path, 2)
    initiator = f"{BASE_IQN}:web1"
    with boot(volume) as session:
        session.write(0, b"x" * 512)
        daemon.ok("volume", "rebase", "web1", "--image", "golden@2", "--at-next-boot")
        assert session.read(0, 1) == b"x" * 512
        daemon.ok("volume", "snapshot", "web1", "meanwhile")  # opens it anew, but nobody boots
        assert session.read(0, 1) == b"x" * 512
        assert shown(daemon, "web1")["overlay"]["staged"] == "rebase"
        with Session(volume.portal, volume.target, initiator).login() as system:
            assert system.read(0, 1) == b"x" * 512
            with boot(volume) as again:
                assert read_by(again) == newer
                with pytest.raises((ConnectionError, EOFError, OSError)):
                    system.read(0, 1)
                again.write(0, b"y" * 512)
    assert shown(daemon, "web1")["overlay"]["staged"] is None
    with boot(volume) as session:
        assert read_by(session) == put(newer, 0, b"y" * 512)
        daemon.ok("volume", "rollback", "web1", "before-golden-2", "--at-next-boot")
        assert "call that off" in daemon.cli("volume", "remove-snapshot", "web1", "before-golden-2").stderr
    with boot(volume) as session:
        assert session.read(0, 1) == b"x" * 512


def test_what_is_staged_waits_for_a_boot_that_begins_later(daemon, golden):
    """GRUB logs in a second time, to what is open already: that is the boot that runs."""
    volume = add_node(daemon, 1)
    with boot(volume) as firmware, boot(volume) as grub:
        grub.write(0, b"x" * 512)
        firmware.logout()
        with Session(volume.portal, volume.target, f"{BASE_IQN}:web1").login() as system:
            grub.logout()
            daemon.ok("volume", "reset", "web1", "--at-next-boot")
            assert system.logout() == 0
    wait_until(lambda: not daemon.get("/v1/sessions").json["sessions"], "the last session to end")
    with Session(volume.portal, volume.target, f"{BASE_IQN}:web1").login() as system:
        assert system.read(0, 1) == b"x" * 512
        assert shown(daemon, "web1")["overlay"]["staged"] == "reset"
    with boot(volume) as firmware:
        assert read_by(firmware) == golden


def test_a_machine_that_runs_does_not_get_another_disk(daemon, golden):
    """Its session was ended by force, and its disk reset: it is kept out until it boots anew, also by
    a daemon that was started again."""
    volume, initiator = add_node(daemon, 1), f"{BASE_IQN}:web1"
    with boot(volume) as firmware:
        firmware.write(0, b"x" * 512)
        daemon.ok("volume", "reset", "web1", "--force")
    for _ in range(2):
        with Session(volume.portal, volume.target, initiator) as system, pytest.raises(LoginRefused):
            system.login()
        assert daemon.lines("volume web1:", "restart the machine")
        daemon.stop()
        daemon.start()
    with boot(volume) as firmware:
        assert read_by(firmware) == golden
        with Session(volume.portal, volume.target, initiator).login() as system:
            system.write(0, b"y" * 512)
    daemon.stop()
    daemon.start()
    with Session(volume.portal, volume.target, initiator).login() as system:
        assert system.read(0, 1) == b"y" * 512  # it goes on over a restart of the daemon


def test_an_ephemeral_one_is_reset_at_each_boot(daemon, golden):
    volume = add_node(daemon, 1)
    daemon.ok("volume", "set", "web1", "--ephemeral", "yes")
    for _ in range(3):
        with boot(volume) as session:
            assert read_by(session) == golden
            session.write(0, b"x" * 512)
            with Session(volume.portal, volume.target, f"{BASE_IQN}:web1").login() as system:
                assert system.read(0, 1) == b"x" * 512
                system.logout()
            session.logout()
    daemon.ok("volume", "set", "web1", "--ephemeral", "no")
    with boot(volume) as session:
        assert session.read(0, 1) == b"x" * 512


def test_groups_and_batches(daemon, golden, tmp_path):
    daemon.ok("group", "add", "rack1")
    for n in range(1, 6):
        add_node(daemon, n, "--group", "rack1")
    add_node(daemon, 9)
    add_image(daemon, tmp_path, 2)
    daemon.ok("volume", "rebase", "--node", "web2", "--image", "golden@2")
    told = daemon.ok("volume", "rebase", "--group", "rack1", "--image", "golden@2", "--max", 2)  # nobody is up
    assert "4 done, 0 failed, 1 had nothing to do" in told
    assert [shown(daemon, f"web{n}")["image"] for n in (1, 5, 9)] == ["golden@2", "golden@2", "golden@1"]
    daemon.ok("volume", "snapshot", "--all", "before")
    daemon.ok("volume", "reset", "--node", "web9", "--at-next-boot")
    assert shown(daemon, "web9")["overlay"]["staged"] == "reset"
    told = daemon.ok("volume", "reset", "--all", "--at-next-boot")
    assert "5 done, 0 failed, 1 had nothing to do" in told
    daemon.ok("volume", "unstage", "--all")
    assert shown(daemon, "web9")["overlay"]["staged"] is None
    assert daemon.cli("volume", "reset", "--group", "rack2").returncode == 1
    assert daemon.cli("volume", "reset").returncode == 2


class Command:
    """A command that goes on while the test does something."""

    def __init__(self, daemon: SanDaemon, *words: object) -> None:
        self.lines: list[str] = []
        self.process = subprocess.Popen([daemon.program, "--socket", daemon.socket, *map(str, words)], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout))
        self.reader.start()

    def end(self) -> tuple[int, str]:
        status = self.process.wait(timeout=120)
        self.reader.join()
        return status, "".join(self.lines)


def in_change(daemon: SanDaemon, names: list[str]) -> list[str]:
    return [name for name in names if shown(daemon, name)["overlay"]["staged"]]


def test_a_few_machines_at_a_time(daemon, golden, tmp_path):
    """The next ones are staged when those before have booted; who is off is not waited for."""
    volumes = [add_node(daemon, n) for n in range(1, 6)]
    names = [v.name for v in volumes]
    add_image(daemon, tmp_path, 2)
    with contextlib.ExitStack() as stack:
        sessions = {v.name: stack.enter_context(boot(v)) for v in volumes[:4]}  # web5 is off
        for v in volumes[:4]:
            stack.enter_context(system(v))
        command = Command(daemon, "volume", "rebase", "--all", "--image", "golden@2", "--at-next-boot", "--max", 2)
        for pair in (names[:2], names[2:4]):
            wait_until(lambda: set(in_change(daemon, names)) >= set(pair), "two to be staged", 60)  # noqa: B023
            assert set(in_change(daemon, names[:4])) == set(pair)
            for name in pair:
                assert command.process.poll() is None
                again = next(v for v in volumes if v.name == name)
                sessions[name].close()
                stack.enter_context(boot(again))
                stack.enter_context(system(again))
        status, told = command.end()
    assert status == 0, told
    assert "5 done, 0 failed, 0 had nothing to do" in told
    assert all(f"node {name} is up again" in told for name in names[:4]) and "web5 is up" not in told
    assert [shown(daemon, name)["image"] for name in names] == ["golden@2"] * 4 + ["golden@1"]


def test_what_stops_a_change_of_many(daemon, golden):
    """Ctrl-C; it is said what was done. A machine that has been thrown out and does not come up."""
    volumes = [add_node(daemon, n) for n in range(1, 4)]
    with contextlib.ExitStack() as stack:
        for v in volumes:
            stack.enter_context(boot(v))
        command = Command(daemon, "volume", "reset", "--all", "--force", "--max", 1)
        wait_until(lambda: any("volume web1 is as" in line for line in command.lines), "the first", 60)
        command.process.send_signal(signal.SIGINT)
        status, told = command.end()
    assert status == 1 and "interrupted: 1 machine" in told and "1 done, 0 failed, 0 had nothing to do, 2 not" in told
    for option in (("--max", 0), ("--max", "x"), ("--timeout", 0)):
        assert daemon.cli("volume", "reset", "--all", *option).returncode == 2


def test_what_cannot_be_is_refused(daemon, golden):
    overlay(daemon, "v")
    daemon.ok("volume", "create", "raw", "--size", "1M")
    for words, sentence in [
            (("volume", "snapshot", "raw", "s"), "is no overlay"),
            (("volume", "reset", "raw"), "is no overlay"),
            (("volume", "rollback", "v", "none"), "has no snapshot 'none'"),
            (("volume", "rebase", "v", "--image", "golden@7"), "there is no image 'golden@7'"),
            (("volume", "snapshot", "v", "No"), "cannot be a snapshot's name"),
            (("volume", "reset", "v", "--at-next-boot"), "is the disk of no node"),
            (("volume", "remove-snapshot", "v", "none"), "has no snapshot"),
            (("volume", "reset", "nothing"), "there is no volume 'nothing'")]:
        refused = daemon.cli(*words)
        assert refused.returncode == 1 and sentence in refused.stderr, (words, refused.stderr)
    daemon.ok("volume", "snapshot", "v", "s")
    assert "already" in daemon.cli("volume", "snapshot", "v", "s").stderr


def test_login_is_refused_while_the_files_are_not_its_own(daemon, golden):
    """A layer that is over another image than the registry says is never opened."""
    volume = overlay(daemon, "v")
    write_once(volume, 0, b"x" * 512)
    daemon.stop()
    map_file = next((daemon.state / "layers").glob("*.map"))
    data = bytearray(map_file.read_bytes())
    data[:2 * BLOCK] = bytes(byte ^ 1 for byte in data[:2 * BLOCK])  # both of its headers
    map_file.write_bytes(data)
    daemon.start()
    with pytest.raises(LoginRefused):
        volume.session()
    assert daemon.lines("volume v:", "layers/")
