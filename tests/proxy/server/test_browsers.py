"""Browsers: pages of other origins, and host names that resolve to this machine."""

from dataclasses import replace

import pytest

from proxy_service.settings.schema import ProxySettings
from tests.proxy.bodies import CHAT
from tests.proxy.running import RunningProxy


def test_local_pages_are_allowed_and_foreign_ones_refused(settings: ProxySettings) -> None:
    """CORS as in Ollama, with the same variable for more origins."""
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
    }
    with RunningProxy(replace(settings, origins=("https://*.good.example",))) as proxy:
        for origin in ("http://localhost:3000", "app://x", "https://a.good.example"):
            response = proxy.http.options("/api/chat", headers=preflight | {"Origin": origin})
            assert response.status_code == 204
            assert response.headers["access-control-allow-origin"] == origin
            allowed = response.headers["access-control-allow-headers"].lower()
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


@pytest.mark.parametrize("scheme", ["chrome", "moz", "safari-web", "safari", "ms-browser", "edge"])
def test_a_browsers_extension_is_refused_until_it_is_listed(
    settings: ProxySettings, scheme: str
) -> None:
    """As by Ollama: else any extension could use the engine."""
    listed, other = f"{scheme}-extension://abcdef", f"{scheme}-extension://fedcba"
    pairs: tuple[tuple[tuple[str, ...], str, int], ...] = (
        ((), listed, 403),
        ((listed,), listed, 200),
        ((listed,), other, 403),
        ((f"{scheme}-extension://*",), other, 200),
    )
    for origins, origin, status in pairs:
        with RunningProxy(replace(settings, origins=origins)) as proxy:
            response = proxy.http.post("/api/chat", json=CHAT, headers={"Origin": origin})
        assert response.status_code == status
        allowed = response.headers.get("access-control-allow-origin")
        assert allowed == (origin if status == 200 else None)


def test_an_origin_longer_than_any_name_is_foreign(settings: ProxySettings) -> None:
    """Matching it with several wildcards would take seconds."""
    with RunningProxy(replace(settings, origins=("http://*.*.example",))) as proxy:
        for length, status in ((100, 200), (30_000, 403)):
            origin = f"http://{'a.' * (length // 2)}example"
            assert proxy.http.get("/api/version", headers={"Origin": origin}).status_code == status


@pytest.mark.parametrize("origin", ["http://box.local:8443", "https://Box.local:8443"])
def test_a_page_may_call_the_host_that_served_it(proxy: RunningProxy, origin: str) -> None:
    """For example behind a reverse proxy that serves both a web interface and the API."""
    headers = {"Origin": origin, "Host": "box.local:8443"}
    response = proxy.http.post("/api/chat", json=CHAT, headers=headers)

    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == origin


def test_a_refused_page_counts_as_a_client_error(proxy: RunningProxy) -> None:
    proxy.http.post("/api/chat", json=CHAT, headers={"Origin": "https://evil.example"})

    assert (
        proxy.idle().value(
            "mistral_http_requests_total", endpoint="unmatched", status="client_error"
        )
        == 1
    )


def test_the_engines_cors_headers_are_not_passed_on(proxy: RunningProxy) -> None:
    response = proxy.http.get("/v1/models")

    assert "access-control-allow-origin" not in response.headers


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
    """This protects against DNS rebinding."""
    assert proxy.http.get("/api/version", headers={"Host": host}).status_code == status


def test_a_page_of_a_foreign_host_may_not_read_its_refusal(proxy: RunningProxy) -> None:
    """Its origin equals the Host, but both are foreign."""
    headers = {"Host": "evil.example", "Origin": "http://evil.example"}
    response = proxy.http.get("/api/version", headers=headers)

    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers


def test_all_origins_are_allowed_if_the_settings_say_so(settings: ProxySettings) -> None:
    """With `OLLAMA_ORIGINS=*`, as people set it for Ollama."""
    with RunningProxy(replace(settings, origins=("*",))) as proxy:
        response = proxy.http.get("/api/tags", headers={"Origin": "https://any.example"})

    assert response.headers["access-control-allow-origin"] == "*"
