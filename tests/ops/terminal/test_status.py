import io
import re

from ops.terminal.status import Terminal

ERASE = "\r\033[K"


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def screen(written: str) -> list[str]:
    """Return the lines that a terminal shows after all of this was written to it."""
    return [line.rpartition(ERASE)[2] for line in written.split("\n")]


def test_on_a_terminal_a_status_is_rewritten_below_the_lines() -> None:
    output = Tty()
    terminal = Terminal(output)

    terminal.show_status("1 s")
    terminal.say("first")
    terminal.show_status("2 s")
    terminal.say("second")

    assert screen(output.getvalue()) == ["first", "second", "2 s"]


def test_an_empty_status_leaves_only_the_lines() -> None:
    output = Tty()
    terminal = Terminal(output)

    terminal.show_status("1 s")
    terminal.show_status("")
    terminal.say("first")

    assert screen(output.getvalue()) == ["first", ""]


def test_a_status_longer_than_the_terminal_is_cut_so_that_it_stays_one_line() -> None:
    output = Tty()

    Terminal(output).show_status("x" * 10_000)

    assert re.fullmatch(r"x{1,9999}", output.getvalue())


def test_elsewhere_each_status_is_a_line() -> None:
    output = io.StringIO()
    terminal = Terminal(output)

    terminal.show_status("1 s")
    terminal.say("first")
    terminal.show_status("11 s")
    terminal.show_status("")

    assert output.getvalue() == "1 s\nfirst\n11 s\n"
