"""(2) What the proxy exposes: both routes, the promised metrics, buckets, size."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from monitoring.thresholds import Thresholds
from ops.report import Check, failed, judged, passed
from ops.services import web
from ops.services.proxy_api import ProxyApi

SERIES_BUDGET = 3000
"""Series that the proxy may expose with ten models, by the project's monitoring contract."""
PROXY_HINT = "look at the proxy's log and at /metrics itself"
KEY_HINT = "set METRICS_KEY_FILE or METRICS_KEY to it"


@dataclass(frozen=True)
class Promised:
    """A metric that dashboards and people rely on, with its type and labels."""

    name: str
    kind: str
    labels: frozenset[str]

    @property
    def family(self) -> str:
        """Name of the family, which for a counter lacks the ending that its samples have."""
        return self.name.removesuffix("_total")


# Restated here on purpose: this is what users were told, whatever the proxy's code says.
PROMISED = (
    Promised("mistral_http_requests_total", "counter", frozenset({"endpoint", "status"})),
    Promised("mistral_http_request_duration_seconds", "histogram", frozenset({"endpoint"})),
    Promised("mistral_active_requests", "gauge", frozenset()),
    Promised("mistral_generate_duration_seconds", "histogram", frozenset({"model"})),
    Promised("mistral_generate_tokens_total", "counter", frozenset({"model"})),
    Promised("mistral_streaming_chunks_total", "counter", frozenset({"endpoint"})),
    Promised("mistral_model_load_duration_seconds", "histogram", frozenset({"model"})),
)


@dataclass(frozen=True)
class Exposition:
    """A parsed scrape, families by name."""

    families: Mapping[str, Metric]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse Prometheus' text format. Raises ValueError when it is malformed."""
        return cls({family.name: family for family in text_string_to_metric_families(text)})

    def total(self, sample_name: str, labels: Mapping[str, str] | None = None) -> float:
        """Sum of the samples of that name whose labels include ``labels``; 0 without any."""
        wanted = (labels or {}).items()
        return sum(
            sample.value
            for family in self.families.values()
            for sample in family.samples
            if sample.name == sample_name and wanted <= sample.labels.items()
        )

    @property
    def series(self) -> int:
        """Number of series of ours."""
        return sum(
            len(family.samples)
            for name, family in self.families.items()
            if name.startswith("mistral_")
        )


def scrape(proxy: ProxyApi) -> Exposition:
    """Read the proxy's metrics now. Raises UnreachableError or ValueError."""
    return Exposition.parse(proxy.metrics().text)


def exposition_checks(proxy: ProxyApi) -> Iterator[Check]:
    """Check both routes and what they carry."""
    parsed: dict[str, Exposition] = {}
    for path in ("/metrics", "/api/metrics"):
        try:
            reply = proxy.metrics(path)
            if reply.status == HTTPStatus.UNAUTHORIZED:
                yield failed(f"{path} parses", "asks for another key", KEY_HINT)
                continue
            exposition = Exposition.parse(reply.text)
        except (web.UnreachableError, ValueError) as error:
            yield failed(f"{path} parses", str(error), PROXY_HINT)
            continue
        content_type = reply.headers.get("Content-Type", "")
        yield judged(
            f"{path} parses",
            f"{reply.status}, {content_type or 'no Content-Type'}, {exposition.series} series",
            ok=reply.ok and "version=" in content_type,
            hint="Prometheus 3 refuses an exposition without a versioned Content-Type",
        )
        parsed[path] = exposition
    if len(parsed) == 2:  # noqa: PLR2004 (the two routes)
        yield _same_families(*parsed.values())
    if "/metrics" in parsed:
        yield from _content_checks(parsed["/metrics"])


def _same_families(one: Exposition, other: Exposition) -> Check:
    differing = sorted(one.families.keys() ^ other.families.keys())
    evidence = f"differ in {', '.join(differing)}" if differing else f"{len(one.families)} families"
    return judged("both routes expose the same", evidence, ok=not differing, hint=PROXY_HINT)


def _content_checks(exposition: Exposition) -> Iterator[Check]:
    for promised in PROMISED:
        problem = _problem_with(promised, exposition)
        if problem:
            yield failed(promised.name, problem, PROXY_HINT)
        else:
            yield passed(promised.name, promised.kind + _labels_in_words(promised.labels))
    limits = Thresholds()
    yield _bucket_check(
        exposition,
        "mistral_http_request_duration_seconds",
        (limits.high_latency_seconds, limits.very_high_latency_seconds),
    )
    yield _bucket_check(
        exposition, "mistral_generate_duration_seconds", (limits.slow_generation_seconds,)
    )
    yield judged(
        "series stay few",
        f"{exposition.series} of at most {SERIES_BUDGET}",
        ok=exposition.series <= SERIES_BUDGET,
        hint="a label takes values that clients invent",
    )


def _labels_in_words(labels: frozenset[str]) -> str:
    return f" by {', '.join(sorted(labels))}" if labels else ""


def _problem_with(promised: Promised, exposition: Exposition) -> str | None:
    family = exposition.families.get(promised.family)
    if family is None:
        return "not exposed"
    if family.type != promised.kind:
        return f"is a {family.type}, not a {promised.kind}"
    for sample in family.samples:
        labels = frozenset(sample.labels) - {"le"}
        if labels != promised.labels:
            return f"has the labels {sorted(labels)}, not {sorted(promised.labels)}"
    return None


def _bucket_check(exposition: Exposition, name: str, limits: tuple[float, ...]) -> Check:
    family = exposition.families.get(name)
    edges = {
        float(sample.labels["le"])
        for sample in (family.samples if family else [])
        if "le" in sample.labels
    }
    shown = ", ".join(f"{limit:g} s" for limit in limits)
    check = f"{name} has the alerts' limits as buckets"
    if not edges:
        return failed(check, "no buckets", "the series must be there before the first request")
    return judged(check, shown, ok=edges.issuperset(limits), hint="an alert could never fire")
