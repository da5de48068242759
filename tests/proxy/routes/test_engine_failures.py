"""What clients get when the engine fails or isn't there."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from proxy_service.settings.schema import ProxySettings
from tests.processes import free_port
from tests.proxy.bodies import CHAT
from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import Reply, ScriptedEngine, Step, json_reply, stream


def test_the_proxy_reports_a_missing_engine_and_recovers(settings: ProxySettings) -> None:
    """Without a restart; `/` and the version are still served."""
    port = free_port()
    with (
        ScriptedEngine(port) as first,
        RunningProxy(replace(settings, engine_url=first.url)) as proxy,
    ):
        proxy.probe()
        first.stop()
        for path in ("/api/tags", "/api/ps", "/readyz"):
            assert proxy.http.get(path).status_code == 503
        assert proxy.http.post("/api/chat", json=CHAT).status_code == 503
        assert proxy.http.get("/").status_code == 200
        assert proxy.http.get("/api/version").status_code == 200
        assert proxy.http.get("/livez").status_code == 200
        with ScriptedEngine(port):
            assert proxy.http.post("/api/chat", json=CHAT).status_code == 200
            proxy.probe()
            assert proxy.http.get("/readyz").status_code == 200


def hang_for_too_long(engine: ScriptedEngine, proxy: RunningProxy, *, skip: int = 0) -> None:
    """Move time past the timeout of a probe, once the engine hangs in it."""
    seconds = proxy.settings.engine_probe_timeout_seconds + 1
    proxy.put_forward_in_silence(engine, seconds, path="/v1/models", skip=skip)


def test_requests_that_wait_for_an_engine_that_hangs_share_one_probe(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """They share its failure, and don't each wait for another timeout."""
    engine.on("/v1/models", stream(Step.STALL))
    with RunningProxy(settings) as proxy, ThreadPoolExecutor(20) as pool:
        sent = [pool.submit(proxy.http.get, "/api/tags") for _ in range(20)]
        assert proxy.counted("mistral_active_requests", 20)
        hang_for_too_long(engine, proxy)
        codes = [response.result().status_code for response in sent]

    assert codes == [504] * 20
    assert len(engine.calls("/v1/models")) == 1


def test_the_engines_list_of_models_has_the_timeout_of_a_probe(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """It is passed through, but isn't a generation."""
    with RunningProxy(settings) as proxy, ThreadPoolExecutor(1) as pool:
        assert proxy.counted("mistral_upstream_up", 1)
        engine.on("/v1/models", stream(Step.STALL))
        sent = pool.submit(proxy.http.get, "/v1/models")
        hang_for_too_long(engine, proxy, skip=1)
        response = sent.result()

    assert response.status_code == 504
    assert "ENGINE_PROBE_TIMEOUT" in response.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "reply",
    [
        Reply((b"<html></html>",), content_type="text/html", length=True),
        Reply((b"<html></html>",), length=True),
        Reply((b"",), length=True),
    ],
    ids=["HTML", "not JSON", "nothing"],
)
def test_a_server_that_is_not_an_engine_is_a_502(
    engine: ScriptedEngine, proxy: RunningProxy, path: str, reply: Reply, *, streamed: bool
) -> None:
    """It sends HTML, or nothing, with status 200."""
    engine.chat(reply)

    response = proxy.http.post(path, json=CHAT | {"stream": streamed})

    assert response.status_code == 502
    assert "error" in response.json()


@pytest.mark.parametrize("path", ["/api/tags", "/v1/models", "/readyz"])
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_a_server_without_a_list_of_models_is_a_502(
    engine: ScriptedEngine, settings: ProxySettings, path: str, status: int
) -> None:
    """Whatever its status is, because the client didn't cause it."""
    engine.on("/v1/models", json_reply({"message": "Requested model 'x' is not available"}, status))
    with RunningProxy(settings) as proxy:
        assert proxy.http.get("/api/tags").status_code == 502
        response = proxy.http.get(path)

    assert response.status_code == (503 if path == "/readyz" else 502)
    assert "MISTRAL_URL" in response.text


def test_an_engine_that_resets_the_connection_before_its_reply_is_a_502(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    engine.chat(Reply((Step.RESET,), length=True))

    assert proxy.http.post("/api/chat", json=CHAT).status_code == 502
