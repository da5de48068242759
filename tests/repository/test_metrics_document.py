"""docs/metrics.md lists what the exposition has, and nothing else."""

import re

from prometheus_client.parser import text_string_to_metric_families

from ops.checkout import ROOT
from proxy_service.errors import ERROR_TYPES
from proxy_service.telemetry import metrics
from proxy_service.wire.engine_paths import OPERATIONS

DOCUMENT = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(mistral_\w+)` \| (\w+) \|([^|]*)\|", re.MULTILINE)


def named(text: str) -> set[str]:
    """Return the names in backticks."""
    return set(re.findall(r"`(\w+)`", text))


def of_label(label: str) -> set[str]:
    """Return the values that the document lists for a label."""
    found = re.search(rf"^- `{label}`: (.*?)\.$", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found
    return named(found[1])


def test_every_metric_is_listed_with_its_type_and_labels() -> None:
    proxy_metrics = metrics.ProxyMetrics()
    proxy_metrics.model("some-model")
    text, _ = proxy_metrics.expose("")
    there = {
        f"{family.name}_total" if family.type == "counter" else family.name: (
            family.type,
            {label for sample in family.samples for label in sample.labels} - {"le"},
        )
        for family in text_string_to_metric_families(text.decode())
        if family.name.startswith("mistral_")
    }
    listed = {name: (kind, named(labels)) for name, kind, labels in ROW.findall(DOCUMENT)}

    assert listed == there


def test_every_value_of_a_label_is_listed() -> None:
    assert of_label("outcome") == set(metrics.OUTCOMES)
    assert of_label("finish_reason") == set(metrics.FINISH_REASONS)
    assert of_label("error_type") == set(ERROR_TYPES)
    assert of_label("operation") == {*OPERATIONS.values(), metrics.OTHER_OPERATION}
    assert set(metrics.STATUSES) <= named(DOCUMENT)
