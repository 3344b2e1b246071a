"""What bench/target measures: one row for each workload, with the options of bench_load for it."""

from dataclasses import dataclass

#: Who may take part: nodisk with an overlay over an image, nodisk with a raw file, tgt, and the ceilings
#: (bench_ceiling), which are named by where they have the data.
IMAGE, RAW, TGT = "image", "raw", "tgt"
MEMORY, PAGE_CACHE, SENDFILE, WRITE_FILE = "memory", "page-cache", "sendfile", "write-file"
CEILINGS = (MEMORY, PAGE_CACHE, SENDFILE, WRITE_FILE)

READ_4K = ("--block", "4K", "--order", "random")
READ_256K = ("--block", "256K", "--order", "sequential")
DIGESTS = ("--digests", "crc32c")
NAMES = ("--initiator", "iqn.2026-11.nodisk.bench:n%d")


@dataclass(frozen=True)
class Workload:
    """One row.

    unit      the figure of bench_load that is compared
    options   of bench_load; a span is added, unless there is one here
    who       takes part; of the ceilings the first is what the others are compared with
    fresh     everybody is started anew before each measurement
    beside    options of a second bench_load, which runs at the same time
    """

    key: str
    title: str
    unit: str
    options: tuple[str, ...]
    who: tuple[str, ...]
    fresh: bool = False
    beside: tuple[str, ...] = ()
    quick: bool = False
    full: bool = False


def sessions(number: int) -> tuple[str, ...]:
    """Each with an initiator name of its own. Of many, the first requests take long."""
    return ("--sessions", str(number), *NAMES, *(("--warm-up", "2") if number >= 1000 else ()))


def flat(number: int) -> Workload:
    """A row of nodisk alone."""
    return Workload(f"flat-{number}", f"4 KiB random read, {number:,} x QD1", "iops",
                    READ_4K + sessions(number), (IMAGE,))


EVERYBODY = (IMAGE, RAW, TGT, PAGE_CACHE, MEMORY)
BIG = (IMAGE, RAW, TGT, SENDFILE, MEMORY)
WRITERS = (IMAGE, RAW, TGT, WRITE_FILE)
FLAT = (1, 100, 1000, 10000)

WORKLOADS = (
    # memory comes first: the first sessions of a process, not those that use again what is free
    Workload("idle-1000", "1,000 idle sessions", "bytes_per_session", ("--idle", *sessions(1001)),
             (IMAGE, RAW, TGT, MEMORY), fresh=True),
    Workload("read-4k-qd32", "4 KiB random read, QD32", "iops", READ_4K + ("--depth", "32"), EVERYBODY, quick=True),
    Workload("read-4k-qd32-1g", "4 KiB random read, QD32, in 1 GiB", "iops",
             READ_4K + ("--depth", "32", "--span", "1G"), (IMAGE, RAW, TGT, PAGE_CACHE)),
    Workload("read-4k-qd1", "4 KiB random read, QD1", "iops", READ_4K, EVERYBODY, quick=True),
    Workload("read-4k-256", "4 KiB random read, 256 x QD1", "iops", READ_4K + sessions(256), EVERYBODY, quick=True),
    Workload("read-4k-4000", "4 KiB random read, 4,000 x QD1", "iops", READ_4K + sessions(4000),
             (IMAGE, RAW, TGT, PAGE_CACHE)),
    Workload("write-4k-qd32", "4 KiB random write, QD32", "iops", READ_4K + ("--depth", "32", "--reads", "0"), WRITERS,
             quick=True),
    Workload("read-256k-qd8", "256 KiB sequential read, QD8", "mb_per_s", READ_256K + ("--depth", "8"), BIG, quick=True),
    Workload("read-256k-256", "256 KiB sequential read, 256 x QD1", "mb_per_s", READ_256K + sessions(256), BIG),
    Workload("write-256k-qd8", "256 KiB sequential write, QD8", "mb_per_s",
             READ_256K + ("--depth", "8", "--reads", "0"), WRITERS, quick=True),
    Workload("read-4k-qd32-crc", "4 KiB random read, QD32, CRC32C", "iops", READ_4K + ("--depth", "32", *DIGESTS),
             EVERYBODY),
    Workload("read-256k-qd8-crc", "256 KiB sequential read, QD8, CRC32C", "mb_per_s",
             READ_256K + ("--depth", "8", *DIGESTS), (IMAGE, RAW, TGT, PAGE_CACHE, MEMORY)),
    *(flat(number) for number in FLAT),
    Workload("login", "login and logout, 16 at a time", "logins_per_s", ("--login-storm", "16"), (IMAGE, RAW, TGT, MEMORY),
             quick=True),
    Workload("login-1000", "the same beside 1,000 idle sessions", "logins_per_s",
             ("--login-storm", "16", *sessions(1000)), (IMAGE, RAW, TGT, MEMORY)),
    Workload("login-12000", "the same beside 12,000 idle sessions", "logins_per_s",
             ("--login-storm", "16", *sessions(12000)), (IMAGE, MEMORY), full=True),
    Workload("fair-alone", "4 KiB random read, 100 x QD1", "p99_us", READ_4K + sessions(100), (IMAGE, TGT)),
    Workload("fair-beside", "the same beside one that writes 256 KiB, QD8", "p99_us", READ_4K + sessions(100),
             (IMAGE, TGT), beside=READ_256K + ("--depth", "8", "--reads", "0")),
)

#: Rows of nodisk whose overlay is compared with the raw file.
OVERLAY_ROWS = ("read-4k-qd32", "read-4k-qd1", "read-4k-256", "write-4k-qd32", "read-256k-qd8", "write-256k-qd8")
