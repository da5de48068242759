"""The drill: cause the condition of each alert and watch the alert fire and resolve.

The conditions are caused on copies, never on the services that clients use: a stand-in engine, a
real proxy in front of it and a real Prometheus that evaluates the project's rules with short
windows. A running Grafana gets the same rules, in a folder of their own, while the drill runs.

``conditions`` causes the conditions in a ``sandbox``. ``watcher`` and ``timeline`` record the
alerts' states, ``checks`` judges them. ``grafana_content``, ``grafana_session`` and ``webhook`` add
a Grafana and its notifications. docs/drill.md explains the design.
"""
