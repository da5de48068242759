"""Our counters, gauges and histograms have the same exposition as prometheus-client's own."""

import re
import tracemalloc

import prometheus_client
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from proxy_service.telemetry.instruments import Instruments

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
FORMATS = ("", "text/plain; version=1.0.0; escaping=allow-utf-8", OPENMETRICS)
BOUNDS = (0.005, 0.5, 1, 10, 1e6, 1e7)
# Label values are ids of models, which can be any text.
NAMES = st.sampled_from(["m", "org/Model-7B", 'a "quoted" \\ one', "two\nlines", "\u2028 é", ""])
AMOUNTS = st.sampled_from([0.0, 1.0, 0.005, 0.1 + 0.2, 1e6, 123456789.0, 1e22, 3.0])
EVENTS = st.lists(st.tuples(st.sampled_from("cgh"), NAMES, AMOUNTS), max_size=20)


class Library:
    """The same families, of the library's own instruments."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.counter = prometheus_client.Counter(
            "c_total", "C.", ["a", "b"], registry=self.registry
        )
        self.gauge = prometheus_client.Gauge("g", "G: \\ and\nmore.", ["a"], registry=self.registry)
        self.histogram = prometheus_client.Histogram(
            "h_seconds", "H.", ["a"], buckets=BOUNDS, registry=self.registry
        )
        self.alone = prometheus_client.Gauge("alone", "No labels.", registry=self.registry)

    def expose(self, accept: str) -> str:
        """Return the exposition without the creation times, which ours leaves out."""
        text = choose_encoder(accept)[0](self.registry).decode()
        return re.sub(r"(?m)^(# \w+ )?\w+_created\b.*\n", "", text)


class Ours:
    """The families, of our instruments."""

    def __init__(self) -> None:
        self.instruments = Instruments()
        self.counter = self.instruments.counter("c_total", "C.", "a", "b")
        self.gauge = self.instruments.gauge("g", "G: \\ and\nmore.", "a")
        self.histogram = self.instruments.histogram("h_seconds", "H.", BOUNDS, "a")
        self.alone = self.instruments.gauge("alone", "No labels.").labels()

    def expose(self, accept: str) -> str:
        return self.instruments.expose(accept).decode()


def happen(families: Library | Ours, kind: str, name: str, amount: float) -> None:
    """Count one event."""
    families.alone.inc()
    if kind == "c":
        families.counter.labels("x", name).inc(amount)
    elif kind == "g":
        families.gauge.labels(name).set(amount)
    else:
        families.histogram.labels(name).observe(amount)


@given(EVENTS, EVENTS)
@example([("h", "m", 0.005)], [("h", "m", 1e22)])
def test_the_exposition_equals_the_librarys(
    events: list[tuple[str, str, float]], more: list[tuple[str, str, float]]
) -> None:
    """In every format, the first time and again after more numbers and series."""
    library, ours = Library(), Ours()
    for batch in (events, more):
        for event in batch:
            happen(library, *event)
            happen(ours, *event)
        for accept in FORMATS:
            assert ours.expose(accept) == library.expose(accept)


def test_a_child_is_made_once_and_needs_all_its_labels() -> None:
    family = Instruments().counter("c_total", "C.", "a", "b")

    assert family.labels("x", "y") is family.labels("x", "y")
    with pytest.raises(ValueError, match="expected values of"):
        family.labels("x")


def test_the_number_of_texts_kept_for_formats_is_limited() -> None:
    """A client can ask for any number of formats."""
    ours = Ours()
    for number in range(1000):
        ours.counter.labels("x", f"{number}")
    size = len(ours.expose(""))
    tracemalloc.start()
    for minor in range(100):
        ours.expose(f"application/openmetrics-text; version=1.{minor}.0")
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert kept < 20 * size
