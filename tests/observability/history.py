"""Samples with times that a test chooses, for a Prometheus that scrapes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.observability.promtool import Promtool


class History:
    """Samples in the order in which they were added; each time is in whole seconds since 1970."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, name: str, labels: Mapping[str, str], value: float, *, at: int) -> None:
        """Add one sample."""
        pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        self._lines.append(f"{name}{{{pairs}}} {value!r} {at}")

    def store(self, promtool: Promtool, folder: Path) -> None:
        """Write all samples into ``folder``, as a Prometheus that starts there finds them."""
        file = folder / "samples.txt"
        file.write_text("\n".join([*self._lines, "# EOF\n"]), encoding="utf-8")
        result = promtool("tsdb", "create-blocks-from", "openmetrics", str(file), str(folder))
        assert result.returncode == 0, result.stdout + result.stderr


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
