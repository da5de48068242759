"""Cuts regular expressions back to what the engine's grammar can hold.

A schema's patterns are written for JavaScript, Python or Rust. The grammar reads Rust's syntax and
can't look ahead or back; it takes ``^`` and ``$`` only at the ends. What it can't hold is left out,
so that the result matches at least what the pattern matches. A pattern that contains something
whose meaning isn't certain is not usable at all.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum

# Characters. The longest patterns in use, those of IPv6 networks, have some 500.
MAX_LENGTH = 4096
_MAX_GROUPS = 64  # within each other
_MAX_REPEATS = 99_999

_TOKEN = re.compile(
    r"""
      (?P<escape> \\ (?: u\{[0-9a-fA-F]{1,6}\} | u[0-9a-fA-F]{4} | x[0-9a-fA-F]{2} | c[A-Za-z]
                       | [pP]\{[^}]*\} | k<\w+> | [0-9]+ | . ) )
    | (?P<comment> \(\?\#[^)]*\) )
    | (?P<reference> \(\?P=\w+\) )
    | (?P<open> \( (?: \? (?: [:=!>] | <[=!] | P?<\w+> | [is]+[:)] ) )? )
    | (?P<close> \) )
    | (?P<bar> \| )
    | (?P<start> \^ )
    | (?P<end> \$ )
    | (?P<repeat> (?P<count> [*+?] | \{\d+(?:,\d*)?\} ) (?P<mode> [?+]? ) )
    | \[ (?P<negated> \^? ) (?P<set> (?: \\. | [^\]\\] )* ) \]
    | (?P<text> [^\\()\[|^$*+?{] | \{ )
    """,
    re.VERBOSE | re.DOTALL,
)
_IN_SET = re.compile(
    r"\\(?:u\{[0-9a-fA-F]{1,6}\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|c[A-Za-z]|[pP]\{[^}]*\}|.)|.",
    re.DOTALL,
)
_LOOK_AROUND = ("(?=", "(?!", "(?<=", "(?<!")
_FLAGS = re.compile(r"\(\?[is]+\)")
_ANYTHING = r"[\s\S]"
_SAME_ESCAPES = frozenset("dDwWsStnrfv")
_CLASSES = frozenset({r"\d", r"\D", r"\w", r"\W", r"\s", r"\S"})
_META = frozenset(r"\.+*?()|[]{}^$#&-~")
# Unicode properties that Rust knows by the same names.
_PROPERTY = re.compile(
    r"[pP]\{(?:(?:gc=|General_Category=)?(?:L[ulmot]?|M[nce]?|N[dlo]?|P[cdseifo]?|S[mcko]?|Z[slp]?"
    r"|C[cfo]?|Letter|Mark|Number|Punctuation|Symbol|Separator)"
    r"|Alphabetic|Uppercase|Lowercase|White_Space|ASCII|Any"
    r"|Emoji|Emoji_Component|Emoji_Modifier|Emoji_Presentation|Extended_Pictographic"
    r"|Regional_Indicator"
    r"|(?:sc|scx|Script|Script_Extensions)=(?:Arabic|Armenian|Bengali|Cyrillic|Devanagari|Georgian"
    r"|Greek|Han|Hangul|Hebrew|Hiragana|Katakana|Latin|Tamil|Thai))\}"
)
_SURROGATE = re.compile(r"u(?:\{0*)?[dD][89a-fA-F][0-9a-fA-F]{2}\}?")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern for the grammar.

    ``text`` is None if nothing of it is usable; ``exact`` is whether it matches only what the
    original does.
    """

    text: str | None
    exact: bool


class _UnusableError(ValueError):
    """The pattern contains what isn't known to mean the same in the grammar."""


class _Anchor(Enum):
    START = "^"
    END = "$"


@dataclass(slots=True)
class _Group:
    """Alternatives, each of them items: text, anchors, or groups with how often they repeat."""

    opening: str
    alternatives: list[list["str | _Anchor | _Group"]] = field(default_factory=lambda: [[]])
    repeat: str = ""


def to_grammar_pattern(pattern: str) -> Pattern:
    """Translate a pattern of a JSON Schema."""
    if len(pattern) > MAX_LENGTH:
        return Pattern(None, exact=False)
    reader = _Reader()
    try:
        text = _written(reader.read(pattern), at_start=True, at_end=True, lose=reader.lose)
    except _UnusableError:
        return Pattern(None, exact=False)
    return Pattern(text, exact=reader.exact)


class _Reader:
    """Reads one pattern into groups."""

    def __init__(self) -> None:
        self.exact = True
        self._open = [_Group("")]
        # What a quantifier would apply to: whether it is there, and whether it was left out.
        self._quantifiable = self._left_out = False

    def lose(self) -> None:
        """Note that something was left out."""
        self.exact = False

    def read(self, pattern: str) -> _Group:
        """Return the pattern as a group.

        Raises:
            _UnusableError: It contains something unknown.
        """
        position = 0
        while position < len(pattern):
            token = _TOKEN.match(pattern, position)
            if token is None:
                raise _UnusableError
            position = token.end()
            self._take(token)
        if len(self._open) > 1:
            raise _UnusableError
        return self._open[0]

    def _take(self, token: re.Match[str]) -> None:
        kind, text = token.lastgroup, token[0]
        if kind == "text":
            self._add(text if text == "." else _literal(text))
        elif kind == "repeat":
            self._repeat(token["count"], possessive=token["mode"] == "+")
        elif kind == "set":
            self._add(self._set(token["negated"], token["set"]))
        elif kind == "escape":
            self._escape(text[1:])
        elif kind == "open":
            self._begin(text)
        elif kind == "close":
            self._end()
        elif kind == "bar":
            self._open[-1].alternatives.append([])
            self._quantifiable = False
        elif kind in ("start", "end"):
            self._anchor(_Anchor(text))
        elif kind == "reference":
            self._back_reference()

    def _add(self, item: "str | _Group") -> None:
        self._open[-1].alternatives[-1].append(item)
        self._quantifiable, self._left_out = True, False

    def _anchor(self, anchor: _Anchor) -> None:
        self._open[-1].alternatives[-1].append(anchor)
        self._quantifiable = False

    def _leave_out(self) -> None:
        self.lose()
        self._quantifiable = self._left_out = True

    def _back_reference(self) -> None:
        self.lose()
        self._add(f"(?:{_ANYTHING}*)")

    def _repeat(self, count: str, *, possessive: bool) -> None:
        if not self._quantifiable:
            raise _UnusableError
        self._quantifiable = False
        low, _, high = count.strip("{}").partition(",")
        if low.isdigit() and int(high or low) > _MAX_REPEATS:
            raise _UnusableError
        if high and int(high) < int(low):
            raise _UnusableError
        if possessive:
            self.lose()
        if self._left_out:
            return
        alternative = self._open[-1].alternatives[-1]
        item = alternative[-1]
        if isinstance(item, _Group):
            item.repeat = count
        else:
            alternative.append(count)

    def _begin(self, text: str) -> None:
        if len(self._open) > _MAX_GROUPS:
            raise _UnusableError
        if text.startswith("(?") and text.endswith(")"):
            # Flags for the rest of the group.
            self._open[-1].alternatives[-1].append(text)
            self._quantifiable = False
            return
        if text == "(?>":
            self.lose()
        keeps = text in _LOOK_AROUND or text.endswith(":")
        self._open.append(_Group(text if keeps else "(?:"))
        self._quantifiable = False

    def _end(self) -> None:
        if len(self._open) == 1:
            raise _UnusableError
        group = self._open.pop()
        if group.opening in _LOOK_AROUND:
            self._leave_out()
        else:
            self._add(group)

    def _escape(self, name: str) -> None:
        if name in ("b", "B"):
            self._leave_out()
        elif name in ("A", "z", "Z"):
            self._anchor(_Anchor.START if name == "A" else _Anchor.END)
        elif name.startswith("k") or (name.isdigit() and name != "0"):
            self._back_reference()
        else:
            character = _escaped(name)
            if character is None:
                self.lose()
            self._add(character or _ANYTHING)

    def _set(self, negated: str, content: str) -> str:
        if not content:
            if negated:
                return _ANYTHING
            raise _UnusableError  # JavaScript's empty set, or Python's set that begins with "]"
        written: list[str] = []
        items = _IN_SET.findall(content)
        for index, item in enumerate(items):
            if len(item) == 1:
                # Rust gives a meaning to "[", "&&", "--" and "~~", and its ranges have no classes.
                before, after = written[-1:], items[index + 1 : index + 2]
                in_range = before and before != ["-"] and _CLASSES.isdisjoint(before + after)
                special = item in "[&~^" or (item == "-" and not in_range)
                written.append("\\" + item if special else item)
                continue
            character = r"\x08" if item == r"\b" else _escaped(item[1:])
            if character is None:
                self.lose()
                return _ANYTHING
            written.append(character)
        return f"[{negated}{''.join(written)}]"


def _escaped(name: str) -> str | None:
    """Return what is written for an escape; None if it stands for some characters, not known which.

    Raises:
        _UnusableError: The escape has no meaning that all dialects share.
    """
    if name in _SAME_ESCAPES:
        return "\\" + name
    if name == "0":
        return r"\x00"
    if name[0] in "pP" and len(name) > 1:
        return "\\" + name if _PROPERTY.fullmatch(name) else None
    if name[0] in "ux" and len(name) > 1:
        if _SURROGATE.fullmatch(name):
            raise _UnusableError
        return "\\" + name
    if name[0] == "c" and len(name) > 1:
        return f"\\x{ord(name[1]) % 32:02x}"
    if len(name) > 1 or (name.isascii() and name.isalnum()):
        raise _UnusableError
    return _literal(name)


def _literal(character: str) -> str:
    return "\\" + character if character in _META else character


def _written(group: _Group, *, at_start: bool, at_end: bool, lose: Callable[[], None]) -> str:
    """Write a group, without the anchors that aren't at an end of the pattern."""
    texts = [
        "".join(_items(items, at_start=at_start, at_end=at_end, lose=lose))
        for items in group.alternatives
    ]
    joined = "|".join(texts)
    return f"{group.opening}{joined}){group.repeat}" if group.opening else joined


def _items(
    items: list[str | _Anchor | _Group], *, at_start: bool, at_end: bool, lose: Callable[[], None]
) -> Iterator[str]:
    last = max((i for i, item in enumerate(items) if item is not _Anchor.END), default=-1)
    anchored = False
    for index, item in enumerate(items):
        if isinstance(item, _Group):
            once = not item.repeat
            yield _written(
                item,
                at_start=at_start and not anchored and once,
                at_end=at_end and index == len(items) - 1 and once,
                lose=lose,
            )
        elif item is _Anchor.START:
            if at_start and not anchored:
                yield "^"
            elif not at_start:
                lose()
            anchored = True
            continue
        elif item is _Anchor.END:
            if not (at_end and index > last):
                lose()
            elif index == last + 1:
                yield "$"
        else:
            yield item
            if _FLAGS.fullmatch(item):
                continue
        at_start = False
