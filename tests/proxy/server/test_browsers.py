"""What browsers may do: pages of other origins, and host names that lead here."""

from dataclasses import replace

import pytest

from proxy_service.settings import ProxySettings
from tests.proxy.bodies import CHAT
from tests.proxy.running import RunningProxy


def test_local_pages_may_call_and_foreign_ones_may_not(settings: ProxySettings) -> None:
    """CORS as Ollama has it, with the same variable for more origins."""
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
    }
    with RunningProxy(replace(settings, origins=("https://*.good.example",))) as proxy:
        for origin in ("http://localhost:3000", "app://x", "https://a.good.example"):
            answer = proxy.http.options("/api/chat", headers=preflight | {"Origin": origin})
            assert answer.status_code == 204
            assert answer.headers["access-control-allow-origin"] == origin
            allowed = answer.headers["access-control-allow-headers"].lower()
            assert "authorization" in allowed
            assert "x-stainless-os" in allowed
            got = proxy.http.get("/api/tags", headers={"Origin": origin})
            assert got.headers["access-control-allow-origin"] == origin
        for origin in (
            "https://evil.example",
            "http://localhost.evil.example",
            "http://localhost:x.evil.example",
            "http://localhost:1.evil.example",
            "http://box.local",
        ):
            refused = proxy.http.post("/api/chat", json=CHAT, headers={"Origin": origin})
            assert (refused.status_code, refused.content) == (403, b"")


@pytest.mark.parametrize("origin", ["http://box.local:8443", "https://Box.local:8443"])
def test_a_page_may_call_the_host_that_it_came_from(proxy: RunningProxy, origin: str) -> None:
    """As behind a reverse proxy that serves a web interface beside the API."""
    headers = {"Origin": origin, "Host": "box.local:8443"}
    answer = proxy.http.post("/api/chat", json=CHAT, headers=headers)

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == origin


def test_a_refused_page_is_counted_as_the_clients_error(proxy: RunningProxy) -> None:
    proxy.http.post("/api/chat", json=CHAT, headers={"Origin": "https://evil.example"})

    assert (
        proxy.idle().value(
            "mistral_http_requests_total", endpoint="unmatched", status="client_error"
        )
        == 1
    )


def test_the_engines_own_cors_headers_do_not_pass(proxy: RunningProxy) -> None:
    answer = proxy.http.get("/v1/models")

    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:11434", 200),
        ("127.0.0.1", 200),
        ("box.local", 200),
        ("host.docker.internal:11434", 200),
        ("192.168.1.7", 200),
        ("[::1]:11434", 200),
        ("evil.example", 403),
        ("8.8.8.8", 403),
    ],
)
def test_a_foreign_host_name_is_refused_on_loopback(
    proxy: RunningProxy, host: str, status: int
) -> None:
    """The guard against DNS rebinding."""
    assert proxy.http.get("/api/version", headers={"Host": host}).status_code == status


def test_a_page_whose_own_name_leads_here_may_not_read_its_refusal(proxy: RunningProxy) -> None:
    """Its origin is that of the Host which it asked for, and both are foreign."""
    headers = {"Host": "evil.example", "Origin": "http://evil.example"}
    answer = proxy.http.get("/api/version", headers=headers)

    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_every_page_may_call_when_the_settings_say_so(settings: ProxySettings) -> None:
    """`OLLAMA_ORIGINS=*`, as people set it for Ollama."""
    with RunningProxy(replace(settings, origins=("*",))) as proxy:
        answer = proxy.http.get("/api/tags", headers={"Origin": "https://any.example"})

    assert answer.headers["access-control-allow-origin"] == "*"
