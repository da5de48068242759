"""What the benchmark computes from its samples: medians, ratios, targets, guard, chart."""

import json
from xml.etree import ElementTree as ET

import pytest

from bench.chart import to_svg
from bench.guard import ratios, regressions
from bench.load import Sample
from bench.memory import Memory
from bench.report import to_json, to_table
from bench.subjects import DIRECT, LITELLM, NGINX, OLLAMA
from bench.summary import Run
from bench.targets import targets

RATES = {DIRECT: 400.0, NGINX: 200.0, OLLAMA: 300.0, LITELLM: 2.0}
MEMORY = Memory(
    idle_kib=50 * 1024,
    per_stream_kib=20,
    soak_requests=200_000,
    soak_before_kib=50_000,
    soak_after_kib=51_000,
    scrapes=40,
    slowest_scrape_ms=12,
)


def sample(subject: str, kind: str, rate: float, connections: int = 32) -> Sample:
    return Sample(
        subject=subject,
        kind=kind,
        connections=connections,
        rate=rate,
        cpu_us=1000 / rate,
        generator_cpu=0.2,
        engine_cpu=0.7,
        faults=0,
        first_p50_us=1000 / rate,
        first_p99_us=2000 / rate,
    )


def a_run(**changed: float) -> Run:
    """Return a run of three repetitions, each a little faster than the one before."""
    rates = RATES | changed
    return Run(
        sample(subject, kind, rate * speed)
        for speed in (1.0, 1.1, 1.2)
        for kind in ("unary", "burst")
        for subject, rate in rates.items()
    )


def test_a_figure_is_the_median_with_the_extremes() -> None:
    """The table shows the extremes next to the median."""
    figure = a_run().figure((NGINX, "burst", 32), "rate")

    assert figure is not None
    assert (figure.median, figure.low, figure.high) == pytest.approx((220, 200, 240))


def test_ratios_compare_within_a_repetition() -> None:
    """Other work on the machine then slows both sides of a ratio alike."""
    ratio = a_run().ratio((OLLAMA, "burst", 32), (NGINX, "burst", 32), "rate")

    assert ratio is not None
    assert (ratio.low, ratio.high) == pytest.approx((1.5, 1.5))


def test_what_was_not_measured_has_no_figure() -> None:
    """It has no ratio either, and its targets are neither met nor missed."""
    run = Run([sample(OLLAMA, "burst", 1)])

    assert run.figure((NGINX, "burst", 32), "rate") is None
    assert run.ratio((OLLAMA, "burst", 32), (NGINX, "burst", 32), "rate") is None
    assert {target.met for target in targets(run, None)} == {None, True}


def test_a_target_is_met_at_its_bound_and_missed_beyond() -> None:
    """For lower and for upper bounds."""
    met = {target.name: target.met for target in targets(a_run(), MEMORY)}
    slow = {target.name: target.met for target in targets(a_run(**{OLLAMA: 299.0}), MEMORY)}

    assert met["chunks/s, 32 streams: x nginx"]
    assert not slow["chunks/s, 32 streams: x nginx"]
    assert met["CPU per chunk, 32: x nginx"]
    assert met["memory, idle: MiB"]


def test_a_lost_chunk_misses_a_target() -> None:
    """However fast the rest was."""
    lost = Sample(
        subject=OLLAMA,
        kind="burst",
        connections=1,
        rate=1,
        cpu_us=1,
        generator_cpu=0,
        engine_cpu=0,
        faults=1,
    )

    found = {t.name: t.met for t in targets(Run([*a_run().samples, lost]), None)}
    assert found["lost, reordered or refused"] is False


def test_the_guard_names_what_fell_below_four_fifths() -> None:
    """It ignores ratios that are slower within the noise, or were never recorded."""
    recorded = ratios(a_run())
    slower = ratios(a_run(**{OLLAMA: 0.85 * RATES[OLLAMA]}))
    much_slower = ratios(a_run(**{OLLAMA: 0.75 * RATES[OLLAMA]}))

    assert regressions(slower, recorded) == []
    assert regressions(much_slower, {}) == []
    found = regressions(much_slower, recorded)
    assert len(found) == len(recorded)
    assert all("recorded" in line for line in found)


def test_the_chart_is_svg_with_a_bar_for_each_subject() -> None:
    """It has one bar per load, labelled with its ratio."""
    root = ET.fromstring(to_svg(a_run()))  # noqa: S314  written by the function itself
    texts = [element.text or "" for element in root.iter() if element.tag.endswith("text")]

    assert texts.count(OLLAMA) == 2
    assert any("1.5 x nginx" in text for text in texts)


def test_the_table_shows_every_cell_and_every_target() -> None:
    """Nothing is left out, including the targets that were not measured."""
    table = to_table(a_run(**{OLLAMA: 100.0}), MEMORY, {"cpu": "a processor"})

    for text in ("a processor", "unary, 32", "burst, 32", *RATES, "NOT MET", "not measured"):
        assert text in table


def test_the_json_has_every_sample() -> None:
    """Readers can compute from it what the table does not show."""
    written = json.loads(json.dumps(to_json(a_run(), MEMORY, {})))

    assert [Sample(**value) for value in written["samples"]] == list(a_run().samples)
