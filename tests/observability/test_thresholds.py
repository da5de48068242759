"""The limits: their defaults, and one error for everything that is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts.prometheus import render as render_rules
from dashboards.overview import render as render_dashboard
from monitoring.thresholds import Thresholds, ThresholdsError


def test_defaults_are_those_of_the_specification() -> None:
    t = Thresholds()
    assert (t.high_latency_seconds, t.very_high_latency_seconds) == (5, 10)
    assert (t.high_error_ratio, t.high_active_requests) == (0.05, 50)
    assert (t.slow_generation_seconds, t.no_requests_minutes) == (30, 10)


def test_all_faults_are_in_one_error() -> None:
    with pytest.raises(ThresholdsError) as failure:
        Thresholds(
            high_latency_seconds=20,
            slow_generation_seconds=600,
            high_error_ratio=5,
            high_active_requests=0,
            availability_objective=0.9,
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
    assert "availability_objective is 0.9, but must be at least 0.94" in message


def test_one_changed_limit_shows_in_rules_texts_and_dashboard() -> None:
    t = replace(Thresholds(), high_latency_seconds=7.5)
    rules = render_rules(t)
    assert 'p95_5m{job="mistral"} > 7.5' in rules
    assert "(threshold 7.5 s)" in rules.replace("\n        ", " ")
    assert '"value": 7.5' in render_dashboard(t)
    assert '"value": 7.5' not in render_dashboard(Thresholds())
