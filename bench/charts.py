"""Bar charts as SVG, readable on light and on dark pages."""

from dataclasses import dataclass
from html import escape
from pathlib import Path

WIDTH, LABEL_WIDTH, BAR_HEIGHT, GAP, TOP = 760, 300, 14, 12, 52

STYLE = """\
text { font: 12px system-ui, sans-serif; fill: #24292f }
.title { font-size: 14px; font-weight: 600 }
.small { font-size: 11px; fill: #57606a }
.rule { stroke: #8c959f; stroke-width: 1; stroke-dasharray: 3 3 }
.c0 { fill: #0969da } .c1 { fill: #bc4c00 } .c2 { fill: #6e7781 } .c3 { fill: #8250df }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .small { fill: #9198a1 } .rule { stroke: #6e7681 }
.c0 { fill: #4493f8 } .c1 { fill: #f0883e } .c2 { fill: #8d96a0 } .c3 { fill: #a371f7 }
}"""


@dataclass
class Chart:
    """Groups of bars: each has a label and a value (or None) for each of `series`.

    unit      behind each value
    line      a value that is marked, such as 1 for ratios
    """

    title: str
    series: list[str]
    groups: list[tuple[str, list[float | None]]]
    unit: str = ""
    line: float | None = None

    @property
    def _largest(self) -> float:
        return max((value for _, values in self.groups for value in values if value), default=1)

    def _x(self, value: float) -> float:
        return LABEL_WIDTH + value / self._largest * (WIDTH - LABEL_WIDTH - 90)

    def _legend(self) -> list[str]:
        if len(self.series) < 2:
            return []
        parts, x = [], float(LABEL_WIDTH)
        for number, name in enumerate(self.series):
            parts += [f'<rect class="c{number}" x="{x:.0f}" y="28" width="10" height="10" rx="2"/>',
                      f'<text class="small" x="{x + 15:.0f}" y="37">{escape(name)}</text>']
            x += 35 + 7 * len(name)
        return parts

    def _group(self, top: float, label: str, values: list[float | None]) -> list[str]:
        middle = top + BAR_HEIGHT * len(values) / 2 + 4
        parts = [f'<text x="{LABEL_WIDTH - 10}" y="{middle:.0f}" text-anchor="end">{escape(label)}</text>']
        for number, value in enumerate(values):
            if value is None:
                continue
            y, end = top + number * BAR_HEIGHT, self._x(value)
            text = f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
            parts += [f'<rect class="c{number}" x="{LABEL_WIDTH}" y="{y:.0f}" width="{end - LABEL_WIDTH:.1f}" '
                      f'height="{BAR_HEIGHT - 2}" rx="2"/>',
                      f'<text class="small" x="{end + 5:.1f}" y="{y + BAR_HEIGHT - 4:.0f}">{text}'
                      f'{escape(self.unit)}</text>']
        return parts

    def svg(self) -> str:
        """The whole file."""
        top, parts = float(TOP), []
        for label, values in self.groups:
            parts += self._group(top, label, values)
            top += BAR_HEIGHT * len(values) + GAP
        if self.line is not None and self.line <= self._largest:
            x = self._x(self.line)
            parts.append(f'<line class="rule" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{top:.0f}"/>')
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top:.0f}" width="{WIDTH}" '
            f'height="{top:.0f}" role="img" aria-label="{escape(self.title)}">', f"<style>{STYLE}</style>",
            f'<text class="title" x="10" y="18">{escape(self.title)}</text>', *self._legend(), *parts, "</svg>", ""])


def write(folder: Path, charts: dict[str, Chart]) -> list[str]:
    """NAME.svg each; the names of those that have anything in them."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name, chart in charts.items() if chart.groups]
    for name in names:
        (folder / f"{name}.svg").write_text(charts[name].svg())
    return names
