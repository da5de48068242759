"""The conditions, each caused for real on the bench, and the alerts that must tell of it.

Everything not named there must stay silent: one fault pages once.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

from ops.drill.bench import Bench
from ops.drill.engine import HEALTHY, SLOW_MODEL, Behaviour
from ops.drill.load import Clients
from ops.drill.pace import Pace

ABOVE_SECONDS: Final = 1.0
"""How far a slow answer exceeds its limit."""


@dataclass(frozen=True)
class Condition:
    """Something that goes wrong.

    Attributes:
        name: How the operator asks for it alone.
        what: What happens, in words.
        tells: Alerts that must fire, and no other.
        may_tell: Alerts that fire too where the machine is so busy that the drill's other requests
            are too few to keep them silent.
        caused: Causes it for as long as the block runs.
        takes_seconds: How long the cause needs before its alerts can become pending.
        hold_seconds: How long it must last at least, so that an alert that should stay silent
            would have had the time to fire.
    """

    name: str
    what: str
    tells: tuple[str, ...]
    caused: Callable[[Bench], AbstractContextManager[None]]
    takes_seconds: float = 0.0
    hold_seconds: float = 0.0
    may_tell: tuple[str, ...] = ()


def conditions(pace: Pace) -> tuple[Condition, ...]:
    """Give every condition, in an order in which none leaves traces that trouble the next."""
    limits, timing = pace.limits, pace.limits.timing
    would_tell = timing.ticket_for_seconds + timing.window_seconds / 2
    return (
        Condition(
            "idle",
            "nobody asks anything",
            ("MistralNoRequests",),
            _idle,
            takes_seconds=limits.no_requests_minutes * 60,
        ),
        Condition(
            "overload",
            f"{limits.high_active_requests + 10} clients wait for an engine that takes very long",
            ("MistralHighActiveRequests", "MistralVeryHighLatency"),
            _overload,
            takes_seconds=limits.very_high_latency_seconds,
        ),
        Condition(
            "late-tokens",
            "the engine is slow to begin its answers",
            ("MistralHighLatency", "MistralSlowFirstToken"),
            _late_tokens,
            takes_seconds=limits.slow_first_token_seconds,
        ),
        Condition(
            "slow-model",
            "one model of two takes very long to end its answers",
            ("MistralSlowGeneration",),
            _slow_model,
            takes_seconds=limits.slow_generation_seconds,
            may_tell=("MistralHighLatency", "MistralVeryHighLatency"),
        ),
        Condition(
            "few-errors",
            "a few requests fail all the time",
            ("MistralErrorBudgetSlowBurn",),
            _few_errors,
            takes_seconds=timing.slow_burn_seconds,
        ),
        Condition(
            "errors",
            "the engine refuses half of the requests",
            ("MistralErrorBudgetFastBurn", "MistralHighErrorRate"),
            _errors,
        ),
        Condition(
            "engine-dead",
            "the engine dies while clients go on asking",
            ("MistralEngineUnreachable",),
            _engine_dead,
            hold_seconds=would_tell,
        ),
        Condition(
            "proxy-dead",
            "the proxy dies while its requests fail",
            ("MistralDown",),
            _proxy_dead,
            hold_seconds=would_tell,
        ),
        Condition(
            "target-lost",
            "the proxy vanishes from Prometheus' configuration",
            ("MistralDown",),
            _target_lost,
        ),
    )


@contextmanager
def _idle(_: Bench) -> Iterator[None]:
    yield


@contextmanager
def _overload(bench: Bench) -> Iterator[None]:
    limits = bench.pace.limits
    wait = limits.very_high_latency_seconds + ABOVE_SECONDS
    crowd = Clients(limits.high_active_requests + 10, pause_seconds=0, spread_seconds=wait)
    with _behaving(bench, Behaviour(first_token_seconds=wait)), bench.asking(crowd):
        yield


@contextmanager
def _late_tokens(bench: Bench) -> Iterator[None]:
    limits = bench.pace.limits
    wait = max(limits.slow_first_token_seconds, limits.high_latency_seconds) + ABOVE_SECONDS
    clients = Clients(2 * limits.first_token_min_requests, spread_seconds=wait)
    with _behaving(bench, Behaviour(first_token_seconds=wait)), bench.asking(clients):
        yield


@contextmanager
def _slow_model(bench: Bench) -> Iterator[None]:
    wait = bench.pace.limits.slow_generation_seconds + ABOVE_SECONDS
    # So many that enough answers end within each look-back, yet few beside the other model's.
    count = 2 * bench.pace.limits.slow_generation_min_requests
    count = round(count * wait / bench.pace.limits.timing.window_seconds)
    slow = Clients(count, model=SLOW_MODEL, spread_seconds=wait)
    quick = Clients(4, pause_seconds=0.1)
    with _behaving(bench, Behaviour(slow_model_seconds=wait)), bench.asking(slow, quick):
        yield


@contextmanager
def _few_errors(bench: Bench) -> Iterator[None]:
    """Between the budget's slow burn (3 %) and the limit of the error rate (5 %)."""
    with _behaving(bench, Behaviour(fails_every=25)), bench.asking(Clients(4, pause_seconds=0.1)):
        yield


@contextmanager
def _errors(bench: Bench) -> Iterator[None]:
    with _behaving(bench, Behaviour(fails_every=2)), bench.asking(Clients(4, pause_seconds=0.1)):
        yield


@contextmanager
def _engine_dead(bench: Bench) -> Iterator[None]:
    # Enough failing requests for the error rate, too few for the budget to take them seriously.
    with bench.asking(Clients(1, pause_seconds=0.5)):
        bench.engine.stop()
        try:
            yield
        finally:
            bench.engine.start()


@contextmanager
def _proxy_dead(bench: Bench) -> Iterator[None]:
    # Enough for the error rate, too few for the budget: in a drill its alert waits no longer than
    # MistralDown does, and on a busy machine would have begun to before the proxy dies.
    limits = bench.pace.limits
    failed = 2 * limits.error_min_requests
    with _behaving(bench, Behaviour(fails_every=1)), bench.asking(Clients(8)) as traffic:
        traffic.wait_for(failed, seconds=limits.timing.page_for_seconds)
        bench.kill_proxy()
        try:
            yield
        finally:
            bench.engine.behave(HEALTHY)
            bench.start_proxy()


@contextmanager
def _target_lost(bench: Bench) -> Iterator[None]:
    bench.lose_target()
    try:
        yield
    finally:
        bench.find_target()


@contextmanager
def _behaving(bench: Bench, behaviour: Behaviour) -> Iterator[None]:
    bench.engine.behave(behaviour)
    try:
        yield
    finally:
        bench.engine.behave(HEALTHY)


NAMES: Final = tuple(condition.name for condition in conditions(Pace()))
