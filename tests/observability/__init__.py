"""Alerts and dashboard: the rooms `alerts/`, `dashboards/` and `monitoring/`.

They are tested together, because they ask one proxy's metrics in one language: the same Prometheus,
promtool and list of all queries serve both.
"""
