"""What remains on a terminal of Pulumi's output."""

import io

import pytest

from ops.stack.update_lines import writer
from ops.terminal.status import Terminal

LINES = (
    "Updating (dev):",
    "@ updating......",
    "@ previewing update....",
    " +  docker:index:Image proxy-image creating (0s) ",
    " ++ docker:index:Container proxy-container creating replacement (0s) [diff: +command]",
    "\x1b[32m +  \x1b[0mdocker:index:Image proxy-image \x1b[32mcreating (12s)\x1b[0m exporting",
    " +  docker:index:Image proxy-image created (13s) Image built",
    " +  docker:index:Container engine-container creating (46s) error: 1 error occurred:",
    " +  docker:index:Container engine-container **creating failed** error: 1 error occurred:",
    "Resources:",
)
KEPT = (LINES[0], *LINES[6:])


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def test_on_a_terminal_what_is_done_stays_and_what_goes_on_is_a_status() -> None:
    screen = Screen()
    write_line = writer(Terminal(screen))

    for line in LINES:
        write_line(line)

    kept = [line.rpartition("\033[K")[2] for line in screen.getvalue().split("\n")[:-1]]
    assert kept == list(KEPT)
    assert "docker:index:Image proxy-image creating (12s) exporting" in screen.getvalue()
    assert "@ " not in screen.getvalue()


def test_elsewhere_every_line_is_kept_as_it_is() -> None:
    output = io.StringIO()
    write_line = writer(Terminal(output))

    for line in LINES:
        write_line(line)

    assert output.getvalue() == "".join(f"{line}\n" for line in LINES)
