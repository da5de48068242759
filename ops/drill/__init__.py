"""The fire drill of the alerts: cause each condition for real and watch its alert come and go.

Conditions are caused on copies, never on what serves people: a scripted engine, a real proxy in
front of it and a real Prometheus that evaluates the project's rules with short windows. A running
Grafana is given the same rules in a folder of their own for the time of the drill.

``conditions`` is what is caused, ``bench`` what it is caused on, ``watching`` and ``timeline`` what
is seen, ``grafana*`` and ``webhook`` where else it is seen. Why it is built so: docs/drill.md.
"""
