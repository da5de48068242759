"""The conditions, how each is caused in the sandbox, and the alerts that must fire.

All other alerts must stay silent: one fault pages once.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

from ops.drill.intervals import DrillConfig
from ops.drill.load import ClientGroup
from ops.drill.sandbox import Sandbox
from ops.drill.stand_in_engine import HEALTHY, SLOW_MODEL, Behaviour

# By how much a slow response exceeds its threshold.
MARGIN_SECONDS: Final = 1.0

# Requests of the model that is quick, beside those of one that isn't.
QUICK: Final = ClientGroup(8, pause_seconds=0.1)


@dataclass(frozen=True)
class Condition:
    """Something that goes wrong.

    Attributes:
        name: Name on the command line.
        description: What happens, in words.
        expected: Alerts that must fire.
        cause: Returns a context manager that causes the condition while its block runs.
        onset_seconds: How long the cause needs before its alerts can become pending.
        min_seconds: How long the cause lasts at least, so that an alert that should stay silent
            would have had the time to fire.
        tolerated: Alerts that may fire too. On a busy machine the drill's other requests can be
            too few to keep them silent.
    """

    name: str
    description: str
    expected: tuple[str, ...]
    cause: Callable[[Sandbox], AbstractContextManager[None]]
    onset_seconds: float = 0.0
    min_seconds: float = 0.0
    tolerated: tuple[str, ...] = ()


def conditions(config: DrillConfig) -> tuple[Condition, ...]:
    """Return the conditions, ordered so that none leaves traces that disturb the next."""
    thresholds, timing = config.thresholds, config.thresholds.timing
    any_alert_seconds = timing.ticket_for_seconds + timing.window_seconds / 2
    return (
        Condition(
            "idle",
            "no client sends a request",
            ("MistralNoRequests",),
            _idle,
            onset_seconds=thresholds.no_requests_minutes * 60,
        ),
        Condition(
            "overload",
            f"{thresholds.high_active_requests + 10} clients wait for a very slow engine",
            ("MistralHighActiveRequests", "MistralVeryHighLatency"),
            _overload,
            onset_seconds=thresholds.very_high_latency_seconds,
        ),
        Condition(
            "late-tokens",
            "the engine sends its first tokens late",
            ("MistralHighLatency",),
            _late_tokens,
            onset_seconds=thresholds.high_latency_seconds,
        ),
        Condition(
            "late-model",
            "one of two models sends its first tokens late",
            ("MistralSlowFirstToken",),
            _late_model,
            onset_seconds=thresholds.slow_first_token_seconds,
            tolerated=("MistralHighLatency",),
        ),
        Condition(
            "slow-model",
            "one of two models generates very slowly",
            ("MistralSlowGeneration",),
            _slow_model,
            onset_seconds=thresholds.slow_generation_seconds,
        ),
        Condition(
            "few-errors",
            "a small share of the requests keeps failing",
            ("MistralErrorBudgetSlowBurn",),
            _few_errors,
            onset_seconds=timing.slow_burn_seconds + timing.page_for_seconds,
        ),
        Condition(
            "errors",
            "half of the requests fail",
            ("MistralErrorBudgetFastBurn", "MistralHighErrorRate"),
            _errors,
        ),
        Condition(
            "engine-dead",
            "the engine crashes while clients keep sending requests",
            ("MistralEngineUnreachable",),
            _engine_dead,
            min_seconds=any_alert_seconds,
        ),
        Condition(
            "proxy-dead",
            "the proxy crashes while its requests fail",
            ("MistralDown",),
            _proxy_dead,
            min_seconds=any_alert_seconds,
        ),
        Condition(
            "target-lost",
            "the proxy disappears from Prometheus' targets",
            ("MistralDown",),
            _target_lost,
        ),
    )


@contextmanager
def _idle(_: Sandbox) -> Iterator[None]:
    yield


@contextmanager
def _overload(sandbox: Sandbox) -> Iterator[None]:
    thresholds = sandbox.config.thresholds
    delay = thresholds.very_high_latency_seconds + MARGIN_SECONDS
    crowd = ClientGroup(
        thresholds.high_active_requests + 10, pause_seconds=0, ramp_up_seconds=delay
    )
    with _behaving(sandbox, Behaviour(first_token_seconds=delay)), sandbox.load(crowd):
        yield


@contextmanager
def _late_tokens(sandbox: Sandbox) -> Iterator[None]:
    thresholds = sandbox.config.thresholds
    delay = thresholds.high_latency_seconds + MARGIN_SECONDS
    clients = ClientGroup(2 * thresholds.latency_min_requests, ramp_up_seconds=delay)
    with _behaving(sandbox, Behaviour(first_token_seconds=delay)), sandbox.load(clients):
        yield


@contextmanager
def _late_model(sandbox: Sandbox) -> Iterator[None]:
    thresholds = sandbox.config.thresholds
    delay = thresholds.slow_first_token_seconds + MARGIN_SECONDS
    late = _few_of_slow_model(sandbox, thresholds.first_token_min_requests, delay)
    behaviour = Behaviour(slow_model_first_token_seconds=delay)
    with _behaving(sandbox, behaviour), sandbox.load(late, QUICK):
        yield


@contextmanager
def _slow_model(sandbox: Sandbox) -> Iterator[None]:
    thresholds = sandbox.config.thresholds
    delay = thresholds.slow_generation_seconds + MARGIN_SECONDS
    slow = _few_of_slow_model(sandbox, thresholds.slow_generation_min_requests, delay)
    with _behaving(sandbox, Behaviour(slow_model_seconds=delay)), sandbox.load(slow, QUICK):
        yield


@contextmanager
def _few_errors(sandbox: Sandbox) -> Iterator[None]:
    """Fail 4 %: between the budget's slow burn (3 %) and the threshold of the error rate (5 %)."""
    clients = ClientGroup(4, pause_seconds=0.1)
    with _behaving(sandbox, Behaviour(fails_every=25)), sandbox.load(clients):
        yield


@contextmanager
def _errors(sandbox: Sandbox) -> Iterator[None]:
    clients = ClientGroup(4, pause_seconds=0.1)
    with _behaving(sandbox, Behaviour(fails_every=2)), sandbox.load(clients):
        yield


@contextmanager
def _engine_dead(sandbox: Sandbox) -> Iterator[None]:
    # Enough failing requests for the error rate, too few for the error budget to count them.
    with sandbox.load(ClientGroup(1, pause_seconds=0.5)):
        sandbox.engine.stop()
        try:
            yield
        finally:
            sandbox.engine.start()


@contextmanager
def _proxy_dead(sandbox: Sandbox) -> Iterator[None]:
    # Enough failing requests for the error rate, too few for the error budget. In a drill the
    # budget's alert waits no longer than MistralDown does, so with more of them it could become
    # pending before the proxy is killed.
    thresholds = sandbox.config.thresholds
    failures = 2 * thresholds.error_min_requests
    with _behaving(sandbox, Behaviour(fails_every=1)), sandbox.load(ClientGroup(8)) as traffic:
        traffic.wait_for(failures, timeout=thresholds.timing.page_for_seconds)
        sandbox.kill_proxy()
        try:
            yield
        finally:
            sandbox.engine.behave(HEALTHY)
            sandbox.start_proxy()


@contextmanager
def _target_lost(sandbox: Sandbox) -> Iterator[None]:
    sandbox.remove_target()
    try:
        yield
    finally:
        sandbox.restore_target()


def _few_of_slow_model(sandbox: Sandbox, minimum: int, seconds: float) -> ClientGroup:
    """Return enough clients for an alert's minimum of requests that take that many seconds.

    They have twice the minimum in each window, which is few beside those of the other model.
    """
    count = round(2 * minimum * seconds / sandbox.config.thresholds.timing.window_seconds)
    return ClientGroup(count, model=SLOW_MODEL, ramp_up_seconds=seconds)


@contextmanager
def _behaving(sandbox: Sandbox, behaviour: Behaviour) -> Iterator[None]:
    sandbox.engine.behave(behaviour)
    try:
        yield
    finally:
        sandbox.engine.behave(HEALTHY)


NAMES: Final = tuple(condition.name for condition in conditions(DrillConfig()))
