"""The dashboard "Mistral.rs Metrics", from top to bottom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import AnnotationContainer, DashboardCursorSync

from dashboards import generation, machinery, panels, traffic, variables
from dashboards.layout import Line, Row, arrange
from dashboards.style import BLUE, GREEN, ORANGE, RED, YELLOW
from monitoring.names import DASHBOARD_UID, DATASOURCE_UID

if TYPE_CHECKING:
    from monitoring.thresholds import Thresholds

TITLE: Final = "Mistral.rs Metrics"

_TILE: Final = 4
_GRAPH: Final = 8
_NEW_PROXY_SECONDS: Final = 600
# Seconds. The last reply is at most 20 s old, because of the intervals of probes and scrapes;
# after two minutes MistralEngineUnreachable fires.
_REPLY_AGES: Final = (30, ORANGE), (120, RED)
_BUSY_SHARE: Final = 0.8
_BUDGET_FINE: Final = 0.25


def render(
    thresholds: Thresholds,
    *,
    prometheus_url: str = "",
    runbook_base_url: str = "",
    datasource_uid: str = DATASOURCE_UID,
) -> str:
    """Return the dashboard as JSON text, the same for the same arguments.

    Args:
        thresholds: The alerts' thresholds, drawn as lines.
        prometheus_url: URL of Prometheus for a browser; if empty, there is no link.
        runbook_base_url: URL under which the runbooks are published; if empty, there is no link.
        datasource_uid: Grafana's uid of the Prometheus data source that it opens with.
    """
    board = (
        Dashboard(TITLE)
        .uid(DASHBOARD_UID)
        .description("Requests, generations and health of Mistral.rs and its Ollama proxy.")
        .tags(["mistral"])
        .time("now-1h", "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .variables(list(variables.variables(datasource_uid)))
        .build()
    )
    board.annotations = AnnotationContainer(list_val=variables.annotation_queries())
    board.links = variables.links(prometheus_url=prometheus_url, runbook_base_url=runbook_base_url)
    board.panels = arrange(rows(thresholds))
    return JSONEncoder(sort_keys=True, indent=2).encode(board) + "\n"


def rows(thresholds: Thresholds) -> tuple[Row, ...]:
    """Return the rows in the order of the screen."""
    return (
        _status(thresholds),
        _traffic(thresholds),
        _generation(thresholds),
        _errors(thresholds),
        _streaming(thresholds),
        _loads(),
        _engine(),
        _proxy(),
    )


def _status(thresholds: Thresholds) -> Row:
    latency = (thresholds.high_latency_seconds, ORANGE), (thresholds.very_high_latency_seconds, RED)
    busy = thresholds.high_active_requests
    budget = traffic.error_budget(thresholds.availability_objective)
    return Row(
        "Status and health",
        (
            Line(
                _TILE,
                (
                    (3, panels.up_tile(traffic.PROXY_UP)),
                    (3, panels.up_tile(traffic.ENGINE_UP)),
                    (3, panels.tile(traffic.FIRING, (1, RED))),
                    (3, panels.tile(budget, (0, YELLOW), (_BUDGET_FINE, GREEN), base=RED)),
                    (3, panels.tile(traffic.ACTIVE_NOW, (busy * _BUSY_SHARE, ORANGE), (busy, RED))),
                    (3, panels.tile(traffic.P95_NOW, *latency)),
                    (3, panels.tile(generation.TOKENS_NOW, base=BLUE, decimals=1)),
                    (3, panels.tile(traffic.REQUESTS_IN_RANGE, base=BLUE)),
                ),
            ),
            Line(
                6,
                (
                    (8, panels.alert_timeline(traffic.ALERTS)),
                    (7, panels.model_table(generation.MODELS)),
                    (3, panels.counts(traffic.TOTALS)),
                    (3, panels.tile(traffic.ENGINE_REPLY, *_REPLY_AGES)),
                    (3, panels.tile(traffic.UPTIME, (_NEW_PROXY_SECONDS, GREEN), base=YELLOW)),
                ),
            ),
        ),
    )


def _traffic(thresholds: Thresholds) -> Row:
    latency = (thresholds.high_latency_seconds, ORANGE), (thresholds.very_high_latency_seconds, RED)
    return Row(
        "Request rate and latency",
        (
            Line(
                _GRAPH,
                (
                    (12, panels.graph(traffic.RATE_BY_ENDPOINT)),
                    (12, panels.stack(traffic.RATE_BY_STATUS)),
                ),
            ),
            Line(
                _GRAPH,
                (
                    (8, panels.graph(traffic.LATENCY, *latency)),
                    (8, panels.graph(traffic.LATENCY_BY_ENDPOINT, *latency)),
                    (8, panels.spread(traffic.LATENCY_SPREAD)),
                ),
            ),
            Line(
                _GRAPH,
                (
                    (8, panels.graph(traffic.WITHIN_5_SECONDS)),
                    (8, panels.graph(traffic.ENGINE_WAIT)),
                    (8, panels.graph(traffic.OVERHEAD)),
                ),
            ),
        ),
    )


def _generation(thresholds: Thresholds) -> Row:
    slow = (thresholds.slow_generation_seconds, ORANGE)
    return Row(
        "Generation",
        (
            Line(
                _GRAPH,
                (
                    (8, panels.graph(generation.TOKENS_BY_MODEL)),
                    (8, panels.graph(generation.PROMPT_TOKENS_BY_MODEL)),
                    (8, panels.graph(generation.PACE)),
                ),
            ),
            Line(
                _GRAPH,
                (
                    (8, panels.graph(generation.DURATION, slow)),
                    (8, panels.graph(generation.DURATION_BY_MODEL, slow)),
                    (8, panels.spread(generation.DURATION_SPREAD)),
                ),
            ),
            Line(
                _GRAPH,
                (
                    (8, panels.stack(generation.FINISH_REASONS)),
                    (8, panels.spread(generation.OUTPUT_LENGTH)),
                    (8, panels.spread(generation.PROMPT_LENGTH)),
                ),
            ),
        ),
    )


def _errors(thresholds: Thresholds) -> Row:
    busy = thresholds.high_active_requests
    return Row(
        "Errors and active requests",
        (
            Line(
                _GRAPH,
                (
                    (12, panels.graph(traffic.ERROR_RATIO, (thresholds.high_error_ratio, ORANGE))),
                    (12, panels.stack(traffic.ERRORS_BY_TYPE)),
                ),
            ),
            Line(
                _GRAPH,
                (
                    (8, panels.graph(traffic.ACTIVE, (busy, ORANGE))),
                    (8, panels.graph(traffic.SATURATION, (1, RED))),
                    (8, panels.graph(traffic.CLIENT_TROUBLE)),
                ),
            ),
        ),
    )


def _streaming(thresholds: Thresholds) -> Row:
    late = (thresholds.slow_first_token_seconds, ORANGE)
    return Row(
        "Streaming",
        (
            Line(
                _GRAPH,
                (
                    (8, panels.graph(generation.CHUNKS)),
                    (8, panels.stack(generation.STREAM_OUTCOMES)),
                    (8, panels.graph(generation.TOKENS_PER_CHUNK)),
                ),
            ),
            Line(
                _GRAPH,
                (
                    (8, panels.graph(generation.FIRST_TOKEN, late)),
                    (8, panels.spread(generation.FIRST_TOKEN_SPREAD)),
                    (8, panels.graph(generation.TIME_PER_TOKEN)),
                ),
            ),
        ),
    )


def _loads() -> Row:
    return Row(
        "Model loads",
        (
            Line(
                _GRAPH,
                (
                    (8, panels.graph(generation.LOADS)),
                    (8, panels.graph(generation.LOAD_TIME)),
                    (8, panels.spread(generation.LOAD_SPREAD)),
                ),
            ),
        ),
        collapsed=True,
    )


def _engine() -> Row:
    return Row(
        "Engine (if it has metrics of its own)",
        (
            Line(
                _GRAPH,
                (
                    (6, panels.graph(machinery.ENGINE_SEQUENCES)),
                    (6, panels.graph(machinery.ENGINE_CACHE)),
                    (6, panels.stack(machinery.ENGINE_COMPLETED)),
                    (6, panels.graph(machinery.ENGINE_FIRST_TOKEN)),
                ),
            ),
            Line(
                _GRAPH,
                (
                    (8, panels.graph(machinery.ENGINE_PACE)),
                    (8, panels.graph(machinery.ENGINE_PREFIX_CACHE)),
                    (8, panels.graph(machinery.ENGINE_PREEMPTIONS)),
                ),
            ),
        ),
        collapsed=True,
    )


def _proxy() -> Row:
    return Row(
        "Proxy and scrape",
        (
            Line(
                _GRAPH,
                (
                    (8, panels.graph(machinery.MEMORY)),
                    (8, panels.graph(machinery.CPU)),
                    (8, panels.graph(machinery.FILES)),
                ),
            ),
            Line(
                _GRAPH,
                (
                    (8, panels.graph(machinery.LOOP_LAG)),
                    (8, panels.graph(machinery.SCRAPE_TIME)),
                    (8, panels.graph(machinery.SCRAPE_SAMPLES)),
                ),
            ),
        ),
        collapsed=True,
    )
