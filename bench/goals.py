"""What nodisk is to reach in bench/target: each figure beside somebody else's of the same round."""

from dataclasses import dataclass

from results import Results, number, table, times
from workloads import IMAGE, MEMORY, PAGE_CACHE, RAW, SENDFILE, TGT, WORKLOADS, WRITE_FILE

RATE, DATA, LOGINS, CPU = "iops", "mb_per_s", "logins_per_s", "target_us"
NAMES = {RATE: "requests/s", DATA: "MB/s", LOGINS: "logins/s", CPU: "CPU", "bytes_per_session": "bytes each"}


@dataclass(frozen=True)
class Goal:
    """One figure of one row.

    other     whose figure it is divided by; None: it is a number by itself
    least     what the ratio is to be at least; None: `most` says what it may be at most
    ceiling   whose own ratio shows what this machine could reach
    base      the row of `other`, if it is another one
    """

    key: str
    who: str
    value: str
    other: str | None
    least: float | None = None
    most: float | None = None
    ceiling: str | None = None
    base: str | None = None

    def ratio(self, results: Results, who: str) -> float | None:
        """Of somebody, as it was measured."""
        if self.other is None:
            return results.median(self.key, who, self.value)
        return results.ratio(self.value, (self.key, who), (self.base or self.key, self.other))

    def reached(self, measured: float) -> bool:
        """As it is shown: two digits."""
        measured = round(measured, 2)
        return measured >= self.least if self.least is not None else measured <= (self.most or 0)

    def row(self, results: Results) -> list[str] | None:
        """None: it was not measured."""
        measured = self.ratio(results, self.who)
        if measured is None:
            return None
        shown = times if self.other else number
        best = self.ratio(results, self.ceiling) if self.ceiling else None
        bound = f"at least {self.least:g}" if self.least is not None else f"at most {self.most:,g}"
        return [f"{TITLES[self.key]}: {NAMES[self.value]}", self.who, self._beside(), bound,
                shown(measured), "yes" if self.reached(measured) else "no", shown(best)]

    def _beside(self) -> str:
        if self.base:
            return TITLES[self.base]
        return {TGT: "tgt", RAW: "raw", None: ""}.get(self.other, f"{self.other} ceiling")


TITLES = {workload.key: workload.title for workload in WORKLOADS}


def both(key: str, value: str, least: float, ceiling: str) -> tuple[Goal, ...]:
    """So many times tgt's, from an image and from a raw file."""
    return tuple(Goal(key, who, value, TGT, least=least, ceiling=ceiling) for who in (IMAGE, RAW))


GOALS = (
    Goal("read-4k-qd32", IMAGE, RATE, TGT, least=14, ceiling=MEMORY),
    Goal("read-4k-qd32", IMAGE, CPU, MEMORY, most=1.3),
    Goal("read-4k-qd32", RAW, RATE, TGT, least=7, ceiling=PAGE_CACHE),
    Goal("read-4k-qd32", RAW, CPU, PAGE_CACHE, most=1.1),
    *both("read-4k-qd1", RATE, 2, PAGE_CACHE),
    Goal("read-4k-qd1", IMAGE, RATE, PAGE_CACHE, least=0.95),
    *both("read-4k-256", RATE, 3.8, PAGE_CACHE),
    Goal("read-4k-256", IMAGE, CPU, PAGE_CACHE, most=1.1),
    *both("read-4k-4000", RATE, 8, PAGE_CACHE),
    Goal("flat-10000", IMAGE, CPU, IMAGE, most=1.1, base="flat-100"),
    *both("write-4k-qd32", RATE, 7, WRITE_FILE),
    *both("read-256k-qd8", DATA, 3, SENDFILE),
    Goal("read-256k-qd8", IMAGE, DATA, SENDFILE, least=0.9),
    *both("read-256k-256", DATA, 6, SENDFILE),
    *both("write-256k-qd8", DATA, 1.7, WRITE_FILE),
    *(Goal("write-256k-qd8", who, CPU, TGT, most=0.5, ceiling=WRITE_FILE) for who in (IMAGE, RAW)),
    *(Goal("login", who, CPU, TGT, most=0.5, ceiling=MEMORY) for who in (IMAGE, RAW)),
    *(Goal("login-1000", who, CPU, TGT, most=0.5, ceiling=MEMORY) for who in (IMAGE, RAW)),
    Goal("idle-1000", RAW, "bytes_per_session", None, most=6000, ceiling=MEMORY),
    Goal("read-4k-qd32", IMAGE, RATE, RAW, least=0.9),
    Goal("write-4k-qd32", IMAGE, RATE, RAW, least=0.9),
)


def goals_table(results: Results) -> str:
    """All that were measured."""
    rows = [row for goal in GOALS if (row := goal.row(results))]
    header = ["figure", "nodisk's", "beside", "wanted", "measured", "reached", "the ceiling's own"]
    return table(header, rows) if rows else ""
