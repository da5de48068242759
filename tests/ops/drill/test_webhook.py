"""What Grafana sends to the drill's receiver."""

import json
from collections.abc import Mapping

from ops.clients import web
from ops.drill.timeline import State
from ops.drill.webhook import NotifiedAlerts, webhook_receiver

INACTIVE, FIRING = State.INACTIVE, State.FIRING


def notification(status: str, model: str) -> Mapping[str, object]:
    return {"alerts": [{"status": status, "labels": {"alertname": "A", "model": model}}]}


def test_the_webhook_reports_an_alert_resolved_when_its_last_series_is() -> None:
    notified = NotifiedAlerts()
    notified.update(notification("firing", "x"))
    notified.update(notification("firing", "y"))

    notified.update(notification("resolved", "x"))
    assert notified.states() == {"A": FIRING}

    notified.update(notification("resolved", "y"))
    assert notified.states() == {"A": INACTIVE}


def test_the_receiver_takes_notifications_only_on_its_secret_path() -> None:
    alert = {"status": "firing", "labels": {"alertname": "MistralDown"}}
    with webhook_receiver("127.0.0.1") as receiver:
        base = f"http://127.0.0.1:{receiver.server_port}"

        refused = web.send("POST", f"{base}/", {"alerts": [alert]})
        assert (refused.status, receiver.alerts.states()) == (404, {})

        garbled = web.send("POST", f"{base}{receiver.path}", json.dumps("x"))
        assert garbled.status == 400

        assert web.send("POST", f"{base}{receiver.path}", {"alerts": [alert]}).ok
        assert receiver.alerts.states() == {"MistralDown": State.FIRING}
