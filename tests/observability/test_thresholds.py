"""The limits: their defaults, and one error for everything that is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts.prometheus import render as render_rules
from dashboards.overview import render as render_dashboard
from monitoring.thresholds import Thresholds, ThresholdsError, Timing


def test_defaults_are_those_of_the_specification() -> None:
    t = Thresholds()
    assert (t.high_latency_seconds, t.very_high_latency_seconds) == (5, 10)
    assert (t.high_error_ratio, t.high_active_requests) == (0.05, 50)
    assert (t.slow_generation_seconds, t.no_requests_minutes) == (30, 10)
    assert t.timing == Timing.for_scrape_interval(15)


def test_all_faults_are_in_one_error() -> None:
    with pytest.raises(ThresholdsError) as failure:
        Thresholds(
            high_latency_seconds=20,
            slow_generation_seconds=600,
            high_error_ratio=5,
            high_active_requests=0,
            availability_objective=0.9,
            slow_tokens_per_second=0,
            no_requests_minutes=1.5,  # type: ignore[arg-type]
        )
    message = str(failure.value)
    assert (
        "very_high_latency_seconds is 10, but must be above high_latency_seconds, which is 20"
        in (message)
    )
    assert "slow_generation_seconds is 600" in message
    assert "high_error_ratio is 5" in message
    assert "0.05 means 5 %" in message
    assert "high_active_requests is 0, but must be a whole number of at least 1" in message
    assert "no_requests_minutes is 1.5" in message
    assert "slow_tokens_per_second is 0, but must be above 0" in message
    assert "availability_objective is 0.9, but must be at least 0.94" in message


def test_one_changed_limit_shows_in_rules_texts_and_dashboard() -> None:
    t = replace(Thresholds(), high_latency_seconds=7.5)
    rules = render_rules(t)
    assert 'p95_5m{job="mistral"} > 7.5' in rules
    assert "(threshold 7.5 s)" in rules.replace("\n        ", " ")
    assert '"value": 7.5' in render_dashboard(t)
    assert '"value": 7.5' not in render_dashboard(Thresholds())


@pytest.mark.parametrize("seconds", [1, 5, 10, 15, 20])
def test_short_scrape_intervals_have_the_default_timing(seconds: int) -> None:
    assert Timing.for_scrape_interval(seconds) == Timing(scrape_interval_seconds=seconds)


@pytest.mark.parametrize("seconds", [1, 5, 15, 17, 21, 30, 45, 60, 90, 120])
def test_every_window_and_wait_has_enough_scrapes(seconds: int) -> None:
    t = Timing.for_scrape_interval(seconds)
    windows = (t.window_seconds, t.slow_burn_short_seconds, t.fast_burn_seconds)
    waits = (t.down_for_seconds, t.page_for_seconds, t.ticket_for_seconds, t.notice_for_seconds)
    assert min(windows) >= 4 * seconds
    assert min(waits) >= 3 * seconds
    assert t.down_for_seconds < t.page_for_seconds < t.ticket_for_seconds


def test_a_minutes_scrape_interval_only_lengthens_what_has_too_few_scrapes() -> None:
    t = Timing.for_scrape_interval(60)
    assert (t.window_seconds, t.ticket_for_seconds) == (300, 300)
    assert (t.down_for_seconds, t.page_for_seconds, t.notice_for_seconds) == (180, 240, 180)


@pytest.mark.parametrize("seconds", [-15, 0, 121, 300])
def test_other_scrape_intervals_are_refused(seconds: int) -> None:
    with pytest.raises(ThresholdsError, match="must be from 1 to 120 s"):
        Timing.for_scrape_interval(seconds)


def test_a_window_with_too_few_scrapes_is_refused() -> None:
    with pytest.raises(ThresholdsError) as failure:
        Timing(scrape_interval_seconds=60, down_for_seconds=120)
    message = str(failure.value)
    assert "down_for_seconds is 120, but must be at least 180" in message
    assert "page_for_seconds is 120" in message
    assert "window_seconds" not in message


def test_idleness_cannot_be_shorter_than_four_scrapes() -> None:
    Thresholds(no_requests_minutes=4, timing=Timing.for_scrape_interval(60))
    with pytest.raises(ThresholdsError, match="no_requests_minutes is 3"):
        Thresholds(no_requests_minutes=3, timing=Timing.for_scrape_interval(60))
