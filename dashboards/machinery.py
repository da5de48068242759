"""Signals of the engine's own metrics, the proxy's process and the scrape.

The engine has metrics of its own only in some modes and versions. Where it has none, its panels say
so instead of showing errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dashboards import queries as q
from dashboards.signals import NUMBER, SECONDS, SHARE, Query, Signal
from monitoring.names import ENGINE_JOB, scrape_timeout_seconds

if TYPE_CHECKING:
    from monitoring.thresholds import Thresholds

_NO_METRICS: Final = "none from this engine"
_NOT_SCRAPED: Final = "not scraped"
_CORES: Final = "suffix:cores"

_ENGINE: Final = f'job="{ENGINE_JOB}"'


def _engine_rate(metric: str, by: str = "") -> str:
    total = f"sum by ({by})" if by else "sum"
    return f"{total} (rate({metric}{{{_ENGINE}}}[$__rate_interval]))"


_ENGINES_P95: Final = (
    "histogram_quantile(0.95, "
    f"{_engine_rate('mistralrs_time_to_first_token_seconds_bucket', 'le')}) >= 0"
)
_PROXYS_P95: Final = q.quantile_of(0.95, q.unfiltered("mistral_time_to_first_token_seconds_bucket"))

ENGINE_SEQUENCES: Final = Signal(
    title="Sequences in the engine",
    description="Running and waiting sequences. An idle engine may still show its last values.",
    unit=NUMBER,
    when_empty=_NO_METRICS,
    queries=(
        Query(f"sum(mistralrs_sequences_running{{{_ENGINE}}})", "running"),
        Query(f"sum(mistralrs_sequences_waiting{{{_ENGINE}}})", "waiting"),
    ),
    whole=True,
)
ENGINE_CACHE: Final = Signal(
    title="KV cache in use",
    description="Share of the paged attention's blocks in use. At 1, sequences must wait.",
    unit=SHARE,
    when_empty=_NO_METRICS,
    queries=(
        Query(
            q.ratio(
                f"sum(mistralrs_kv_cache_blocks_used{{{_ENGINE}}})",
                f"sum(mistralrs_kv_cache_blocks_total{{{_ENGINE}}})",
            ),
            "used",
        ),
    ),
)
ENGINE_COMPLETED: Final = Signal(
    title="Sequences completed by reason",
    description="Why the engine's sequences ended, as reported by the engine.",
    unit="suffix:seq/s",
    when_empty=_NO_METRICS,
    queries=(Query(_engine_rate("mistralrs_sequences_completed_total", "reason"), "{{reason}}"),),
)
ENGINE_FIRST_TOKEN: Final = Signal(
    title="First token, engine and proxy",
    description=(
        "p95 of all streams, as measured by the engine and by the proxy. Both or neither: without "
        "the engine's, the proxy's is in the row Streaming."
    ),
    unit=SECONDS,
    when_empty=_NO_METRICS,
    queries=(
        Query(_ENGINES_P95, "engine p95"),
        Query(f"{_PROXYS_P95} and on () {_ENGINES_P95}", "proxy p95"),
    ),
)
ENGINE_PREFIX_CACHE: Final = Signal(
    title="Prefix cache hits",
    description="Share of new sequences whose beginning was cached and wasn't processed again.",
    unit=SHARE,
    when_empty=_NO_METRICS,
    queries=(
        Query(
            q.ratio(
                _engine_rate("mistralrs_prefix_cache_hits_total"),
                _engine_rate("mistralrs_prefix_cache_lookups_total"),
            ),
            "hits",
        ),
    ),
)
ENGINE_PREEMPTIONS: Final = Signal(
    title="Preemptions",
    description="Running sequences that had to wait again because the KV cache was full.",
    unit="suffix:seq/s",
    when_empty=_NO_METRICS,
    queries=(Query(_engine_rate("mistralrs_paged_preemptions_total"), "preempted"),),
)
ENGINE_PACE: Final = Signal(
    title="Time between tokens in the engine",
    description="Time between two tokens of a stream, as measured by the engine.",
    unit=SECONDS,
    when_empty=_NO_METRICS,
    queries=tuple(
        Query(
            f"histogram_quantile({p / 100:g}, "
            f"{_engine_rate('mistralrs_inter_token_latency_seconds_bucket', 'le')}) >= 0",
            f"p{p}",
        )
        for p in (50, 95)
    ),
)
ENGINE_MEMORY: Final = Signal(
    title="Engine memory",
    description=(
        "Resident memory of the engine's process, the model on a CPU included, memory of a GPU "
        "not. Only the embedded engine reports it, on Linux."
    ),
    unit="bytes",
    when_empty=_NO_METRICS,
    queries=(Query(f"process_resident_memory_bytes{{{_ENGINE}}}", "{{instance}}"),),
)
ENGINE_CPU: Final = Signal(
    title="Engine CPU",
    description="Cores in use. Only the embedded engine reports it, on Linux.",
    unit=_CORES,
    when_empty=_NO_METRICS,
    queries=(
        Query(f"rate(process_cpu_seconds_total{{{_ENGINE}}}[$__rate_interval])", "{{instance}}"),
    ),
)
MEMORY: Final = Signal(
    title="Proxy memory",
    description="Resident memory of the proxy. Steady growth without load means a leak.",
    unit="bytes",
    when_empty=_NOT_SCRAPED,
    queries=(Query(q.select("process_resident_memory_bytes"), "{{instance}}"),),
)
CPU: Final = Signal(
    title="Proxy CPU",
    description="Cores in use. The proxy is one process; near 1 it is the bottleneck.",
    unit=_CORES,
    when_empty=_NOT_SCRAPED,
    queries=(
        Query(f"rate({q.select('process_cpu_seconds_total')}[$__rate_interval])", "{{instance}}"),
    ),
)
FILES: Final = Signal(
    title="Open files",
    description="Share of the allowed file descriptors in use, including connections.",
    unit=SHARE,
    when_empty=_NOT_SCRAPED,
    queries=(
        Query(q.ratio(q.select("process_open_fds"), q.select("process_max_fds")), "{{instance}}"),
    ),
)
LOOP_LAG: Final = Signal(
    title="Event loop lag",
    description=(
        "Longest delay of the proxy's event loop in the 15 seconds before a scrape. It delays "
        "every stream. Near 0 unless the proxy has too much to do."
    ),
    unit=SECONDS,
    when_empty=_NOT_SCRAPED,
    queries=(Query(q.select("mistral_event_loop_lag_seconds"), "{{instance}}"),),
)
SCRAPE_SAMPLES: Final = Signal(
    title="Scraped samples",
    description="Samples per scrape. Steady growth means that a label has unlimited values.",
    unit=NUMBER,
    when_empty=_NOT_SCRAPED,
    queries=(Query(q.select("scrape_samples_scraped"), "{{instance}}"),),
    whole=True,
)


def scrape_time(t: Thresholds) -> Signal:
    """Return the signal for the time that a scrape takes."""
    timeout = scrape_timeout_seconds(t.timing.scrape_interval_seconds)
    return Signal(
        title="Scrape duration",
        description=(
            "How long Prometheus takes to read the proxy's metrics; it gives up after "
            f"{timeout:g} s."
        ),
        unit=SECONDS,
        when_empty=_NOT_SCRAPED,
        queries=(Query(q.select("scrape_duration_seconds"), "{{instance}}"),),
    )
