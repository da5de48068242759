"""Patterns as the engine's grammar reads them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_service.translate.schemas.patterns import MAX_LENGTH, to_grammar_pattern

# What the grammar can't hold: looking around, word boundaries, and references to groups.
CUT = [
    (r"^(?=.*\d)[a-z\d]+$", r"^[a-z\d]+$"),
    (r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$", r"^[+-]?0*\d*\.?\d*$"),  # pydantic's Decimal
    (r"(?<=a)b(?<!c)", "b"),
    (r"(?=a)*b", "b"),
    (r"\bfoo\B", "foo"),
    (r"(a)\1", r"(?:a)(?:[\s\S]*)"),
    (r"(?<q>a)\k<q>", r"(?:a)(?:[\s\S]*)"),
    (r"(?P<q>a)(?P=q)", r"(?:a)(?:[\s\S]*)"),
    (r"(?>a)b++", "(?:a)b+"),
    (r"\p{Unknown}", r"[\s\S]"),
    (r"[a\P{Unknown}]", r"[\s\S]"),
    # Anchors that aren't at an end of the pattern.
    ("(?:a$|b)c", "(?:a|b)c"),
    ("(^a)?b", "(?:a)?b"),
    ("a^b$c", "abc"),
]

# What is written in another way.
SAME = [
    ("", ""),
    ("^a|b$", "^a|b$"),
    ("^$|^(a|b)$", "^$|^(?:a|b)$"),
    ("^^a$$", "^a$"),
    ("(?<name>a)(?P<other>b)", "(?:a)(?:b)"),
    ("(?<stop>a)", "(?:a)"),  # the grammar has a meaning of its own for this name
    ("(?i)a(?#why)b", "(?i)ab"),
    ("(?i:a)", "(?i:a)"),
    (r"\Aa\Z", "^a$"),
    ("a*?b+?c{1,2}?", "a*b+c{1,2}"),
    ("a{,2}b{c}d{", r"a\{,2\}b\{c\}d\{"),
    ("a]-&~#/", r"a\]\-\&\~\#/"),
    (r"\/\@\<\_\é", "/@<_é"),
    (r"\cA\0\x41\u0041\u{1F600}", r"\x01\x00\x41\u0041\u{1F600}"),
    (r"\d\D\w\W\s\S\t", r"\d\D\w\W\s\S\t"),
    (r"\p{L}\P{Lu}\p{Script=Greek}", r"\p{L}\P{Lu}\p{Script=Greek}"),
    ("[^]", r"[\s\S]"),
    ("[[a&&b~~]", r"[\[a\&\&b\~\~]"),
    (r"[\b\]\w-.][a-\d][+--][-a]", r"[\x08\]\w\-.][a\-\d][+-\-][\-a]"),
]

# What isn't known to mean the same everywhere, or means nothing.
UNUSABLE = [
    *("(", ")", "[", "[]", "[]a]", "*", "a**", "^*", "|+", "a{2}{3}", "a{3,2}", "\\", r"\e"),
    *("(?x) a", "(?m)^a", "(?-i:a)", "(?(1)a|b)", "(?R)", r"\ud83d\ude00", r"[\e]"),
    *("a{100000}", "a{1,100000}", "a" * (MAX_LENGTH + 1), "(" * 100 + ")" * 100),
]


@pytest.mark.parametrize(("pattern", "expected"), CUT)
def test_what_a_grammar_cant_hold_is_cut_out(pattern: str, expected: str) -> None:
    found = to_grammar_pattern(pattern)

    assert (found.text, found.exact) == (expected, False)


@pytest.mark.parametrize(("pattern", "expected"), SAME)
def test_everything_else_means_the_same(pattern: str, expected: str) -> None:
    found = to_grammar_pattern(pattern)

    assert (found.text, found.exact) == (expected, True)


@pytest.mark.parametrize("pattern", UNUSABLE, ids=lambda pattern: pattern[:12])
def test_a_pattern_that_isnt_understood_is_left_out(pattern: str) -> None:
    found = to_grammar_pattern(pattern)

    assert (found.text, found.exact) == (None, False)


@given(
    st.text(r"ab()[]{}|^$*+?\.,-:=!<>dwsWpkx019 ", max_size=20), st.text("ab01 -.\n", max_size=6)
)
def test_a_translated_pattern_matches_what_the_original_matches(pattern: str, text: str) -> None:
    """As Python reads both, where it reads the original as JavaScript does."""
    found = to_grammar_pattern(pattern)
    try:
        original = re.compile(pattern, re.ASCII)
    except (re.error, OverflowError, FutureWarning):
        return
    if found.text is None or re.search(r"\\[Zpx0-9]|\[\^?\]|\{,", pattern):
        return
    matches = original.search(text) is not None
    assert not matches or re.search(found.text, text, re.ASCII)
    if found.exact and not text.endswith("\n"):  # before which Python's "$" matches too
        assert matches == (re.search(found.text, text, re.ASCII) is not None)
