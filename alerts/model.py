"""What an alert and a recording rule are; plain values, rendered elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from monitoring.names import SERVICE

#: What a human must do: act now, act soon, or know about it.
Severity = Literal["critical", "warning", "info"]

#: Template function that turns the judged number into words; Prometheus and Grafana share these.
ValueFormat = Literal["humanize", "humanizeDuration", "humanizePercentage"]


#: Rules that are evaluated together, in order. Long windows change slowly and are asked less often.
Group = Literal["mistral", "mistral-error-budget"]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A query that is worth computing once, named ``level:metric:operations``."""

    group: Group = "mistral"
    name: str
    expr: str

    def of(self, job: str) -> str:
        """Give the selector that reads the recorded series of one job."""
        return f'{self.name}{{job="{job}"}}'


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One alert, whoever evaluates it.

    The alert is active where ``value comparison threshold`` holds and every guard agrees.

    Attributes:
        name: CamelCase; also names the runbook, ``docs/runbooks/<name>.md``.
        value: PromQL of the judged number.
        guards: Set operators with their operand (``and on (job) ...``), applied in order.
        for_seconds: How long the condition must hold before anyone is told.
        summary: One static sentence, the headline of grouped notifications.
        description: What it means and what a person should do. ``{value}`` stands for the
            judged number, ``{model}`` for the label. No other label is there in every case.
        value_format: How ``{value}`` is written.
    """

    group: Group = "mistral"
    name: str
    severity: Severity
    value: str
    comparison: Literal[">", "=="]
    threshold: float
    guards: tuple[str, ...] = ()
    for_seconds: int
    summary: str
    description: str
    value_format: ValueFormat = "humanize"

    @property
    def expr(self) -> str:
        """The whole condition, one clause per line; it returns series only while active."""
        return "\n".join((f"{self.value} {self.comparison} {self.threshold:g}", *self.guards))

    @property
    def runbook(self) -> str:
        """Path of the page that tells what to do, from the project's root."""
        return f"docs/runbooks/{self.name}.md"

    def labels(self) -> dict[str, str]:
        """Give the labels that routing and dashboards go by."""
        return {"service": SERVICE, "severity": self.severity}

    def annotations(self, *, value: str, runbook_base_url: str) -> dict[str, str]:
        """Give the texts, with placeholders in the target's template language.

        Args:
            value: How the target names the judged number, for instance ``$value``.
            runbook_base_url: Where the runbooks are published; empty means nowhere, and then
                only their path is given.
        """
        description = self.description.format(
            value=f"{{{{ {value} | {self.value_format} }}}}", model="{{ $labels.model }}"
        )
        texts = {"summary": self.summary, "description": description, "runbook": self.runbook}
        if runbook_base_url:
            texts["runbook_url"] = f"{runbook_base_url.rstrip('/')}/{self.name}.md"
        return texts
