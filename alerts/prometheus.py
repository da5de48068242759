"""Renders the alerts as a rule file for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

import yaml

from alerts.model import Group
from alerts.promql import duration
from alerts.recordings import recordings
from alerts.rules import alerts

if TYPE_CHECKING:
    from alerts.model import Alert, Recording
    from monitoring.thresholds import Thresholds

_HEADER: Final = "# Generated from alerts/ by `make render`; edit the source, not this file.\n"

# Windows of an hour or more needn't be evaluated at every scrape.
_SLOW_GROUP_SECONDS: Final = 60


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as literal blocks, so that expressions are readable."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def render(t: Thresholds, *, runbook_base_url: str = "") -> str:
    """Return the rule file as YAML; in each group, alerts follow the recorded series.

    Args:
        t: The thresholds.
        runbook_base_url: URL under which the runbooks are published; if empty, alerts have no
            ``runbook_url``.
    """
    groups = [_group(name, t, runbook_base_url) for name in get_args(Group)]
    return _HEADER + yaml.dump(
        {"groups": groups}, Dumper=_Dumper, sort_keys=False, width=96, allow_unicode=True
    )


def _group(name: Group, t: Thresholds, runbook_base_url: str) -> dict[str, Any]:
    rules = [_recording_rule(r) for r in recordings(t) if r.group == name]
    rules += [_alerting_rule(a, runbook_base_url) for a in alerts(t) if a.group == name]
    interval = {"interval": duration(_SLOW_GROUP_SECONDS)} if name == "mistral-error-budget" else {}
    return {"name": name, **interval, "rules": rules}


def _recording_rule(recording: Recording) -> dict[str, Any]:
    return {"record": recording.name, "expr": recording.expr}


def _alerting_rule(alert: Alert, runbook_base_url: str) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": duration(alert.for_seconds),
        "labels": alert.labels(),
        "annotations": alert.annotations(value="$value", runbook_base_url=runbook_base_url),
    }
