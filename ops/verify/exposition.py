"""What the proxy exposes: both paths, the documented metrics, buckets, number of series."""

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

from monitoring.thresholds import Thresholds
from ops.clients import web
from ops.clients.exposition import Exposition
from ops.clients.proxy import ProxyApi
from ops.report import Check, failed, judged, passed

# Upper bound for the proxy's series with ten models, from the project's monitoring contract.
SERIES_BUDGET = 3000
PROXY_HINT = "read the proxy's log, and /metrics itself"
KEY_HINT = "set METRICS_KEY_FILE or METRICS_KEY to it"


@dataclass(frozen=True)
class DocumentedMetric:
    """A metric that dashboards and users rely on, with its type and labels."""

    name: str
    kind: str
    labels: frozenset[str]

    @property
    def family(self) -> str:
        """Name of the family, which lacks the suffix of a counter's samples."""
        return self.name.removesuffix("_total")


# Restated on purpose: this is what the documentation promises, whatever the proxy's code says.
DOCUMENTED = (
    DocumentedMetric("mistral_http_requests_total", "counter", frozenset({"endpoint", "status"})),
    DocumentedMetric("mistral_http_request_duration_seconds", "histogram", frozenset({"endpoint"})),
    DocumentedMetric("mistral_active_requests", "gauge", frozenset()),
    DocumentedMetric("mistral_generate_duration_seconds", "histogram", frozenset({"model"})),
    DocumentedMetric("mistral_generate_tokens_total", "counter", frozenset({"model"})),
    DocumentedMetric("mistral_streaming_chunks_total", "counter", frozenset({"endpoint"})),
    DocumentedMetric("mistral_model_load_duration_seconds", "histogram", frozenset({"model"})),
)


def exposition_checks(proxy: ProxyApi) -> Iterator[Check]:
    """Check both paths and what they expose."""
    parsed: dict[str, Exposition] = {}
    for path in ("/metrics", "/api/metrics"):
        try:
            response = proxy.metrics(path)
            if response.status == HTTPStatus.UNAUTHORIZED:
                yield failed(f"{path} parses", "requires another key", KEY_HINT)
                continue
            exposition = Exposition.parse(response.text)
        except (web.UnreachableError, ValueError) as error:
            yield failed(f"{path} parses", str(error), PROXY_HINT)
            continue
        content_type = response.headers.get("Content-Type", "")
        yield judged(
            f"{path} parses",
            f"{response.status}, {content_type or 'no Content-Type'}, {exposition.series} series",
            ok=response.ok and "version=" in content_type,
            hint="Prometheus 3 refuses an exposition without a versioned Content-Type",
        )
        parsed[path] = exposition
    if len(parsed) == 2:  # noqa: PLR2004 (the two paths)
        yield _same_families(*parsed.values())
    if "/metrics" in parsed:
        yield from _content_checks(parsed["/metrics"])


def _same_families(one: Exposition, other: Exposition) -> Check:
    differing = sorted(one.families.keys() ^ other.families.keys())
    evidence = f"differ in {', '.join(differing)}" if differing else f"{len(one.families)} families"
    return judged("both paths expose the same metrics", evidence, ok=not differing, hint=PROXY_HINT)


def _content_checks(exposition: Exposition) -> Iterator[Check]:
    for metric in DOCUMENTED:
        problem = _problem_with(metric, exposition)
        if problem:
            yield failed(metric.name, problem, PROXY_HINT)
        else:
            yield passed(metric.name, metric.kind + _labels_in_words(metric.labels))
    thresholds = Thresholds()
    yield _bucket_check(
        exposition,
        "mistral_http_request_duration_seconds",
        (thresholds.high_latency_seconds, thresholds.very_high_latency_seconds),
    )
    yield _bucket_check(
        exposition, "mistral_generate_duration_seconds", (thresholds.slow_generation_seconds,)
    )
    yield judged(
        "the number of series is bounded",
        f"{exposition.series} of at most {SERIES_BUDGET}",
        ok=exposition.series <= SERIES_BUDGET,
        hint="look for a label whose values come from clients",
    )


def _labels_in_words(labels: frozenset[str]) -> str:
    return f" by {', '.join(sorted(labels))}" if labels else ""


def _problem_with(metric: DocumentedMetric, exposition: Exposition) -> str | None:
    family = exposition.families.get(metric.family)
    if family is None:
        return "not exposed"
    if family.type != metric.kind:
        return f"is a {family.type}, not a {metric.kind}"
    for sample in family.samples:
        labels = frozenset(sample.labels) - {"le"}
        if labels != metric.labels:
            return f"has the labels {sorted(labels)}, not {sorted(metric.labels)}"
    return None


def _bucket_check(exposition: Exposition, name: str, thresholds: tuple[float, ...]) -> Check:
    family = exposition.families.get(name)
    bounds = {
        float(sample.labels["le"])
        for sample in (family.samples if family else [])
        if "le" in sample.labels
    }
    shown = ", ".join(f"{threshold:g} s" for threshold in thresholds)
    check = f"{name} has the alerts' thresholds as buckets"
    if not bounds:
        return failed(check, "no buckets", "the series must exist before the first request")
    return judged(
        check,
        shown,
        ok=bounds.issuperset(thresholds),
        hint="without these buckets an alert could never fire",
    )
