"""The dashboard's variables, annotations and links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.models import common, dashboard

from dashboards import queries as q
from dashboards import style
from monitoring.names import DEPLOYMENT_TAGS, DRILL_NAME, JOB, SERVICE, TARGET_LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

# Matches every value. Grafana's own "All" lists them, which is long if there are many.
_ALL: Final = ".+"

_GRAFANA: Final = common.DataSourceRef(type_val="grafana", uid="-- Grafana --")


def variables(
    datasource_uid: str,
) -> Sequence[builders.DatasourceVariable | builders.QueryVariable]:
    """Return the variables in the order of the screen; each one narrows those after it."""
    of_job = 'job=~"$job"'
    of_instance = f'{of_job},instance=~"$instance"'
    return (
        _datasource(datasource_uid),
        _job(),
        _choice("instance", "Instance", f"up{{{of_job}}}"),
        _choice("endpoint", "Endpoint", f"mistral_http_requests_total{{{of_instance}}}"),
        _choice("model", "Model", f"mistral_generate_duration_seconds_count{{{of_instance}}}"),
    )


def annotation_queries() -> list[dashboard.AnnotationQuery]:
    """Return what is marked in all graphs: starts, firing alerts and deployments."""
    return [
        _from_prometheus(
            "Proxy starts",
            f"{q.unfiltered('mistral_start_time_seconds')} * 1000",
            style.BLUE,
            "{{instance}} started",
            value_is_time=True,
        ),
        # One for all alerts: the regions of several would lie over each other, and hide the graph.
        _from_prometheus(
            "Firing alerts",
            f'max(ALERTS{{alertstate="firing",service="{SERVICE}"}})',
            style.PURPLE,
            "Alerts are firing: see the panel Alerts",
        ),
        dashboard.AnnotationQuery(
            name="Deployments",
            datasource=_GRAFANA,
            enable=True,
            icon_color=style.GREEN,
            # A query for annotations in Grafana's store; the SDK's type allows only data queries.
            target=dashboard.AnnotationTarget(  # type: ignore[arg-type]
                limit=100, match_any=False, tags=list(DEPLOYMENT_TAGS), type_val="tags"
            ),
        ),
    ]


def links(*, prometheus_url: str, runbook_base_url: str) -> list[dashboard.DashboardLink]:
    """Return the links at the top; an empty URL leaves its link out."""
    named = (("Prometheus", prometheus_url), ("Runbooks", runbook_base_url))
    return [
        dashboard.DashboardLink(
            title=title,
            type_val=dashboard.DashboardLinkType.LINK,
            icon="external link",
            url=url,
            target_blank=True,
        )
        for title, url in named
        if url
    ]


def _datasource(uid: str) -> builders.DatasourceVariable:
    """Return the choice of a Prometheus, without the one that a drill adds for some minutes.

    Before Grafana 10 the first one in the alphabet is chosen, whatever is set here.
    """
    return (
        builders.DatasourceVariable("datasource")
        .label("Data source")
        .type("prometheus")
        .regex(f"/^(?!{DRILL_NAME}$)/")
        .current(dashboard.VariableOption(text=uid, value=uid))
    )


def _job() -> builders.QueryVariable:
    """Return the choice of exactly one job: ``up`` and ``process_*`` exist in other jobs too."""
    return (
        _query_variable("job", "Job", f'up{{engine="{TARGET_LABELS["engine"]}"}}')
        .multi(multi=False)
        .current(dashboard.VariableOption(text=JOB, value=JOB))
    )


def _choice(label: str, title: str, series: str) -> builders.QueryVariable:
    return (
        _query_variable(label, title, series)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(_ALL)
        .current(dashboard.VariableOption(text=["All"], value=["$__all"]))
    )


def _query_variable(label: str, title: str, series: str) -> builders.QueryVariable:
    query = f"label_values({series}, {label})"
    return (
        builders.QueryVariable(label)
        .label(title)
        .datasource(style.DATASOURCE)
        .query({"query": query, "refId": label})
        .definition(query)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
    )


def _from_prometheus(
    name: str, expr: str, colour: str, title: str, *, value_is_time: bool = False
) -> dashboard.AnnotationQuery:
    """Mark the times at which a query has a series, or its values, in milliseconds since 1970."""
    return dashboard.AnnotationQuery(
        name=name,
        datasource=style.DATASOURCE,
        enable=True,
        icon_color=colour,
        expr=expr,
        title_format=title,
        use_value_for_time=value_is_time or None,
        target=prometheus.Dataquery().ref_id("Anno").expr(expr).build(),
    )
