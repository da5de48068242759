"""Finds out how much of the end of a text may be the beginning of a stop string.

A text arrives in many pieces, and there may be a hundred stop strings. To compare the end of the
text with the beginnings of all of them would cost more than everything else. This is the automaton
of Aho and Corasick: it has a state for each beginning, and is in the state of the longest one that
the text ends with. So each character costs the same, however many strings there are.

The states of one string follow each other: from state *s*, the string's next character leads to
*s + 1*. Where strings differ after a common beginning, all but the first branch off.
"""

from array import array
from collections.abc import Iterable


class StopPrefixes:
    """The beginnings of some strings, none of which may contain another one.

    ``lengths`` has the length of each state's beginning, in characters.
    """

    __slots__ = ("_branches", "_fallbacks", "_letters", "lengths")

    def __init__(self, stops: Iterable[str]) -> None:
        letters, parents = [" "], array("H", [0])
        self._branches: dict[tuple[int, str], int] = {}
        self.lengths = array("H", [0])
        for stop in stops:
            self._add(stop, letters, parents)
        self._letters = "".join(letters)  # the last one of each state's beginning
        # For each state, that of the longest other beginning that it ends with.
        self._fallbacks = array("H", bytes(2 * len(parents)))
        for state in sorted(range(1, len(parents)), key=self.lengths.__getitem__):
            if parent := parents[state]:
                fallback = self.advance(self._fallbacks[parent], self._letters[state])
                self._fallbacks[state] = fallback

    def advance(self, state: int, text: str) -> int:
        """Return the state after more text, which completes none of the strings."""
        letters, branches, fallbacks = self._letters, self._branches, self._fallbacks
        for letter in text:
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
        return state

    def _add(self, stop: str, letters: list[str], parents: array[int]) -> None:
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
                self.lengths.append(length)
