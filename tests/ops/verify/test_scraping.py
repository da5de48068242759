"""What is checked in Prometheus where it isn't the stack's own."""

from dataclasses import replace

from ops.processes.polling import Poller
from ops.report import Outcome
from ops.running.targets import Targets
from ops.verify.endpoints import endpoint_checks
from ops.verify.scraping import scraping_checks
from tests.ops.clock import Clock
from tests.ops.verify.stand_ins import running_standin


def outcomes(targets: Targets, poller: Poller | None = None) -> dict[str, tuple[Outcome, str]]:
    assert targets.prometheus_api
    checks = [
        *endpoint_checks(targets),
        *scraping_checks(targets.prometheus_api, poller or Poller(max_seconds=0)),
    ]
    return {check.name: (check.outcome, check.evidence) for check in checks}


def test_a_prometheus_that_requires_a_login_gets_it() -> None:
    with running_standin(prometheus_authorization="Bearer t0ken") as targets:
        found = outcomes(replace(targets, prometheus_authorization="Bearer t0ken"))

    assert {outcome for outcome, _ in found.values()} <= {Outcome.PASS, Outcome.SKIP}


def test_a_refused_login_names_the_settings() -> None:
    with running_standin(prometheus_authorization="Bearer t0ken") as targets:
        found = outcomes(replace(targets, prometheus_authorization="Bearer 0ld"))

    outcome, evidence = found["Prometheus responds"]
    assert outcome is Outcome.FAIL
    assert "refuses the login (status 401): set prometheusUser" in evidence
    assert "0ld" not in evidence


def test_a_target_that_is_scraped_every_minute_has_the_time_to_be() -> None:
    clock = Clock()
    poller = Poller(clock=clock, sleep=clock.sleep, interval_seconds=1)
    with running_standin("down", scrape_interval="1m") as targets:
        before = clock.now
        found = outcomes(targets, poller)

    assert found["job mistral is scraped"][0] is Outcome.FAIL
    assert clock.now - before >= 120
