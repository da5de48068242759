"""The running stack: what the drill looks at, and what it puts there for a while."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ops.drill.bench import Bench
from ops.drill.grafana import DrillContent, InGrafana
from ops.drill.reach import Reach
from ops.drill.watching import Observer
from ops.drill.webhook import receiving
from ops.report import Check, failed, judged, skipped
from ops.services import web
from ops.services.grafana_api import GrafanaApi, GrafanaError
from ops.services.prometheus_api import Prometheus, PrometheusError
from ops.targets import Targets


def stack_checks(targets: Targets, expected: frozenset[str]) -> Iterator[Check]:
    """Check that what runs has the alerts that the drill is about.

    Args:
        targets: Where it runs.
        expected: Names of the alerts.
    """
    name = "what runs has these alerts"
    if not web.is_ready(f"{targets.proxy}/livez"):
        yield skipped(name, f"nothing runs at {targets.proxy}: the drill needs nothing of it")
        return
    if targets.prometheus is None:
        yield skipped(name, f"{targets.origin} has no Prometheus")
        return
    try:
        there = Prometheus(targets.prometheus).alert_rules().keys()
    except PrometheusError as error:
        yield failed(name, str(error), "read Prometheus' log, or run `make verify`")
        return
    missing = sorted(expected - there)
    shown = ", ".join(missing)
    yield judged(
        name,
        f"{targets.origin}: {f'missing {shown}' if missing else f'all {len(expected)}'}",
        ok=not missing,
        hint="bring it up to date with `make up`, or start the demo again",
    )


@dataclass
class Grafana:
    """A running Grafana for the time of the drill.

    Attributes:
        api: The way to it.
        reach: How it reaches the drill.
    """

    api: GrafanaApi
    reach: Reach
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @contextmanager
    def taking_part(self, bench: Bench) -> Iterator[tuple[Observer, ...]]:
        """Give it the drill's rules until the block ends.

        Yields:
            What tells of the alerts there.

        Raises:
            GrafanaError: It does not take them; nothing of them is left.
        """
        port = bench.prometheus.rpartition(":")[2]
        with receiving(self.reach.address) as receiver:
            content = DrillContent(
                self.api,
                prometheus=self.reach.url(int(port)),
                receiver=self.reach.url(receiver.server_port, receiver.path),
                pace=bench.pace,
            )
            content.remove()
            self.before = content.inventory()
            try:
                content.create()
                content.check_reach()
                yield InGrafana(self.api), receiver.told
            finally:
                self._restore(content)

    def _restore(self, content: DrillContent) -> None:
        self.problems = content.remove()
        try:
            self.after = content.inventory()
        except GrafanaError as error:
            self.problems.append(str(error))

    def restored(self) -> Check:
        """Check that it holds what it held before."""
        name = "Grafana is as it was"
        if self.before is None:
            return failed(name, "it could not be asked", "see above")
        changed = [kind for kind, there in self.before.items() if self.after.get(kind) != there]
        evidence = "; ".join([*(f"other {kind}" for kind in changed), *self.problems])
        return judged(
            name,
            evidence or f"the same {', '.join(self.before)}",
            ok=not evidence,
            hint="delete what is named mistral-drill in Grafana, or run the drill again",
        )
