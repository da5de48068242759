"""The running demo or stack, and whether it has the alerts that the drill causes."""

from collections.abc import Iterator

from infra.topology import PROXY
from ops.clients import web
from ops.clients.prometheus import PrometheusError
from ops.report import Check, failed, judged, skipped
from ops.running.targets import Targets


def stack_checks(targets: Targets, expected: frozenset[str]) -> Iterator[Check]:
    """Check that the running Prometheus has the alerts that the drill causes.

    Args:
        targets: The running services.
        expected: Names of the alerts.
    """
    name = "the running Prometheus has the drill's alerts"
    if not web.is_ready(f"{targets.proxy}{PROXY.health_path}"):
        yield skipped(name, f"nothing runs at {targets.proxy}; the drill doesn't need it")
        return
    prometheus = targets.prometheus_api
    if prometheus is None:
        yield skipped(name, f"{targets.origin} has no Prometheus")
        return
    try:
        loaded = prometheus.alert_rules().keys()
    except PrometheusError as error:
        yield failed(name, str(error), "read Prometheus' log, or run `make verify`")
        return
    missing = ", ".join(sorted(expected - loaded))
    yield judged(
        name,
        f"{targets.origin}: {f'missing {missing}' if missing else f'all {len(expected)}'}",
        ok=not missing,
        hint="update the stack with `make up`, or restart the demo",
    )
