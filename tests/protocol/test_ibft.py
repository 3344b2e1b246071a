"""`nodisk ibft` with real tables (tests/fuzz/fuzz_ibft_decode.c says where they are from), no daemon."""

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from daemon import NODISK

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


def test_an_unknown_format_is_told() -> None:
    done = ibft(TABLES / "ovmf", "--format", "windows")
    assert done.returncode == 2 and b"networkmanager" in done.stderr
