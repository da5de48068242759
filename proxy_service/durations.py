"""Durations as Ollama reads them, which is as Go's ``time.ParseDuration`` does."""

import re

# Characters, more than a sensible duration needs: matching takes quadratic time.
_MAX_LENGTH = 64
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)")


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as ``1h30m`` or ``-1m``.

    Raises:
        ValueError: It isn't one; the text is Go's.
    """
    if len(text) > _MAX_LENGTH:
        raise ValueError(f'time: invalid duration "{text}"')
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0.0
    if re.fullmatch(r"\d+\.?\d*|\.\d+", rest):
        raise ValueError(f'time: missing unit in duration "{text}"')
    parts = _PART.findall(rest)
    if not parts or "".join(number + unit for number, unit in parts) != rest:
        raise ValueError(f'time: invalid duration "{text}"')
    return sign * sum(float(number) * _UNITS[unit] for number, unit in parts)
