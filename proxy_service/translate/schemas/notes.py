"""What a translation notes on its way: what it loosened, and how much it has of what is bounded."""

from dataclasses import dataclass, field

from proxy_service.translate.schemas.patterns import Pattern, to_grammar_pattern
from proxy_service.wire import JsonObject

# Characters of all patterns together: translating one takes a microsecond.
MAX_PATTERNS = 8_192
# Names that conjunctions collect, all of them together: of properties, and of those required.
MAX_NAMES = 50_000
# Characters of a name; a longer one counts as several. Each conjunction repeats all of its names.
ORDINARY_NAME = 100


@dataclass(slots=True)
class Notes:
    """Notes of one translation.

    Attributes:
        loosened: Keywords that the translated schema doesn't enforce, or not fully.
        items: Of all arrays, as counts of items are bounded.
        names: Of properties, collected from conjunctions.
    """

    loosened: set[str] = field(default_factory=set)
    items: int = 0
    names: int = 0
    _patterns: dict[str, Pattern] = field(default_factory=dict)
    _left: int = MAX_PATTERNS

    def pattern(self, pattern: str) -> Pattern:
        """Translate a pattern."""
        found = self._patterns.get(pattern)
        if found is None:
            self._left -= len(pattern)
            found = Pattern(None, exact=False) if self._left < 0 else to_grammar_pattern(pattern)
            self._patterns[pattern] = found
        if not found.exact:
            self.loosened.add("pattern")
        return found

    def count(self, schema: JsonObject, keyword: str, own: JsonObject, *, at_most: int) -> int:
        """Write a keyword whose value is a count, unless it is too large; return the count."""
        value = schema.get(keyword)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and value > at_most:
            self.loosened.add(keyword)
        elif value is not None:
            own[keyword] = value
            return value if isinstance(value, int) else 0
        return 0
