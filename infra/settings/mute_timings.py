"""When alerts aren't sent: the value of the setting ``alertMuteTimings``."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args
from zoneinfo import available_timezones

from alerts.model import Severity
from infra.settings.json_objects import json_object

SEVERITIES: tuple[Severity, ...] = get_args(Severity)

# In Grafana's order; a range can't go beyond Saturday.
WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")

_EXAMPLE = '{"Nights": {"times": ["22:00-07:00"]}}'
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d"
_TIMES = re.compile(rf"({_TIME})-({_TIME}|24:00)")
_KEYS = ("times", "weekdays", "location", "severities")


@dataclass(frozen=True)
class MuteTiming:
    """A mute timing; without times and weekdays it is one that exists in Grafana already.

    Attributes:
        name: Its name in Grafana.
        times: Start and end of each span of a day, as ``HH:MM``; none means the whole day.
        weekdays: Weekdays or ranges of them, such as ``monday:friday``; none means every day.
        location: Time zone, as an IANA name.
        severities: Severities of the alerts that it mutes.
    """

    name: str
    times: tuple[tuple[str, str], ...] = ()
    weekdays: tuple[str, ...] = ()
    location: str = "UTC"
    severities: tuple[Severity, ...] = SEVERITIES

    @property
    def is_defined(self) -> bool:
        """Whether the stack creates it in Grafana."""
        return bool(self.times or self.weekdays)


def read_mute_timings(text: str) -> tuple[MuteTiming, ...]:
    """Read mute timings from a JSON object that maps each one's name to its facts.

    Raises:
        ValueError: Something is wrong; the message names every fault.
    """
    given = json_object(text, _EXAMPLE)
    faults = [f"{name}: {fault}" for name, facts in given.items() for fault in _faults(name, facts)]
    if faults:
        raise ValueError("; ".join(faults))
    return tuple(_mute_timing(name, facts) for name, facts in given.items())


def _mute_timing(name: str, facts: Mapping[str, Any]) -> MuteTiming:
    return MuteTiming(
        name,
        times=tuple(span for text in facts.get("times", ()) for span in _spans(text)),
        weekdays=tuple(facts.get("weekdays", ())),
        location=facts.get("location", MuteTiming.location),
        severities=tuple(facts.get("severities", SEVERITIES)),
    )


def _spans(text: str) -> tuple[tuple[str, str], ...]:
    """Return the spans within a day; Grafana takes none that goes beyond midnight."""
    start, end = text.split("-")
    if start < end:
        return ((start, end),)
    return tuple(span for span in ((start, "24:00"), ("00:00", end)) if span[0] != span[1])


def _faults(name: str, facts: object) -> Iterator[str]:
    if not name.strip():
        yield "a mute timing needs a name"
    if not isinstance(facts, dict):
        yield f"{facts!r} is not an object with {', '.join(_KEYS)}"
        return
    for key in sorted(facts.keys() - _KEYS):
        yield f"{key} is unknown; use {', '.join(_KEYS)}"
    lists = {key: facts[key] for key in _FAULT_OF if key in facts}
    for key, values in lists.items():
        if not _is_list_of_texts(values):
            yield f"{key} must be a list of texts"
            continue
        for value in values:
            if fault := _FAULT_OF[key](value):
                yield f"{value!r} is not {fault}"
    if facts.get("severities") == []:
        yield "severities must not be empty"
    yield from _location_faults(facts)


def _fault_of_times(text: str) -> str:
    match = _TIMES.fullmatch(text)
    return "" if match and match[1] != match[2] else "a time span such as 22:00-07:00"


def _fault_of_weekdays(text: str) -> str:
    first, _, last = text.partition(":")
    last = last or first
    if first in WEEKDAYS and last in WEEKDAYS and WEEKDAYS.index(first) <= WEEKDAYS.index(last):
        return ""
    return "a weekday such as monday, or a range from sunday to saturday such as monday:friday"


def _fault_of_severities(text: str) -> str:
    return "" if text in SEVERITIES else f"one of {', '.join(SEVERITIES)}"


# For each fact that is a list: what is wrong with an item, or "".
_FAULT_OF = {
    "times": _fault_of_times,
    "weekdays": _fault_of_weekdays,
    "severities": _fault_of_severities,
}


def _location_faults(facts: Mapping[str, Any]) -> Iterator[str]:
    if "location" not in facts:
        return
    location, known = facts["location"], available_timezones()
    # Without a time zone database here, Grafana is the first to know.
    if not isinstance(location, str) or (known and location not in known):
        yield f"{location!r} is not a time zone such as Europe/Paris"
    elif not (facts.get("times") or facts.get("weekdays")):
        yield "location has no effect without times or weekdays"


def _is_list_of_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
