"""The setting ``alertMuteTimings``."""

from typing import get_args

import pytest

from alerts.model import Severity
from infra.settings.mute_timings import SEVERITIES, MuteTiming, read_mute_timings
from infra.settings.reading import SettingsError
from infra.settings.types import NotifySeverity
from tests.infra.settings.loading import Load


def test_a_night_is_two_spans_since_grafana_takes_none_beyond_midnight() -> None:
    text = '{"Nights": {"times": ["22:00-07:00", "12:30-13:00"], "location": "Europe/Paris"}}'
    assert read_mute_timings(text) == (
        MuteTiming(
            "Nights",
            times=(("22:00", "24:00"), ("00:00", "07:00"), ("12:30", "13:00")),
            location="Europe/Paris",
        ),
    )


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("00:00-24:00", (("00:00", "24:00"),)),
        ("22:00-24:00", (("22:00", "24:00"),)),
        ("22:00-00:00", (("22:00", "24:00"),)),
    ],
)
def test_midnight_ends_a_day(text: str, times: tuple[tuple[str, str], ...]) -> None:
    (timing,) = read_mute_timings(f'{{"x": {{"times": ["{text}"]}}}}')
    assert timing.times == times


def test_weekdays_and_severities_are_kept_and_all_severities_are_the_default() -> None:
    weekend, holidays = read_mute_timings(
        '{"Weekend": {"weekdays": ["saturday", "sunday"], "severities": ["info"]}, "Holidays": {}}'
    )
    assert weekend == MuteTiming("Weekend", weekdays=("saturday", "sunday"), severities=("info",))
    assert weekend.is_defined
    assert holidays == MuteTiming("Holidays", severities=("critical", "warning", "info"))
    assert not holidays.is_defined


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nights", "'nights' is not a JSON object such as"),
        ("[]", "is not a JSON object such as"),
        ('{"N": "22:00-07:00"}', "N: '22:00-07:00' is not an object with times, weekdays"),
        ('{"N": {"time": []}}', "N: time is unknown; use times, weekdays, location, severities"),
        ('{"N": {"times": "22:00-07:00"}}', "N: times must be a list of texts"),
        ('{"N": {"times": [22]}}', "N: times must be a list of texts"),
        ('{"N": {"times": ["22-7"]}}', "'22-7' is not a time span such as 22:00-07:00"),
        ('{"N": {"times": ["7:00-8:00"]}}', "is not a time span"),
        ('{"N": {"times": ["24:00-07:00"]}}', "is not a time span"),
        ('{"N": {"times": ["07:00-25:00"]}}', "is not a time span"),
        ('{"N": {"times": ["07:00-07:00"]}}', "is not a time span"),
        ('{"N": {"weekdays": ["Mon"]}}', "'Mon' is not a weekday such as monday"),
        ('{"N": {"weekdays": ["friday:monday"]}}', "is not a weekday such as monday, or a range"),
        ('{"N": {"weekdays": ["monday:tuesday:friday"]}}', "is not a weekday"),
        ('{"N": {"severities": ["none"]}}', "'none' is not one of critical, warning, info"),
        ('{"N": {"severities": []}}', "severities must not be empty"),
        (
            '{"N": {"times": ["22:00-07:00"], "location": "Paris"}}',
            "'Paris' is not a time zone such as Europe/Paris",
        ),
        ('{"N": {"location": "Europe/Paris"}}', "location has no effect without times"),
        ('{" ": {}}', "a mute timing needs a name"),
    ],
)
def test_a_bad_mute_timing_is_refused_with_what_is_allowed(text: str, complaint: str) -> None:
    with pytest.raises(ValueError) as failure:  # noqa: PT011 - the text is checked
        read_mute_timings(text)
    assert complaint in str(failure.value)


def test_all_faults_are_in_one_error() -> None:
    with pytest.raises(ValueError) as failure:  # noqa: PT011 - the text is checked
        read_mute_timings('{"A": {"times": ["x"], "weekdays": ["y"]}, "B": 1}')
    for fault in ("A: 'x' is not", "A: 'y' is not", "B: 1 is not"):
        assert fault in str(failure.value)


def test_mute_timings_need_a_receiver(loaded: Load) -> None:
    values = {"alertMuteTimings": '{"Nights": {"times": ["22:00-07:00"]}}'}
    with pytest.raises(SettingsError, match="alertMuteTimings: has no effect without a receiver"):
        loaded(values)
    chosen = loaded({**values, "alertEmails": "a@example.org", "smtpHost": "mail.example.org:25"})
    assert chosen.alert_mute_timings[0].name == "Nights"


def test_the_lowest_severity_is_one_of_the_alerts_severities(loaded: Load) -> None:
    assert SEVERITIES == get_args(Severity) == tuple(NotifySeverity)
    with pytest.raises(SettingsError, match="'none' is not one of critical, warning, info"):
        loaded({"notifySeverity": "none"})
