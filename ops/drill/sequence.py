"""A drill from beginning to end: prepare, cause each condition, restore, report."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from alerts.rules import alerts
from ops.clients.grafana import GrafanaError
from ops.drill.checks import condition_checks
from ops.drill.conditions import conditions
from ops.drill.grafana_session import GrafanaSession
from ops.drill.intervals import DrillConfig
from ops.drill.load import ClientGroup
from ops.drill.running_alerts import stack_checks
from ops.drill.sandbox import Sandbox
from ops.drill.watcher import AlertSource, PrometheusAlerts
from ops.processes.ports import LOOPBACK
from ops.report import Report, failed
from ops.running.targets import Targets
from ops.terminal.interrupts import ignore_interrupts

SETUP_LOAD = ClientGroup(1, pause_seconds=1.0)
REACH_HINT = (
    "give an address of this machine that Grafana can connect to with --reach, and check this "
    "machine's firewall"
)


@dataclass
class Drill:
    """One drill.

    Attributes:
        report: Collects the findings.
        config: Thresholds and intervals.
        targets: The running services.
        grafana: The Grafana that takes part; None if there is none.
        only: Names of the conditions to cause; empty for all.
    """

    report: Report
    config: DrillConfig
    targets: Targets
    grafana: GrafanaSession | None = None
    only: Sequence[str] = ()

    def run(self) -> None:
        """Run the drill. However it ends, Grafana is restored.

        Raises:
            OperatorError: The drill can't run here.
        """
        names = frozenset(alert.name for alert in alerts(self.config.thresholds))
        self.report.section("The running services", stack_checks(self.targets, names))
        try:
            with ExitStack() as cleanup:
                try:
                    self._cause_conditions(cleanup)
                finally:
                    ignore_interrupts()  # the cleanup must not be interrupted
        finally:
            if self.grafana is not None:
                self.report.section("Cleanup", [self.grafana.restored()])

    def _cause_conditions(self, cleanup: ExitStack) -> None:
        address = self.grafana.address.listen if self.grafana else LOOPBACK
        sandbox = cleanup.enter_context(Sandbox(self.config, address))
        sources: list[AlertSource] = [PrometheusAlerts(sandbox.prometheus)]
        if self.grafana is not None:
            try:
                # Without load, `idle` would begin while Grafana is still being set up.
                with sandbox.load(SETUP_LOAD):
                    sources += cleanup.enter_context(self.grafana.join(sandbox))
            except GrafanaError as error:
                check = failed("Grafana takes the drill's rules", str(error), REACH_HINT)
                self.report.section("Grafana", [check])
        for condition in conditions(self.config):
            if not self.only or condition.name in self.only:
                title = f"{condition.name}: {condition.description}"
                self.report.section(title, condition_checks(condition, sandbox, sources))
