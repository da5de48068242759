"""Decides which part of the text so far may leave.

Two things are held back until it is clear what they become: text that may be the beginning
of a stop string, and the first half of a surrogate pair that two events share.
"""


class TextGate:
    """Passes text on piece by piece; ``stopped`` turns true once a stop string was complete.

    ``passed`` counts the characters of the input that have left.
    """

    __slots__ = ("_held", "_stops", "passed", "stopped")

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""
        self.passed = 0
        self.stopped = False

    @property
    def wide_open(self) -> bool:
        """Whether text without surrogates passes as it is."""
        return not (self._stops or self._held or self.stopped)

    def feed(self, text: str) -> str:
        """Take a piece and give what may leave; nothing leaves after a stop string."""
        if self.stopped:
            return ""
        if self._held:
            text = self._held + text
            self._held = ""
        if self._stops:
            text = self._cut(text)
        if text and _is_first_half(text[-1]):
            text, self._held = text[:-1], text[-1] + self._held
        self.passed += len(text)
        return _join_pairs(text)

    def flush(self) -> str:
        """Give what was held back for a continuation that did not come."""
        held, self._held = "" if self.stopped else self._held, ""
        self.passed += len(held)
        return _join_pairs(held)

    def _cut(self, text: str) -> str:
        found = [at for at in (text.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self.stopped = True
            return text[: min(found)]
        keep = max(_overlap(text, stop) for stop in self._stops)
        if keep:
            self._held = text[-keep:]
            return text[:-keep]
        return text


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of ``text`` that begins ``stop`` without being all of it."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if stop.startswith(text[-n:])), 0)


def _is_first_half(character: str) -> bool:
    return "\ud800" <= character <= "\udbff"


def _join_pairs(text: str) -> str:
    """Make one character of each surrogate pair and U+FFFD of each lone surrogate."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
