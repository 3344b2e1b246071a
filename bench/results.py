"""What was measured: medians, ratios of what was measured in the same round, and tables of them."""

import statistics
from dataclasses import dataclass, field

from workloads import CEILINGS, FLAT, IMAGE, MEMORY, OVERLAY_ROWS, RAW, TGT, Workload

Figures = dict[str, float | str]

#: What each figure is shown with.
UNITS = {"iops": "requests/s", "mb_per_s": "MB/s", "logins_per_s": "logins/s"}


def cost(figures: Figures) -> float:
    """Microseconds of the target's processor for each request or login."""
    return float(figures["target_us"])


@dataclass
class Results:
    """Of each workload and who took part, the figures of every round; None where it has failed."""

    workloads: list[Workload]
    rounds: dict[tuple[str, str], list[Figures | None]] = field(default_factory=dict)

    def add(self, workload: Workload, who: str, figures: Figures | None) -> None:
        """One measurement."""
        self.rounds.setdefault((workload.key, who), []).append(figures)

    def of(self, key: str, who: str) -> list[Figures]:
        """Those that have not failed."""
        return [figures for figures in self.rounds.get((key, who), []) if figures]

    def failures(self) -> list[tuple[str, str]]:
        """What has failed at least once."""
        return [where for where, rounds in self.rounds.items() if None in rounds]

    def median(self, key: str, who: str, value: str) -> float | None:
        """Of one figure."""
        values = [float(figures[value]) for figures in self.of(key, who) if value in figures]
        return statistics.median(values) if values else None

    def ratio(self, value: str, one: tuple[str, str], other: tuple[str, str]) -> float | None:
        """The median of the ratios of each round."""
        pairs = zip(self.rounds.get(one, []), self.rounds.get(other, []))
        ratios = [float(a[value]) / float(b[value]) for a, b in pairs
                  if a and b and value in a and value in b and float(b[value]) > 0]
        return statistics.median(ratios) if ratios else None

    @staticmethod
    def from_json(workloads: list[Workload], tree: dict[str, dict[str, list[Figures | None]]]) -> "Results":
        """What json() gave, of those workloads that are in it."""
        results = Results([workload for workload in workloads if workload.key in tree])
        results.rounds = {(key, who): rounds for key, all_of_it in tree.items() for who, rounds in all_of_it.items()}
        return results

    def has(self, key: str) -> bool:
        """Whether this workload was measured."""
        return any(workload.key == key for workload in self.workloads)

    def json(self) -> dict[str, dict[str, list[Figures | None]]]:
        """Every round of everything."""
        tree: dict[str, dict[str, list[Figures | None]]] = {}
        for (key, who), rounds in self.rounds.items():
            tree.setdefault(key, {})[who] = rounds
        return tree


def number(value: float | None) -> str:
    """Three digits or so."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def times(value: float | None) -> str:
    """A ratio."""
    return "" if value is None else f"{value:.2f}"


def table(header: list[str], rows: list[list[str]]) -> str:
    """Markdown that can be read as it is."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) if column == 0 else cell.rjust(width)
                                 for column, (cell, width) in enumerate(zip(cells, widths))) + " |"
    rule = "|" + "|".join("-" * (width + 2) if column == 0 else "-" * (width + 1) + ":"
                          for column, width in enumerate(widths)) + "|"
    return "\n".join([line(header), rule, *(line(row) for row in rows)])


def ceiling_of(workload: Workload) -> str | None:
    """What a row is compared with."""
    return next((who for who in workload.who if who in CEILINGS), None)


def _row(results: Results, workload: Workload, who: str) -> list[str]:
    key, unit, ceiling = workload.key, workload.unit, ceiling_of(workload) or ""

    def against(value: str, other: str) -> str:
        return times(results.ratio(value, (key, who), (key, other)))
    return [workload.title, {IMAGE: "image", RAW: "raw"}[who],
            number(results.median(key, who, unit)), number(results.median(key, TGT, unit)), against(unit, TGT),
            number(results.median(key, who, "target_us")), number(results.median(key, TGT, "target_us")),
            against("target_us", TGT), number(results.median(key, ceiling, "target_us")),
            against("target_us", ceiling), ceiling]


def throughput_table(results: Results, unit: str) -> str:
    """Requests per second, or MB/s, or logins; nodisk, tgt and the ceiling."""
    rows = [_row(results, workload, who) for workload in results.workloads if workload.unit == unit
            for who in (IMAGE, RAW) if who in workload.who and not workload.key.startswith("flat-")]
    header = [UNITS[unit], "nodisk's", "nodisk", "tgt", "nodisk/tgt", "CPU us nodisk", "CPU us tgt", "nodisk/tgt",
              "CPU us ceiling", "nodisk/ceiling", "ceiling"]
    return table(header, rows) if rows else ""


def idle_table(results: Results) -> str:
    """Memory and processor of idle sessions. With many images, what a volume takes that is open is in it."""
    names = {IMAGE: "nodisk, 256 volumes", RAW: "nodisk, one volume", TGT: "tgt, one volume", MEMORY: "ceiling"}
    rows = [[f"{workload.title}: {names[who]}", *(number(results.median(workload.key, who, value))
                                                  for value in ("bytes_per_session", "target_percent"))]
            for workload in results.workloads if workload.unit == "bytes_per_session" for who in workload.who]
    return table(["", "bytes each", "% of a core"], rows) if rows else ""


def fairness_table(results: Results) -> str:
    """The slowest hundredth, with and without somebody who writes as fast as it goes."""
    if not (results.has("fair-alone") and results.has("fair-beside")):
        return ""
    rows = []
    for who, name in ((IMAGE, "nodisk"), (TGT, "tgt")):
        rows.append([name, *(number(results.median(key, who, value)) for value in ("p50_us", "p99_us")
                             for key in ("fair-alone", "fair-beside")),
                     times(results.ratio("p99_us", ("fair-beside", who), ("fair-alone", who)))])
    return table(["100 sessions read 4 KiB, us", "50 %, alone", "50 %, beside a writer", "99 %, alone",
                  "99 %, beside a writer", "ratio of the 99 %"], rows)


def overlay_table(results: Results) -> str:
    """An overlay of nodisk beside a raw file of it."""
    rows = []
    for workload in results.workloads:
        key = workload.key
        if key in OVERLAY_ROWS:
            rows.append([workload.title, times(results.ratio(workload.unit, (key, IMAGE), (key, RAW))),
                         times(results.ratio("target_us", (key, IMAGE), (key, RAW)))])
    return table(["overlay / raw file, both of nodisk", "throughput", "CPU"], rows) if rows else ""


def flat_points(results: Results) -> list[tuple[int, float, float]]:
    """(sessions, requests per second, microseconds of processor each)."""
    points = []
    for count in FLAT:
        rate, us = (results.median(f"flat-{count}", IMAGE, value) for value in ("iops", "target_us"))
        if rate is not None and us is not None:
            points.append((count, rate, us))
    return points


def flat_table(results: Results) -> str:
    """How the cost of a request grows with the number of sessions."""
    rows = [[f"{count:,}", number(rate), number(us)] for count, rate, us in flat_points(results)]
    return table(["sessions of nodisk that read 4 KiB, QD1", "requests/s", "CPU us"], rows) if rows else ""


def tables(results: Results) -> str:
    """All of them."""
    parts = [*(throughput_table(results, unit) for unit in UNITS), idle_table(results), fairness_table(results),
             overlay_table(results), flat_table(results)]
    return "\n\n".join(part for part in parts if part)
