"""Hold a drill: prepare, cause each condition, restore, report."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from alerts.rules import alerts
from ops.drill.bench import Bench
from ops.drill.conditions import conditions
from ops.drill.load import Clients
from ops.drill.pace import Pace
from ops.drill.running import tried
from ops.drill.stack import Grafana, stack_checks
from ops.drill.watching import InPrometheus, Observer
from ops.report import Report, failed
from ops.services.grafana_api import GrafanaError
from ops.system.interrupts import ignore_interrupts
from ops.system.ports import LOOPBACK
from ops.targets import Targets

TRICKLE = Clients(1, pause_seconds=1.0)
REACH_HINT = "say with --reach which address of this machine Grafana reaches, and see its firewall"


@dataclass
class Drill:
    """One drill.

    Attributes:
        report: Takes the findings.
        pace: Limits and rhythm.
        targets: What runs.
        grafana: A Grafana that takes part; None when there is none.
        only: Names of the conditions to cause; none for all.
    """

    report: Report
    pace: Pace
    targets: Targets
    grafana: Grafana | None = None
    only: Sequence[str] = ()

    def hold(self) -> None:
        """Run it; whatever happens, what it touched is restored.

        Raises:
            OperatorError: It can't be run here.
        """
        names = frozenset(alert.name for alert in alerts(self.pace.limits))
        self.report.section("(1) What runs", stack_checks(self.targets, names))
        try:
            with ExitStack() as ends:
                try:
                    self._cause_all(ends)
                finally:
                    ignore_interrupts()  # what follows must not be cut short
        finally:
            if self.grafana is not None:
                self.report.section("(3) Restored", [self.grafana.restored()])

    def _cause_all(self, ends: ExitStack) -> None:
        address = self.grafana.reach.address if self.grafana else LOOPBACK
        bench = ends.enter_context(Bench(self.pace, address))
        observers: list[Observer] = [InPrometheus(bench.prometheus)]
        if self.grafana is not None:
            try:
                # Meanwhile somebody asks, or the first condition would begin before its time.
                with bench.asking(TRICKLE):
                    observers += ends.enter_context(self.grafana.taking_part(bench))
            except GrafanaError as error:
                reason = failed("Grafana takes the drill's rules", str(error), REACH_HINT)
                self.report.section("(2) Grafana", [reason])
        for condition in conditions(self.pace):
            if not self.only or condition.name in self.only:
                title = f"(2) {condition.name}: {condition.what}"
                self.report.section(title, tried(condition, bench, observers))
