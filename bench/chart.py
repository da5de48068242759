"""A bar chart of the rates and their ratios to nginx, as SVG."""

from xml.sax.saxutils import escape

from bench.subjects import NGINX
from bench.summary import Figure, Run

_BAR, _GAP, _LEFT, _WIDTH, _RIGHT = 18, 6, 190, 420, 170
_CELLS = {("unary", 32): "Requests/s, 32 connections", ("burst", 32): "Chunks/s, 32 streams"}
_COLOURS = {"nginx": "#7f8c8d", "this": "#2c7fb8", "engi": "#c7d3dd", "Lite": "#d98b5f"}
_HEAD = 30


def to_svg(run: Run) -> str:
    """Return an SVG with one group of bars for each of the two loads in the targets."""
    y, parts = 10, []
    for (kind, connections), title in _CELLS.items():
        rows = [
            (subject, figure)
            for subject in run.subjects()
            if (figure := run.figure((subject, kind, connections), "rate")) is not None
        ]
        parts.append(_group(run, title, rows, (kind, connections), y))
        y += _HEAD + len(rows) * (_BAR + _GAP) + 14
    width = _LEFT + _WIDTH + _RIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" '
        f'font-family="sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{y}" fill="white"/>\n{"".join(parts)}</svg>\n'
    )


def _group(
    run: Run, title: str, rows: list[tuple[str, Figure]], cell: tuple[str, int], top: int
) -> str:
    largest = max((figure.high for _, figure in rows), default=1)
    lines = [f'<text x="10" y="{top + 14}" font-weight="bold">{escape(title)}</text>\n']
    for row, (subject, figure) in enumerate(rows):
        y = top + _HEAD + row * (_BAR + _GAP)
        ratio = run.ratio((subject, *cell), (NGINX, *cell), "rate")
        lines.append(_bar(subject, figure, ratio, y, largest))
    return "".join(lines)


def _bar(subject: str, figure: Figure, ratio: Figure | None, y: int, largest: float) -> str:
    scale = _WIDTH / largest
    colour = next((c for start, c in _COLOURS.items() if subject.startswith(start)), "#999")
    middle, baseline = y + _BAR / 2, y + _BAR - 5
    label = f"{figure.median:,.0f}" + (f" = {ratio.median:.3g} x nginx" if ratio else "")
    return (
        f'<text x="{_LEFT - 8}" y="{baseline}" text-anchor="end">{escape(subject)}</text>'
        f'<rect x="{_LEFT}" y="{y}" width="{figure.median * scale:.1f}" height="{_BAR}" '
        f'fill="{colour}"/>'
        f'<line x1="{_LEFT + figure.low * scale:.1f}" x2="{_LEFT + figure.high * scale:.1f}" '
        f'y1="{middle}" y2="{middle}" stroke="#222"/>'
        f'<text x="{_LEFT + figure.high * scale + 6:.1f}" y="{baseline}">{escape(label)}</text>\n'
    )
