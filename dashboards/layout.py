"""Arranges panels on Grafana's grid of 24 columns and gives them constant ids.

The SDK leaves ids empty and wraps lines without looking ahead, so both are done here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.models import dashboard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dashboards.panels import PanelBuilder

COLUMNS: Final = 24

# The ids of a row's panels follow its own, so that a new panel changes no id in another row.
_IDS_PER_ROW: Final = 100


@dataclass(frozen=True)
class Line:
    """Panels side by side, each with its width in columns; together they fill the screen."""

    height: int
    panels: tuple[tuple[int, PanelBuilder], ...]

    def __post_init__(self) -> None:
        width = sum(width for width, _ in self.panels)
        if width != COLUMNS:
            raise ValueError(f"a line of the dashboard is {width} columns wide, not {COLUMNS}")


@dataclass(frozen=True)
class Row:
    """A part of the dashboard with a heading."""

    title: str
    lines: tuple[Line, ...]
    collapsed: bool = False


def arrange(rows: Sequence[Row]) -> list[dashboard.Panel | dashboard.RowPanel]:
    """Return the rows and panels in order, with ids and grid positions.

    Panels of a collapsed row are inside it, those of an open row follow it.
    """
    arranged: list[dashboard.Panel | dashboard.RowPanel] = []
    y = 0
    for number, row in enumerate(rows, start=1):
        first_id = number * _IDS_PER_ROW
        panels = list(_panels(row, first_id + 1, y + 1))
        heading = dashboard.RowPanel(
            title=row.title,
            collapsed=row.collapsed,
            id_val=first_id,
            grid_pos=dashboard.GridPos(x=0, y=y, w=COLUMNS, h=1),
            panels=panels if row.collapsed else [],
        )
        arranged += [heading, *([] if row.collapsed else panels)]
        y += 1 if row.collapsed else 1 + sum(line.height for line in row.lines)
    return arranged


def _panels(row: Row, first_id: int, y: int) -> Iterator[dashboard.Panel]:
    panel_id = first_id
    for line in row.lines:
        x = 0
        for width, builder in line.panels:
            panel = builder.build()
            panel.id_val = panel_id
            panel.grid_pos = dashboard.GridPos(x=x, y=y, w=width, h=line.height)
            yield panel
            x += width
            panel_id += 1
        y += line.height
