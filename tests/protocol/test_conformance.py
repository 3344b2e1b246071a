"""libiscsi's conformance tests: each passes, but for those that are listed here with a reason."""

import re
import shutil
import subprocess

import pytest
from iscsilab import MIB, SanDaemon
from lab import conformance

#: Why a test does not pass, by suite or by test: (what it comes to, why). Anything else that does not
#: pass is a failure, and so is one of these that does.
NEVER = {
    "Sanitize": ("skipped", "SANITIZE destroys a volume beyond repair; whoever wants that removes the volume"),
    "WriteAtomic16": ("skipped", "a file system may tear a write of several blocks when the power fails"),
    "GetLBAStatus.UnmapSingle": ("failed", "wants the answer to begin at the next physical block; by SBC-3 5.5 it "
                                           "begins at the LBA that was asked for"),
    **dict.fromkeys(("WriteSame10.ZeroBlocks", "WriteSame16.ZeroBlocks"),
                    ("skipped", "a WRITE SAME of 0 blocks is refused (WSNZ), and that is all it looks at")),
    "ReadOnly": ("skipped", "needs a volume that is read-only: has a test of its own"),
    **dict.fromkeys(("PreventAllow", "StartStopUnit.Simple"), ("skipped", "needs a volume that is removable")),
}
UNALIGNED = dict.fromkeys(("WriteSame10.UnmapUnaligned", "WriteSame10.InvalidDataOutSize",
                           "WriteSame16.UnmapUnaligned", "WriteSame16.InvalidDataOutSize",
                           "CompareAndWrite.InvalidDataOutSize"),
                          ("skipped", "a logical block is a physical one: nothing can be unaligned"))

THICK = dict.fromkeys(("Unmap", "GetLBAStatus", "GetLBAStatus.UnmapSingle", "Inquiry.BlockLimits",
                       "CompareAndWrite.InvalidDataOutSize", "WriteSame10.InvalidDataOutSize",
                       "WriteSame10.Unmap", "WriteSame10.UnmapUnaligned", "WriteSame10.UnmapUntilEnd",
                       "WriteSame16.InvalidDataOutSize", "WriteSame16.Unmap", "WriteSame16.UnmapUnaligned",
                       "WriteSame16.UnmapUntilEnd"),
                      ("skipped", "has all of its space, and gives none back"))
#: What looks at how a volume is provisioned.
PROVISIONING = ("Unmap", "GetLBAStatus", "Inquiry", "ReadCapacity16", "Mandatory", "CompareAndWrite", "WriteSame10",
                "WriteSame16")

#: The volume, what is known of it besides, and the suites that are of interest; none: all.
ARRANGEMENTS = {
    "512-byte blocks": ({}, {}, ()),
    "4096-byte blocks": ({"block_size": 4096}, {**UNALIGNED, "GetLBAStatus.UnmapSingle": ("passed", "")}, ()),
    "thick": ({"thick": True}, THICK, PROVISIONING),
    "removable": ({"removable": True}, dict.fromkeys(("PreventAllow", "StartStopUnit.Simple"), ("passed", "")),
                  ("PreventAllow", "StartStopUnit", "NoMedia", "TestUnitReady")),
}


@pytest.fixture(scope="module", autouse=True)
def suite():
    if not shutil.which(conformance.PROGRAM):
        pytest.skip(f"{conformance.PROGRAM} is not installed")
    version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "libiscsi-bin"], capture_output=True,
                             text=True, check=False).stdout
    if not re.match(r"1\.19", version):
        pytest.skip(f"libiscsi {version} has other tests than Debian 12's 1.19")


@pytest.fixture
def daemon(tmp_path):
    with SanDaemon(tmp_path / "d") as d:
        yield d


def unexpected(outcomes: list[conformance.Outcome], known: dict[str, tuple[str, str]]) -> dict[str, str]:
    """What did not come to what it should."""
    def verdict(outcome: conformance.Outcome) -> str:
        return (known.get(outcome.test) or known.get(outcome.test.split(".")[0]) or ("passed",))[0]

    assert outcomes
    return {o.test: f"{o.verdict}: {o.reason}" for o in outcomes if o.verdict != verdict(o)}


@pytest.mark.parametrize(("body", "known", "suites"), ARRANGEMENTS.values(), ids=ARRANGEMENTS)
def test_every_test_passes(daemon, body, known, suites):
    """With two paths to the volume."""
    volume = daemon.volume(size=256 * MIB, allow=("any",), **body)
    outcomes = list(conformance.run_all((volume.url, volume.url), wanted=lambda suite: not suites or suite in suites))
    assert unexpected(outcomes, {**NEVER, **known}) == {}


#: The suites that move data, or look at how it moves.
WITH_DATA = re.compile(r"(Read|Write|WriteSame|WriteVerify|Verify)\d+$|OrWrite|CompareAndWrite|Unmap|iSCSI")


def test_every_test_that_moves_data_passes_with_header_digests(daemon):
    """(libiscsi 1.19 has no data digests: test_iscsi.py looks at those.)"""
    volume = daemon.volume(size=256 * MIB, allow=("any",))
    url = f"{volume.url}?header_digest=crc32c"
    outcomes = list(conformance.run_all((url, url), wanted=lambda suite: bool(WITH_DATA.match(suite))))
    assert len({outcome.test.split(".")[0] for outcome in outcomes}) > 15
    assert unexpected(outcomes, NEVER) == {}


def test_it_is_the_same_with_mutual_chap(daemon):
    """Of all suites those that log in again and again, and one that reads and one that writes; script/bench
    conformance --chap has the others."""
    users = {"chap_user": "tester", "chap_secret": "correct-horse", "chap_target_user": "disk",
             "chap_target_secret": "battery-staple"}
    volume = daemon.volume(size=256 * MIB, allow=("any",), **users)
    url = conformance.with_mutual_chap(volume.url, *users.values())
    outcomes = list(conformance.run_all(
        (url, url), wanted=lambda suite: suite.startswith(("iSCSI", "Multipath")) or suite in ("Read16", "Write16")))
    assert unexpected(outcomes, NEVER) == {}
    logins = daemon.lines(" login of ")
    assert len(logins) > 10
    assert not [line for line in logins if "with mutual CHAP" not in line]


def test_a_read_only_volume_refuses_every_write(daemon):
    """As far as the suite comes."""
    volume = daemon.volume(size=256 * MIB, allow=("any",), read_only=True)
    outcomes = list(conformance.run_all((volume.url,), wanted=lambda suite: suite == "ReadOnly"))
    assert unexpected(outcomes, {}) == {}
