"""`nodisk ibft` with real tables: tests/fuzz/fuzz_ibft_decode.c says where they are from."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
from daemon import NODISK
from netlab import LabDaemon

TABLES = Path(__file__).resolve().parents[1] / "fuzz/corpus/ibft_decode"
SECRET, REVERSE_SECRET = "484d624830ac5ed67038746ff2973a62", "494c8737a974a7bf5119a3afacdb1989"


def ibft(*words: object, data: bytes | None = None) -> subprocess.CompletedProcess:
    return subprocess.run([NODISK, "ibft", *map(str, words)], input=data, capture_output=True, check=False)


def ok(*words: object, data: bytes | None = None) -> str:
    done = ibft(*words, data=data)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


@pytest.mark.parametrize("table, maker", [("ipxe-bios", "iPXE"), ("ipxe-uefi", "iPXE"), ("ovmf", "BXPC")])
def test_real_tables_have_no_faults(table: str, maker: str) -> None:
    answer = json.loads(ok(TABLES / table, "--json"))
    assert answer["faults"] == []
    assert answer["oem_table_id"] == maker
    assert answer["cards"][0]["mac"].startswith("52:54:00:77:4e:9")
    assert answer["targets"][0]["address"] == "10.77.0.1"


def test_secrets_are_shown_to_who_asks() -> None:
    for words in ([], ["--json"], ["--format", "iscsistart"], ["--format", "dracut"]):
        done = ibft(TABLES / "ipxe-bios", *words)
        said = (done.stdout + done.stderr).decode()
        assert done.returncode == 0 and SECRET not in said and REVERSE_SECRET not in said
        assert ("--secrets" in said) == (words != ["--json"])
        said = ok(TABLES / "ipxe-bios", "--secrets", *words)
        assert SECRET in said and REVERSE_SECRET in said


def test_options_are_words_for_a_shell() -> None:
    words = shlex.split(ok(TABLES / "ipxe-bios", "--format", "iscsistart", "--secrets"))
    options = dict(word.split("=", 1) for word in words)
    assert options["--targetname"] == "iqn.2026-11.lan.example:web1"
    assert options["--password"] == SECRET and options["--password_in"] == REVERSE_SECRET


def test_memory_and_standard_input(tmp_path: Path) -> None:
    table = (TABLES / "ipxe-uefi").read_bytes()
    memory = tmp_path / "memory"
    memory.write_bytes(bytes(0x9e620) + table + bytes(0x100000 - 0x9e620 - len(table)))
    assert json.loads(ok("--json", memory))["source"] == f"{memory} at 0x9e620"
    assert json.loads(ok("--json", "-", data=table))["source"] == "standard input"
    memory.write_bytes(bytes(0x100000))
    done = ibft(memory)
    assert done.returncode == 1 and b"there is no iBFT in it" in done.stderr


def test_a_broken_table_is_shown_with_its_faults(tmp_path: Path) -> None:
    table = bytearray((TABLES / "ipxe-bios").read_bytes())
    table[300] ^= 1
    broken = tmp_path / "table"
    broken.write_bytes(table)
    done = ibft(broken)
    assert done.returncode == 1
    assert b"iqn.2026-11.lan.example:web1" in done.stdout
    assert b"error: its checksum is wrong" in done.stdout
    done = ibft(broken, "--format", "networkd")
    assert done.returncode == 1 and b"checksum" in done.stderr and b"Address=10.77.0.91/24" in done.stdout


def test_a_length_that_no_table_has_is_shown_as_it_is(tmp_path: Path) -> None:
    table = bytearray((TABLES / "ipxe-bios").read_bytes())
    table[4:8] = b"\xff" * 4
    broken = tmp_path / "table"
    broken.write_bytes(table)
    assert json.loads(ibft("--json", broken).stdout)["length"] == 0xffffffff


def test_an_unknown_format_is_told() -> None:
    done = ibft(TABLES / "ovmf", "--format", "windows")
    assert done.returncode == 2 and b"networkmanager" in done.stderr


# --- compared with what the server intends ---

MAC = "52:54:00:77:4e:91"  # of the table ipxe-bios
LAB = """[subnet lab]
interface = br0
network = 10.77.0.0/24
range = 10.77.0.100-10.77.0.199
router = 10.77.0.1
"""


@pytest.fixture
def daemon(lab) -> LabDaemon:
    """As it was when the table was made."""
    if os.geteuid() != 0:
        pytest.skip("needs root for network namespaces")
    lab.server.run("ip", "address", "add", "10.77.0.1/24", "dev", "br0")
    daemon = lab.daemon(LAB, iscsi="0.0.0.0:3260")
    daemon.ok("volume", "create", "web1", "--size", "1M")
    daemon.ok("node", "add", "web1", "--mac", MAC, "--address", "10.77.0.91", "--volume", "web1", "--chap", "mutual")
    return daemon


def differences(daemon: LabDaemon, *words: object) -> dict[str, tuple[str, str]]:
    done = daemon.cli("--json", "ibft", "--compare", *words)
    answer = json.loads(done.stdout)
    assert answer["compared_with"] == "server" and answer["node"] == "web1"
    assert done.returncode == (1 if answer["differences"] else 0)
    assert all(len(one["meaning"]) > 20 for one in answer["differences"])
    return {one["field"]: (one["table"], one["other"]) for one in answer["differences"]}


def test_the_table_of_a_boot_is_what_was_intended(daemon: LabDaemon) -> None:
    """The whole of a real one, by the name of the node and by its card."""
    assert differences(daemon, TABLES / "ipxe-bios") == {}
    assert differences(daemon, "web1", TABLES / "ipxe-bios") == {}
    said = daemon.ok("ibft", "--compare", TABLES / "ipxe-bios")
    assert said == "the table says what the server intends for node web1\n"


def test_what_was_changed_since_is_told(daemon: LabDaemon) -> None:
    daemon.ok("volume", "create", "other", "--size", "1M")
    daemon.ok("node", "set", "web1", "--address", "10.77.0.92", "--chap", "one-way", "--ibft-origin", "dhcp",
              "--volume", "other", "--option", "dns-servers=10.77.0.53", "--option", "routers=10.77.0.254")
    assert differences(daemon, TABLES / "ipxe-bios") == {
        "address": ("10.77.0.91", "10.77.0.92"),
        "gateway": ("10.77.0.1", "10.77.0.254"),
        "dns": ("", "10.77.0.53"),
        "target": ("iqn.2026-11.lan.example:web1", "iqn.2026-11.lan.example:other"),
        "origin": ("manual", "dhcp"),
        "chap": ("mutual", "one-way"),
        "chap_target_name": ("nodisk", ""),
    }
    done = daemon.cli("ibft", "--compare", TABLES / "ipxe-bios")
    assert done.returncode == 1
    assert "address: 10.77.0.91 in the table, 10.77.0.92 intended\n    initramfs: " in done.stdout
    assert SECRET not in done.stdout


def test_the_initiator_of_uefi_lacks_what_nobody_told_it(daemon: LabDaemon) -> None:
    """The table is another node's: everything of its own differs."""
    found = differences(daemon, "web1", TABLES / "ovmf")
    assert found["host_name"] == ("", "web1") and found["gateway"] == ("", "10.77.0.1")
    assert found["card"][1] == MAC and found["initiator"][0] == "iqn.2026-11.lan.example:setup1"
    done = daemon.cli("ibft", "--compare", TABLES / "ovmf")
    assert done.returncode == 1 and "there is no node '52:54:00:77:4e:92'" in done.stderr


def test_whom_a_word_means(daemon: LabDaemon) -> None:
    assert "'x' is one word too many" in daemon.cli("ibft", TABLES / "ovmf", "x").stderr
    assert "do not go together" in daemon.cli("ibft", "--compare", "--format", "dracut").stderr
    done = daemon.cli("ibft", "--compare", "web1")
    assert done.returncode == 1 and "no iBFT" in done.stderr  # this machine is no node
    daemon.stop()
    done = daemon.cli("ibft", "--compare", TABLES / "ipxe-bios")
    assert done.returncode == 1 and "daemon" in done.stderr
