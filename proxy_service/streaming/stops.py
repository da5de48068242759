"""Finds stop strings in a text that arrives in pieces, and how much of its end may begin one.

There may be a hundred strings, and thousands of pieces. To look for each string in each piece would
cost more than everything else. This is the automaton of Aho and Corasick: it has a state for each
beginning of a string, and is in the state of the longest one that the text ends with. So each
character costs the same, however many strings there are.

The states of one string follow each other: from state *s*, the string's next character leads to
*s + 1*. Where strings differ after a common beginning, all but the first branch off.
"""

from array import array
from collections.abc import Iterable


class StopFinder:
    """Looks for some strings, none of which contains another one."""

    __slots__ = ("_branches", "_fallbacks", "_is_whole", "_lengths", "_letters", "_state")

    def __init__(self, stops: Iterable[str]) -> None:
        letters, parents = [" "], array("H", [0])
        self._branches: dict[tuple[int, str], int] = {}
        self._lengths = array("H", [0])
        self._is_whole = bytearray(1)
        for stop in stops:
            self._add(stop, letters, parents)
        self._letters = "".join(letters)  # the last one of each state's beginning
        # For each state, that of the longest other beginning that it ends with.
        self._fallbacks = array("H", bytes(2 * len(parents)))
        for state in sorted(range(1, len(parents)), key=self._lengths.__getitem__):
            if parent := parents[state]:
                self._state = self._fallbacks[parent]
                self.feed(self._letters[state])
                self._fallbacks[state] = self._state
        self._state = 0

    @property
    def begun(self) -> int:
        """Return how many characters at the end of the text are or may begin a string."""
        return self._lengths[self._state]

    def feed(self, text: str) -> int:
        """Take more text; return how many characters of it come before the end of a string.

        If there is no string, return -1. Otherwise, no more text may be fed.
        """
        letters, branches, fallbacks = self._letters, self._branches, self._fallbacks
        is_whole, state = self._is_whole, self._state
        for position, letter in enumerate(text):
            while letters[state + 1] != letter:
                branch = branches.get((state, letter))
                if branch is not None:
                    state = branch
                    break
                if not state:
                    break
                state = fallbacks[state]
            else:
                state += 1
            if is_whole[state]:
                self._state = state
                return position + 1
        self._state = state
        return -1

    def _add(self, stop: str, letters: list[str], parents: "array[int]") -> None:
        state = 0
        for length, letter in enumerate(stop, start=1):
            if letters[state + 1 : state + 2] == [letter]:
                state += 1
                continue
            new = len(parents)
            parent, state = state, self._branches.get((state, letter), new)
            if state == new:
                if new > parent + 1:
                    self._branches[parent, letter] = new
                letters.append(letter)
                parents.append(parent)
                self._lengths.append(length)
                self._is_whole.append(length == len(stop))
