"""Every command of sg3_utils that applies to a disk, against a disk of the target.

A command whose operation code the target does not report (sg_opcodes) must be refused as one; as
soon as it is reported, the command must do what it is for.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from guest.guest import MIB, Disk, Guest


@dataclass(frozen=True)
class Command:
    """A command, and what must come of it.

    words     {d} is the disk, {o} another one; /tmp/old, new, all, out are files
    says      a pattern in what it prints
    needs     the operation code and service action that the target may or may not have
    lies      where in the disk's file what must lie afterwards
    status    with which it ends
    """

    words: str
    says: str = ""
    needs: tuple[int, int | None] | None = None
    lies: tuple[int, bytes] | None = None
    status: int = 0


OLD, NEW = b"o" * 512, b"n" * 512
# exit statuses of sg3_utils
ILLEGAL_REQUEST, INVALID_OPCODE, COPY_ABORTED, MISCOMPARE, OUT_OF_RANGE, INVALID_ARGUMENT = 5, 9, 10, 14, 22, 72

COMMANDS = [
    # what it is
    Command("sg_inq {d}", r"Vendor identification: NODISK *\n *Product identification: VOLUME"),
    Command("sg_inq --raw --len=36 {d} | wc -c", "^36$"),
    Command("sg_inq --page=sn {d}", "Unit serial number: "),
    Command("sg_inq --page=di {d}", "(?i)designator type: T10 vendor identification|vendor id: NODISK"),
    Command("sg_vpd --all {d}", "(?s)Supported VPD pages.*Unit serial number.*Device Identification.*Block limits"),
    Command("sg_vpd --page=bl {d}", "Optimal unmap granularity: 8"),
    Command("sg_vpd --page=lbpv {d}", "(?s)Unmap command supported \\(LBPU\\): 1.*thin provisioned"),
    Command("sg_vpd --page=bdc {d}", "Non-rotating medium"),
    Command("sg_luns {d}", "0000000000000000"),
    Command("sg_luns --select=1 {d}", "Lun list length = 0"),
    Command("sg_opcodes {d}", r"(?s) 28 +10 .*Read\(10\).* a3 +c +12 "),
    Command("sg_opcodes --rctd {d}", r"Read\(16\)"),
    Command("sg_opcodes --opcode=0x2a {d}", r"Write\(10\)"),
    Command("sg_opcodes --opcode=0x9e,0x10 {d}", r"Read capacity\(16\)"),
    Command("sg_opcodes --opcode=0xee {d}", "NOT supported"),
    Command("sg_opcodes --tmf {d}", "Abort task"),
    Command("sg_scan {d}", "scsi[0-9]+ channel=0 id=0 lun=0"),
    Command("sginfo {d}", "(?s)Vendor: +NODISK.*Product: +VOLUME"),
    Command("scsi_readcap {d}", "Device size: 67108864 bytes"),
    Command("scsi_mandat {d}", "total number of bad errors: 0"),
    # is it there
    Command("sg_turs {d}"),
    Command("sg_turs --number=3 {d}", "Completed 3 Test Unit Ready commands with 0 errors"),
    Command("scsi_ready {d}", "ready"),
    Command("sg_requests {d}"),
    Command("sg_requests --desc {d}"),
    Command("sg_senddiag --test {d}"),
    Command("sg_senddiag --pf --list {d}", needs=(0x1c, None), status=0),
    Command("sg_start --start {d}"),
    Command("sg_reset --device {d} && sleep 1; sg_turs {d}; sg_turs {d}", ""),
    # how it is set
    Command("sg_modes --all {d}", "(?s)Caching.*Control"),
    Command("sg_modes --six --page=8 {d}", "Caching"),
    Command("sg_modes --page=0xa --control=1 {d}", "Control"),
    Command("sg_wr_mode --page=0xa --contents=$(sg_wr_mode --page=0xa {d} 2>/dev/null | tr -d ' \\n') {d}; true"),
    # how large it is
    Command("sg_readcap {d}", "Device size: 67108864 bytes"),
    Command("sg_readcap --16 {d}", "lbpme=1, lbprz=1"),
    # data; each in blocks of its own
    Command("sg_dd if=/tmp/all of={d} bs=512 count=64 blk_sgio=1", lies=(0, OLD + NEW + bytes(62 * 512))),
    Command("sg_dd if={d} of=/tmp/out bs=512 count=64 blk_sgio=1 && cmp /tmp/all /tmp/out"),
    Command("sg_dd if={d} of=/tmp/out bs=512 count=64 cdbsz=16 iflag=sgio,dpo,fua && cmp /tmp/all /tmp/out"),
    Command("sgp_dd if=/tmp/all of=/dev/$(basename $(ls -d /sys/block/$(basename {d})/device/scsi_generic/*))"
            " bs=512 count=64 seek=64 thr=2", lies=(64, OLD + NEW + bytes(62 * 512))),
    Command("sgm_dd if=/dev/$(basename $(ls -d /sys/block/$(basename {d})/device/scsi_generic/*)) of=/tmp/out"
            " bs=512 count=64 && cmp /tmp/all /tmp/out"),
    Command("sg_read if={d} bs=512 count=64 time=1 2>&1", "64\\+0 records in"),
    Command("sg_raw --request=512 --outfile=/tmp/out {d} 28 00 00 00 00 01 00 00 01 00 && cmp /tmp/new /tmp/out"),
    Command("sg_raw --send=512 --infile=/tmp/new {d} 8a 00 00 00 00 00 00 00 02 00 00 00 00 01 00 00",
            lies=(0x200, NEW)),
    Command("sg_write_verify --in=/tmp/old --lba=520 --num=1 --ilen=512 {d}", lies=(520, OLD)),
    Command("sg_write_verify --16 --in=/tmp/new --lba=521 --num=1 --ilen=512 {d}", lies=(521, NEW)),
    Command("sg_write_x --normal --in=/tmp/new --lba=530 --num=1 --bs=512 --16 {d}", lies=(530, NEW)),
    Command("sg_write_x --or --in=/tmp/old --lba=530 --num=1 --bs=512 --16 {d}", lies=(530, b"o" * 512)),
    Command("sg_verify --lba=0 --count=64 {d}"),
    Command("sg_verify --16 --lba=0 --count=64 {d}"),
    Command("sg_verify --ndo=1024 --in=/tmp/all --lba=0 --count=2 {d}"),
    Command("sg_verify --ndo=1024 --in=/tmp/all --lba=1 --count=2 {d}", status=MISCOMPARE),
    Command("sg_verify --lba=131072 --count=1 {d}", "LBA out of range", status=OUT_OF_RANGE),
    Command("sg_write_same --10 --in=/tmp/new --lba=600 --num=9 --xferlen=512 {d}", lies=(600, NEW * 9 + bytes(512))),
    Command("sg_write_same --16 --in=/tmp/old --lba=602 --num=2 --xferlen=512 {d}", lies=(601, NEW + OLD + OLD + NEW)),
    Command("sg_write_same --16 --unmap --lba=600 --num=8 --xferlen=512 {d}", lies=(600, bytes(8 * 512) + NEW)),
    Command("sg_write_same --16 --ndob --lba=608 --num=1 {d}", lies=(608, bytes(512))),
    Command("sg_write_same --16 --in=/tmp/new --lba=700 --num=36 --xferlen=512 {d} && sg_unmap --lba=704 --num=16 {d}",
            lies=(700, NEW * 4 + bytes(16 * 512) + NEW * 16)),
    Command("sg_get_lba_status --lba=0 {d}", "(?i)mapped"),
    Command("sg_get_lba_status --brief --lba=65536 {d}", "(?i)^0x0*10000 .*  1|deallocated|  1$"),
    Command("sg_dd if=/tmp/old of={d} bs=512 count=1 seek=800 blk_sgio=1 && cat /tmp/old /tmp/new >/tmp/both &&"
            " sg_compare_and_write --in=/tmp/both --lba=800 --num=1 --xferlen=1024 {d}", lies=(800, NEW)),
    Command("sg_compare_and_write --in=/tmp/both --lba=800 --num=1 --xferlen=1024 {d}", status=MISCOMPARE,
            lies=(800, NEW)),
    Command("sg_sync {d}"),
    Command("sg_sync --16 --lba=0 --count=64 {d}"),
    Command("sg_raw {d} 34 00 00 00 00 00 00 00 40 00"),
    Command("sg_raw --request=4096 {d} 37 00 1d 00 00 00 00 10 00 00"),
    # what the target may or may not have
    Command("sg_prevent --prevent=1 {d} && sg_prevent --allow {d}", needs=(0x1e, None)),
    Command("sg_logs {d}", "(?i)Supported log pages", needs=(0x4d, None)),
    Command("sg_logs --all {d}", "(?i)Supported log pages", needs=(0x4d, None)),
    Command("sg_persist --in --read-keys {d}", "PR generation=0x", needs=(0x5e, 0)),
    Command("sg_persist --in --read-reservation {d}", "NO reservation held", needs=(0x5e, 1)),
    Command("sg_persist --in --report-capabilities {d}", "Report capabilities response", needs=(0x5e, 2)),
    Command("sg_persist --in --read-full-status {d}", "PR generation=0x", needs=(0x5e, 3)),
    Command("sg_persist --out --register --param-sark=0xabc {d} && sg_persist --out --reserve --param-rk=0xabc"
            " --prout-type=5 {d} && sg_persist --in --read-reservation {d} && sg_persist --out --release"
            " --param-rk=0xabc --prout-type=5 {d} && sg_persist --out --clear --param-rk=0xabc {d}",
            "(?s)Key=0xabc.*Write Exclusive, registrants only", needs=(0x5f, 0)),
    Command("sg_rtpg --decode {d}", "(?i)target port group", needs=(0xa3, 0x0a)),
    Command("sg_timestamp {d}", needs=(0xa3, 0x0f)),
    Command("sg_ident {d}", needs=(0xa3, 0x05)),
    Command("sg_copy_results --params {d}", "(?i)maximum", needs=(0x84, 3)),
    Command("sg_xcopy if={d} of={d} bs=512 count=64 seek=448 && blockdev --flushbufs {d}"
            " && cmp --bytes=32768 --ignore-initial=0:229376 {d} {d}", needs=(0x83, 0)),
    Command("sg_xcopy if={d} of={o} bs=512 count=64", status=COPY_ABORTED, needs=(0x83, 0)),  # of another target
    Command("sg_referrals {d}", needs=(0x9e, 0x13)),
    Command("sg_read_long --16 --lba=0 --xfer_len=520 {d}", needs=(0x9e, 0x11)),
    Command("sg_read_buffer --mode=3 --length=4 {d}", needs=(0x3c, None)),
    Command("sg_write_buffer --mode=2 --length=4 --in=/tmp/new {d}", needs=(0x3b, None)),
    Command("sg_reassign --grown {d}", needs=(0x37, None)),
    Command("sg_read_attr {d}", needs=(0x8c, None)),
    Command("sg_rep_zones {d}", needs=(0x95, 0)),
    Command("sg_bg_ctl {d}", needs=(0x9e, 0x15)),
    Command("sg_sanitize --quick --crypto {d}", needs=(0x48, None)),
    Command("sg_format --format --quick {d}", needs=(0x04, None)),
]


@pytest.fixture(scope="module")
def disks(guest: Guest) -> Iterator[tuple[Disk, Disk]]:
    """The disk of all these commands, and another one; the files that they use."""
    guest.run("cd /tmp; head -c 512 /dev/zero | tr '\\0' o >old; head -c 512 /dev/zero | tr '\\0' n >new;"
              f" cp old all; cat new >>all; truncate -s {64 * 512} all")
    with guest.disk("sg", 64 * MIB) as disk, guest.disk("sg-other", 64 * MIB) as other:
        yield disk, other


@pytest.fixture(scope="module")
def reported(guest: Guest, disks: tuple[Disk, Disk]) -> set[tuple[int, int | None]]:
    """Operation codes and service actions that the target says it has."""
    found: set[tuple[int, int | None]] = set()
    for line in guest.said(f"sg_opcodes --compact {disks[0].device}").splitlines():
        if match := re.match(r" ?([0-9a-f]{2})(?:,([0-9a-f]+))? +[A-Z]", line):
            found.add((int(match[1], 16), int(match[2], 16) if match[2] else None))
    assert (0x28, None) in found and (0x9e, 0x10) in found
    return found


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: re.sub(r"[^a-z0-9_=.]+", "-", c.words)[:60])
def test_command(guest: Guest, disks: tuple[Disk, Disk], reported: set[tuple[int, int | None]],
                 command: Command) -> None:
    """One line of the table."""
    disk, other = disks
    done = guest.run(command.words.format(d=disk.device, o=other.device), check=False)
    if command.needs and command.needs not in reported:
        # sg_xcopy calls it an argument that is not valid
        assert done.status in (INVALID_OPCODE, ILLEGAL_REQUEST, INVALID_ARGUMENT), done
    else:
        assert done.status == command.status, done
        assert re.search(command.says, done.output, re.MULTILINE), done
    if command.lies:
        lba, data = command.lies
        assert disk.at(lba * 512, len(data)) == data


def test_every_page_of_vital_product_data(guest: Guest, disks: tuple[Disk, Disk]) -> None:
    """Each that page 00 lists can be read and is understood."""
    device = disks[0].device
    pages = guest.said(f"sg_vpd --page=0 --hex {device}")
    data = bytes.fromhex("".join(re.findall(r"^ *[0-9a-f]+ {2,}((?:[0-9a-f]{2} +)+)", pages, re.MULTILINE)))
    listed = list(data[4:4 + int.from_bytes(data[2:4], "big")])
    assert {0x00, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2} <= set(listed) and listed == sorted(listed)
    for page in listed:
        said = guest.said(f"sg_vpd --page={page:#x} {device}")
        assert "Unable to decode" not in said and "Only hex output supported" not in said, said
