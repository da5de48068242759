"""Alerts and recording rules as plain values, independent of Prometheus' and Grafana's formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from monitoring.names import SERVICE

# What a person must do: act now, act soon, or know about it.
Severity = Literal["critical", "warning", "info"]

# Template function that formats the value; Prometheus and Grafana both have these.
ValueFormat = Literal["humanize", "humanizeDuration", "humanizePercentage"]

# Rules that are evaluated together, in order. The error budget's windows are long and change
# slowly, so its rules are evaluated less often.
Group = Literal["mistral", "mistral-error-budget"]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A query whose result Prometheus records, named ``level:metric:operations``."""

    group: Group = "mistral"
    name: str
    expr: str

    def of(self, job: str) -> str:
        """Return the selector of the recorded series of one job."""
        return f'{self.name}{{job="{job}"}}'


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One alert, for Prometheus and for Grafana.

    The alert is active where ``value comparison threshold`` holds and no guard silences it.

    Attributes:
        name: In CamelCase; its runbook is ``docs/runbooks/<name>.md``.
        value: PromQL of the number that is compared.
        guards: Set operators with their operand (``and on (job) ...``), applied in order.
        for_seconds: How long the condition must hold before the alert fires.
        summary: One sentence without placeholders, the headline of grouped notifications.
        description: What it means and what a person should do. ``{value}`` stands for the number,
            ``{model}`` for the label; other labels aren't always set.
        value_format: How ``{value}`` is formatted.
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
        """The whole condition, one clause per line; it returns series only while it holds."""
        return "\n".join((f"{self.value} {self.comparison} {self.threshold:g}", *self.guards))

    @property
    def runbook(self) -> str:
        """Path of the runbook, from the project's root."""
        return f"docs/runbooks/{self.name}.md"

    def labels(self) -> dict[str, str]:
        """Return the labels that notification routing and the dashboard select by."""
        return {"service": SERVICE, "severity": self.severity}

    def annotations(self, *, value: str, runbook_base_url: str) -> dict[str, str]:
        """Return the texts, with placeholders in the target's template language.

        Args:
            value: The target's name for the number, for instance ``$value``.
            runbook_base_url: URL under which the runbooks are published; if empty, there is only
                the runbook's path.
        """
        description = self.description.format(
            value=f"{{{{ {value} | {self.value_format} }}}}", model="{{ $labels.model }}"
        )
        texts = {"summary": self.summary, "description": description, "runbook": self.runbook}
        if runbook_base_url:
            texts["runbook_url"] = f"{runbook_base_url.rstrip('/')}/{self.name}.md"
        return texts
