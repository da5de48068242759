"""Holds text back until it is certain that it may be sent.

This concerns text that may be the beginning of a stop string, and the first half of a surrogate
pair that is split between two events.
"""

from proxy_service.streaming.stops import StopFinder


class TextBuffer:
    """Takes text in pieces and releases what may be sent.

    Attributes:
        released: How many characters of the input were released.
        stopped: Whether a stop string was found; after that nothing is released.
        stop: The stop string that was found.
    """

    __slots__ = ("_finder", "_held", "released", "stop", "stopped")

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._finder = StopFinder(_without_longer(stops)) if stops else None
        self._held = ""
        self.released = 0
        self.stopped = False
        self.stop = ""

    @property
    def is_transparent(self) -> bool:
        """Whether all text without surrogates is released at once."""
        return not (self._finder or self._held or self.stopped)

    def feed(self, text: str) -> str:
        """Take a piece of text and return the text that may be sent."""
        if self.stopped:
            return ""
        held, self._held = self._held, ""
        text = self._cut(self._finder, held, text) if self._finder else held + text
        if text and _is_first_half(text[-1]):
            text, self._held = text[:-1], text[-1] + self._held
        self.released += len(text)
        return _join_pairs(text)

    def flush(self) -> str:
        """Return the text that is still held back, when the input has ended."""
        held, self._held = "" if self.stopped else self._held, ""
        self.released += len(held)
        return _join_pairs(held)

    def _cut(self, finder: StopFinder, held: str, piece: str) -> str:
        """Cut the text off at a stop string, or hold its end back if one may begin there."""
        end = finder.feed(piece)
        text = held + piece
        if end >= 0:
            self.stopped = True
            end += len(held)
            self.stop = text[end - finder.begun : end]
            return text[: end - finder.begun]
        begun = finder.begun
        if begun:
            self._held = text[-begun:]
            return text[:-begun]
        return text


def _without_longer(stops: tuple[str, ...]) -> tuple[str, ...]:
    """Leave out the strings that contain another one, which is complete before them."""
    different = tuple(dict.fromkeys(stops))
    return tuple(
        stop
        for stop in different
        if not any(other in stop for other in different if other is not stop)
    )


def _is_first_half(character: str) -> bool:
    return "\ud800" <= character <= "\udbff"


def _join_pairs(text: str) -> str:
    """Replace each surrogate pair by its character, and each lone surrogate by U+FFFD."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
