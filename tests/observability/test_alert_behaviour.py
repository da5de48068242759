"""Each alert with series of its own: it fires, is silent just below and just before, and resolves.

One value is one scrape, every 15 seconds. ``0+2x80`` is a counter that grows by 2 per scrape for 20
minutes. ``1x20`` is a value that is repeated 20 times, so the next value is at 5m15s.
"""

from __future__ import annotations

import pytest

from tests.observability.promtool import (
    ALERTS,
    INSTANCE,
    UP,
    RuleTest,
    fires,
    histogram,
    metric,
    silent,
)

WAIT = "mistral_request_wait_seconds"
WAIT_P95 = "instance:mistral_request_wait_seconds:p95_5m"
GENERATE = "mistral_generate_duration_seconds"
SCRAPED = {"engine": "mistral", "engine_type": "inference"}


def requests(**by_status: str) -> dict[str, str]:
    """Return the counter of chat requests by status."""
    return {
        metric("mistral_http_requests_total", endpoint="chat", status=status): values
        for status, values in by_status.items()
    }


def waiting(seconds: float, values: str) -> dict[str, str]:
    """Return the series of requests whose clients all wait ``seconds``, and that succeed."""
    bounds = ("5", "7.5", "10", "15", "20")
    counts = {le: values if seconds <= float(le) else "0x200" for le in bounds}
    return {
        **histogram(WAIT, {**counts, "+Inf": values}, endpoint="chat"),
        **requests(success=values),
    }


def staircase(scrapes: int) -> str:
    """Return a counter that grows by 1 every ``scrapes`` scrapes, for 20 minutes."""
    return " ".join(f"{n // scrapes}" for n in range(80))


# --- MistralDown


def test_a_failing_scrape_fires_after_a_minute_and_resolves_with_the_next_good_one(
    rules: RuleTest,
) -> None:
    rules.check(
        {UP: "1x20 0x20 1x20"},
        silent("MistralDown", at="5m"),
        silent("MistralDown", at="6m"),
        fires("MistralDown", at="6m15s", **SCRAPED),
        fires("MistralDown", at="10m15s", **SCRAPED),
        silent("MistralDown", at="10m30s"),
    )


def test_a_target_that_leaves_the_configuration_fires_too(rules: RuleTest) -> None:
    rules.check(
        {UP: "1x20 stale"},
        silent("MistralDown", at="6m"),
        fires("MistralDown", at="6m15s", instance=""),
        fires("MistralDown", at="30m", instance=""),
    )


def test_a_target_that_was_never_scraped_fires(rules: RuleTest) -> None:
    rules.check({}, silent("MistralDown", at="45s"), fires("MistralDown", at="1m", instance=""))


def test_one_lost_scrape_is_silent(rules: RuleTest) -> None:
    rules.check(
        {UP: "1x20 0 1x20 0 1x20"}, *(silent("MistralDown", at=f"{m}m") for m in range(1, 15))
    )


# --- MistralVeryHighLatency and MistralHighLatency


def test_twelve_seconds_fire_very_high_after_two_minutes_and_never_high(rules: RuleTest) -> None:
    rules.check(
        {UP: "1x100", **waiting(12, "0+1x60 60x40")},
        silent("MistralVeryHighLatency", at="2m"),
        fires("MistralVeryHighLatency", at="5m", value="14.75s"),
        fires("MistralVeryHighLatency", at="15m", value="14.75s"),
        *(silent("MistralHighLatency", at=f"{m}m") for m in range(1, 25)),
        silent("MistralVeryHighLatency", at="21m"),
    )


def test_seven_seconds_fire_high_after_five_minutes_and_never_very_high(rules: RuleTest) -> None:
    rules.check(
        {UP: "1x100", **waiting(7, "0+1x60 60x40")},
        silent("MistralHighLatency", at="5m"),
        fires("MistralHighLatency", at="7m", value="7.375s"),
        fires("MistralHighLatency", at="15m", value="7.375s"),
        *(silent("MistralVeryHighLatency", at=f"{m}m") for m in range(1, 25)),
        silent("MistralHighLatency", at="21m"),
    )


def test_requests_just_within_the_limits_are_fine(rules: RuleTest) -> None:
    rules.check(
        {UP: "1x100", **waiting(5, "0+1x100")},
        *(silent("MistralHighLatency", at=f"{m}m") for m in range(1, 25)),
    )
    rules.check(
        {UP: "1x100", **waiting(10, "0+1x100")},
        *(silent("MistralVeryHighLatency", at=f"{m}m") for m in range(1, 25)),
    )


@pytest.mark.parametrize("alert", ["MistralHighLatency", "MistralVeryHighLatency"])
def test_one_slow_request_in_an_hour_is_too_few(rules: RuleTest, alert: str) -> None:
    rules.check(
        {UP: "1x240", **waiting(20, "0x40 1x200")},
        *(silent(alert, at=f"{m}m") for m in range(10, 20)),
    )


@pytest.mark.parametrize(
    ("alert", "seconds", "value"),
    [("MistralHighLatency", 7, "7.375s"), ("MistralVeryHighLatency", 12, "14.75s")],
)
def test_four_slow_requests_in_five_minutes_are_too_few_and_six_are_enough(
    rules: RuleTest, alert: str, seconds: float, value: str
) -> None:
    every_75_seconds, every_45_seconds = staircase(5), staircase(3)
    rules.check(
        {UP: "1x100", **waiting(seconds, every_75_seconds)},
        *(silent(alert, at=f"{m}m") for m in range(1, 20)),
    )
    rules.check(
        {UP: "1x100", **waiting(seconds, every_45_seconds)}, fires(alert, at="15m", value=value)
    )


def test_latency_that_swings_around_the_upper_limit_still_fires_the_lower_one(
    rules_of_prometheus: RuleTest,
) -> None:
    swinging = " ".join(["9 9 9 12 12 12"] * 12)
    rules_of_prometheus.check(
        {
            UP: "1x100",
            f'{WAIT_P95}{{job="mistral",instance="{INSTANCE}"}}': swinging,
        },
        *(silent("MistralVeryHighLatency", at=f"{m}m") for m in range(1, 16)),
        fires("MistralHighLatency", at="9m", value="9s"),
    )


@pytest.mark.parametrize("alert", ["MistralHighLatency", "MistralVeryHighLatency"])
def test_a_restart_of_a_fast_proxy_is_silent(rules: RuleTest, alert: str) -> None:
    rules.check(
        {UP: "1x100", **waiting(2, "0+5x40 0+5x40")},
        *(silent(alert, at=f"{m}m") for m in range(1, 20)),
    )


# --- MistralHighErrorRate


def test_six_per_cent_of_errors_fire_after_five_minutes_and_resolve(rules: RuleTest) -> None:
    rules.check(
        {UP: "1x140", **requests(success="0+94x60 5640+100x60", error="0+6x60 360x60")},
        silent("MistralHighErrorRate", at="5m"),
        fires("MistralHighErrorRate", at="6m", value="6%"),
        fires("MistralHighErrorRate", at="15m", value="6%"),
        silent("MistralHighErrorRate", at="20m"),
    )


def test_cancelled_requests_do_not_hide_failing_ones(rules: RuleTest) -> None:
    rules.check(
        {
            UP: "1x100",
            **requests(success="0+47x100", error="0+3x100", cancelled="0+50x100"),
        },
        fires("MistralHighErrorRate", at="15m", value="6%"),
    )


@pytest.mark.parametrize(
    "series",
    [
        pytest.param({"success": "0+96x100", "error": "0+4x100"}, id="four per cent"),
        pytest.param({"success": "0+95x100", "error": "0+5x100"}, id="exactly five per cent"),
        pytest.param({"success": "0x100", "error": "0x20 1 2 3x77"}, id="all of three requests"),
        pytest.param({"success": "0+50x100", "cancelled": "0+50x100"}, id="half cancelled"),
        pytest.param({"success": "0+50x100", "client_error": "0+50x100"}, id="half client errors"),
        pytest.param(
            {"error": staircase(5), "cancelled": "0+50x100", "client_error": "0+50x100"},
            id="four failures among many cancelled requests and client errors",
        ),
        pytest.param({"success": "0x100", "error": "0x100"}, id="no traffic"),
        pytest.param({"success": "0+100x50 0+100x50", "error": "0+1x50 0+1x50"}, id="a restart"),
    ],
)
def test_error_rate_is_silent_at(rules: RuleTest, series: dict[str, str]) -> None:
    rules.check(
        {UP: "1x120", **requests(**series)},
        *(silent("MistralHighErrorRate", at=f"{m}m") for m in range(1, 25)),
    )


# --- MistralEngineUnreachable

ENGINE = metric("mistral_upstream_up")
STARTED = metric("mistral_start_time_seconds")


def test_an_unreachable_engine_fires_after_two_minutes_and_resolves(rules: RuleTest) -> None:
    rules.check(
        {UP: "1x100", ENGINE: "1x20 0x20 1x60"},
        silent("MistralEngineUnreachable", at="7m"),
        fires("MistralEngineUnreachable", at="7m15s", **SCRAPED),
        silent("MistralEngineUnreachable", at="10m30s"),
        *(silent("MistralDown", at=f"{m}m") for m in range(1, 20)),
    )


def test_an_engine_that_downloads_its_model_first_has_half_an_hour(rules: RuleTest) -> None:
    """It answers after 25 minutes and stops ten minutes later, which fires as usual."""
    rules.check(
        {UP: "1x200", STARTED: "0x200", ENGINE: "0x99 1x39 0x60", **requests(error="0+1x200")},
        *(silent("MistralEngineUnreachable", at=f"{m}m") for m in range(1, 37)),
        fires("MistralEngineUnreachable", at="37m15s", **SCRAPED),
    )


def test_an_engine_that_never_answers_fires_after_half_an_hour(rules: RuleTest) -> None:
    rules.check(
        {UP: "1x200", STARTED: "0x200", ENGINE: "0x200"},
        silent("MistralEngineUnreachable", at="32m"),
        fires("MistralEngineUnreachable", at="32m15s", **SCRAPED),
    )


def test_an_unreachable_engine_still_fires_after_a_restart_of_the_proxy(rules: RuleTest) -> None:
    """The engine stops at 5m15s. The proxy restarts at 30m and doesn't know of earlier answers."""
    rules.check(
        {UP: "1x200", STARTED: "-3600x119 1800x80", ENGINE: "1x20 0x180"},
        *(fires("MistralEngineUnreachable", at=f"{m}m", **SCRAPED) for m in range(8, 48, 3)),
    )


def test_an_unreachable_engine_fires_one_alert(rules: RuleTest) -> None:
    """The engine is down for twenty minutes; no other alert fires then or afterwards."""
    series = {
        UP: "1x240",
        ENGINE: "1x40 0x79 1x120",
        **requests(success="0+10x40 400x79 410+10x120", error="0x40 10+10x79 800x120"),
    }
    others = [name for name in ALERTS if name != "MistralEngineUnreachable"]
    rules.check(
        series,
        fires("MistralEngineUnreachable", at="20m", **SCRAPED),
        *(silent(name, at=f"{m}m") for name in others for m in range(13, 50, 3)),
    )


def test_an_engine_that_stops_again_and_again_fires_the_error_rate(rules: RuleTest) -> None:
    """It is never down for two minutes, so nothing may silence the error rate."""
    series = {
        UP: "1x120",
        ENGINE: " ".join(["1 1 1 1 0 0 0 0"] * 15),
        **requests(success="0+5x120", error="0+5x120"),
    }
    rules.check(
        series,
        silent("MistralEngineUnreachable", at="15m"),
        fires("MistralHighErrorRate", at="15m", value="50%"),
    )


# --- MistralErrorBudgetFastBurn and MistralErrorBudgetSlowBurn


def test_a_fifth_of_errors_burns_the_budget_fast_and_stops_soon_after_the_errors(
    rules: RuleTest,
) -> None:
    rules.check(
        {UP: "1x400", **requests(success="0+8x240 1920+10x160", error="0+2x240 480x160")},
        fires("MistralErrorBudgetFastBurn", at="50m", value="20%"),
        fires("MistralHighErrorRate", at="50m", value="20%"),
        silent("MistralErrorBudgetFastBurn", at="1h7m"),
    )


@pytest.mark.parametrize(
    "series",
    [
        pytest.param({"success": "0+86x280", "error": "0+14x280"}, id="fourteen per cent"),
        pytest.param({"success": "0x280", "error": "0x20 90x260"}, id="ninety requests only"),
        pytest.param(
            {"error": "0x20 90x260", "cancelled": "0+50x280"}, id="ninety, and cancelled ones"
        ),
        pytest.param({"success": "0+50x280", "client_error": "0+50x280"}, id="client errors"),
        pytest.param({"success": "0x280", "error": "0x280"}, id="no traffic"),
    ],
)
def test_the_fast_burn_is_silent_at(rules: RuleTest, series: dict[str, str]) -> None:
    rules.check(
        {UP: "1x300", **requests(**series)},
        *(silent("MistralErrorBudgetFastBurn", at=f"{m}m") for m in range(2, 70, 4)),
    )


def test_four_per_cent_of_errors_burn_the_budget_slowly(rules: RuleTest) -> None:
    rules.check(
        {UP: "1x800", **requests(success="0+96x800", error="0+4x800")},
        fires("MistralErrorBudgetSlowBurn", at="3h", value="4%"),
        silent("MistralHighErrorRate", at="3h"),
        silent("MistralErrorBudgetFastBurn", at="3h"),
        evaluated_every="1m",
    )


def test_the_slow_burn_resolves_once_two_hours_were_clean(rules: RuleTest) -> None:
    rules.check(
        {
            UP: "1x1800",
            **requests(success="0+951x1200 1141200+1000x600", error="0+49x1200 58800x600"),
        },
        fires("MistralErrorBudgetSlowBurn", at="5h", value="4.9%"),
        silent("MistralErrorBudgetSlowBurn", at="7h15m"),
        evaluated_every="1m",
    )


def test_slowness_does_not_hide_a_fifth_of_errors(rules: RuleTest) -> None:
    rules.check(
        {
            UP: "1x240",
            **waiting(12, "0+10x240"),
            **requests(success="0+8x240", error="0+2x240"),
        },
        fires("MistralVeryHighLatency", at="50m", value="14.75s"),
        fires("MistralErrorBudgetFastBurn", at="50m", value="20%"),
    )


def test_the_slow_burn_leaves_it_to_the_error_rate(rules: RuleTest) -> None:
    rules.check(
        {UP: "1x400", **requests(success="0+90x400", error="0+10x400")},
        fires("MistralHighErrorRate", at="1h", value="10%"),
        silent("MistralErrorBudgetSlowBurn", at="1h"),
        evaluated_every="1m",
    )


def test_two_per_cent_of_errors_are_within_the_slow_burn(rules: RuleTest) -> None:
    rules.check(
        {UP: "1x800", **requests(success="0+98x800", error="0+2x800")},
        *(silent("MistralErrorBudgetSlowBurn", at=f"{m}m") for m in range(10, 190, 30)),
        evaluated_every="1m",
    )


# --- MistralHighActiveRequests

ACTIVE = metric("mistral_active_requests")


def test_fifty_one_active_requests_fire_after_five_minutes(rules: RuleTest) -> None:
    rules.check(
        {UP: "1x100", ACTIVE: "0x19 51x40 0x40"},
        silent("MistralHighActiveRequests", at="9m45s"),
        fires("MistralHighActiveRequests", at="10m", value="51"),
        fires("MistralHighActiveRequests", at="15m", value="51"),
        silent("MistralHighActiveRequests", at="16m15s"),
    )


def test_fifty_active_requests_never_fire(rules: RuleTest) -> None:
    rules.check(
        {UP: "1x100", ACTIVE: "50x100"},
        *(silent("MistralHighActiveRequests", at=f"{m}m") for m in range(1, 25)),
    )


def test_a_lost_scrape_does_not_resolve_a_pile_of_requests(rules: RuleTest) -> None:
    rules.check(
        {UP: "1x40 0 1x40", ACTIVE: "60x40 stale 60x40"},
        fires("MistralHighActiveRequests", at="10m", value="60"),
        fires("MistralHighActiveRequests", at="10m15s", value="60"),
        fires("MistralHighActiveRequests", at="10m30s", value="60"),
    )


# --- MistralSlowGeneration


def generations(
    model: str, seconds: float, values: str, *, tokens_per_second: float = 1
) -> dict[str, str]:
    """Return the series of one model's generations that all take ``seconds``.

    They decode all the time that the values are for.
    """
    bounds = ("5", "20", "30", "45", "60")
    counts = {le: values if seconds <= float(le) else "0x200" for le in bounds}
    return {
        **histogram(GENERATE, {**counts, "+Inf": values}, model=model),
        metric("mistral_decode_tokens_total", model=model): f"0+{tokens_per_second * 15:g}x100",
        metric("mistral_decode_seconds_total", model=model): "0+15x100",
    }


def test_slow_generation_fires_only_for_the_slow_model(rules: RuleTest) -> None:
    rules.check(
        {
            UP: "1x100",
            **generations("big", 40, "0+1x60 60x40"),
            **generations("small", 5, "0+1x100"),
        },
        silent("MistralSlowGeneration", at="5m"),
        fires("MistralSlowGeneration", at="7m", value="44.25s", model="big"),
        fires("MistralSlowGeneration", at="15m", value="44.25s", model="big"),
        silent("MistralSlowGeneration", at="21m"),
    )


@pytest.mark.parametrize(
    ("seconds", "values", "tokens_per_second"),
    [
        pytest.param(30, "0+1x100", 1, id="exactly thirty seconds"),
        pytest.param(40, "0+1x100", 3, id="long but not slow"),
        pytest.param(40, "0x20 1x80", 1, id="one generation only"),
        pytest.param(40, "0x100", 1, id="no traffic"),
        pytest.param(5, "0+4x40 0+4x60", 1, id="a restart"),
    ],
)
def test_slow_generation_is_silent_at(
    rules: RuleTest, seconds: float, values: str, tokens_per_second: float
) -> None:
    rules.check(
        {
            UP: "1x100",
            **generations("big", seconds, values, tokens_per_second=tokens_per_second),
        },
        *(silent("MistralSlowGeneration", at=f"{m}m") for m in range(1, 25)),
    )


# --- MistralSlowFirstToken


def first_tokens(model: str, seconds: float, values: str) -> dict[str, str]:
    """Return the series of one model's streams whose first token takes ``seconds``."""
    bounds = ("1", "5", "7.5", "10", "20")
    counts = {le: values if seconds <= float(le) else "0x200" for le in bounds}
    return histogram("mistral_time_to_first_token_seconds", {**counts, "+Inf": values}, model=model)


def test_a_late_first_token_fires_only_for_its_model_and_resolves(rules: RuleTest) -> None:
    rules.check(
        {
            UP: "1x100",
            **first_tokens("big", 6, "0+1x60 60x40"),
            **first_tokens("small", 1, "0+1x100"),
        },
        silent("MistralSlowFirstToken", at="5m"),
        fires("MistralSlowFirstToken", at="7m", value="7.375s", model="big"),
        silent("MistralSlowFirstToken", at="21m"),
    )


@pytest.mark.parametrize(
    ("seconds", "alert"), [(7, "MistralHighLatency"), (12, "MistralVeryHighLatency")]
)
def test_late_first_tokens_of_most_requests_are_one_alert_on_latency(
    rules: RuleTest, seconds: float, alert: str
) -> None:
    rules.check(
        {UP: "1x100", **first_tokens("big", seconds, "0+1x100"), **waiting(seconds, "0+1x100")},
        fires(alert, at="15m", value="7.375s" if seconds == 7 else "14.75s"),
        *(silent("MistralSlowFirstToken", at=f"{m}m") for m in range(1, 25)),
    )


@pytest.mark.parametrize(
    ("seconds", "values"),
    [
        pytest.param(5, "0+1x100", id="exactly five seconds"),
        pytest.param(20, "0x20 3x80", id="three streams only"),
        pytest.param(20, "0x100", id="no traffic"),
        pytest.param(1, "0+4x40 0+4x60", id="a restart"),
    ],
)
def test_first_token_is_silent_at(rules: RuleTest, seconds: float, values: str) -> None:
    rules.check(
        {UP: "1x100", **first_tokens("big", seconds, values)},
        *(silent("MistralSlowFirstToken", at=f"{m}m") for m in range(1, 25)),
    )


# --- MistralNoRequests


def test_idleness_fires_after_ten_minutes_and_one_request_resolves_it(rules: RuleTest) -> None:
    rules.check(
        {UP: "1x120", STARTED: "-3600x120", **requests(success="0+1x40 40x59 41x20")},
        silent("MistralNoRequests", at="19m"),
        fires("MistralNoRequests", at="21m30s", value="0"),
        fires("MistralNoRequests", at="24m45s", value="0"),
        silent("MistralNoRequests", at="25m15s"),
    )


def test_a_proxy_that_never_got_a_request_is_idle_too(rules: RuleTest) -> None:
    rules.check(
        {UP: "1x120", STARTED: "0x120", **requests(success="0x120", error="0x120")},
        silent("MistralNoRequests", at="10m"),
        fires("MistralNoRequests", at="12m", value="0"),
    )


def test_a_restarted_proxy_has_ten_minutes(rules: RuleTest) -> None:
    rules.check(
        {UP: "1x120", STARTED: "-3600x39 600x80", **requests(success="5+0x39 0x80")},
        *(silent("MistralNoRequests", at=f"{m}m") for m in range(11, 21)),
        fires("MistralNoRequests", at="22m", value="0"),
    )


def test_a_proxy_that_was_down_meanwhile_is_not_idle(rules: RuleTest) -> None:
    rules.check(
        {UP: "1x30 0x4 1x60", STARTED: "-3600x120", **requests(success="0x120")},
        *(silent("MistralNoRequests", at=f"{m}m") for m in range(12, 18)),
    )


def test_a_proxy_that_is_no_longer_a_target_is_not_idle(rules: RuleTest) -> None:
    rules.check(
        {UP: "1x50 stale", STARTED: "-3600x50 stale", **requests(success="0x50 stale")},
        fires("MistralNoRequests", at="12m30s", value="0"),
        *(silent("MistralNoRequests", at=f"{m}m") for m in range(14, 25)),
    )


# --- all together


@pytest.mark.parametrize(
    ("up", "labels"),
    [
        pytest.param("1x40 0x40", SCRAPED, id="down"),
        pytest.param("1x40 stale", {"instance": ""}, id="no longer a target"),
    ],
)
def test_while_the_proxy_is_down_no_other_alert_fires(
    rules: RuleTest, up: str, labels: dict[str, str]
) -> None:
    """Every symptom fires first; a minute after the last scrape only MistralDown does."""
    series = {
        UP: up,
        ACTIVE: "60x40 stale",
        **waiting(12, "0+10x40 stale"),
        **generations("big", 40, "0+1x40 stale"),
        **requests(success="0+80x40 stale", error="0+20x40 stale"),
    }
    others = [name for name in ALERTS if name != "MistralDown"]
    # The rules on the budget are evaluated once a minute.
    rules.check(
        series,
        fires("MistralVeryHighLatency", at="9m", value="14.75s"),
        fires("MistralErrorBudgetFastBurn", at="9m", value="20%"),
        fires("MistralHighErrorRate", at="9m", value="20%"),
        fires("MistralHighActiveRequests", at="9m", value="60"),
        fires("MistralSlowGeneration", at="9m", value="44.25s", model="big"),
        fires("MistralDown", at="11m15s", **labels),
        *(silent(name, at=at) for name in others for at in ("12m15s", "13m", "15m")),
    )


def test_without_traffic_only_no_requests_fires(rules: RuleTest) -> None:
    quiet = "0x160"
    rules.check(
        {
            UP: "1x160",
            ACTIVE: quiet,
            STARTED: quiet,
            **waiting(1, quiet),
            **generations("big", 1, quiet),
            **requests(success=quiet, error=quiet),
        },
        *(silent(name, at="30m") for name in ALERTS if name != "MistralNoRequests"),
        fires("MistralNoRequests", at="30m", value="0"),
    )
