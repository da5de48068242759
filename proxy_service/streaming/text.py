"""Holds text back until it is certain that it may be sent.

This concerns text that may be the beginning of a stop string, and the first half of a surrogate
pair that is split between two events.
"""


class TextBuffer:
    """Takes text in pieces and releases what may be sent.

    Attributes:
        released: How many characters of the input were released.
        stopped: Whether a stop string was found; after that nothing is released.
        stop: The stop string that was found.
    """

    __slots__ = ("_held", "_stops", "released", "stop", "stopped")

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""
        self.released = 0
        self.stopped = False
        self.stop = ""

    @property
    def is_transparent(self) -> bool:
        """Whether all text without surrogates is released at once."""
        return not (self._stops or self._held or self.stopped)

    def feed(self, text: str) -> str:
        """Take a piece of text and return the text that may be sent."""
        if self.stopped:
            return ""
        if self._held:
            text = self._held + text
            self._held = ""
        if self._stops:
            text = self._cut(text)
        if text and _is_first_half(text[-1]):
            text, self._held = text[:-1], text[-1] + self._held
        self.released += len(text)
        return _join_pairs(text)

    def flush(self) -> str:
        """Return the text that is still held back, when the input has ended."""
        held, self._held = "" if self.stopped else self._held, ""
        self.released += len(held)
        return _join_pairs(held)

    def _cut(self, text: str) -> str:
        found = [(at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            at, self.stop = min(found)
            return text[:at]
        keep = max(_overlap(text, stop) for stop in self._stops)
        if keep:
            self._held = text[-keep:]
            return text[:-keep]
        return text


def _overlap(text: str, stop: str) -> int:
    """Return the length of the longest suffix of ``text`` that is a prefix of ``stop``."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if stop.startswith(text[-n:])), 0)


def _is_first_half(character: str) -> bool:
    return "\ud800" <= character <= "\udbff"


def _join_pairs(text: str) -> str:
    """Replace each surrogate pair by its character, and each lone surrogate by U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
