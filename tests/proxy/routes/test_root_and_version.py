"""`/` and `/api/version`, which clients call to see whether Ollama runs."""

from tests.proxy.running import RunningProxy


def test_root_says_that_ollama_is_running(proxy: RunningProxy) -> None:
    response = proxy.http.get("/")
    head = proxy.http.head("/")

    assert (response.status_code, response.text) == (200, "Ollama is running")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert (head.status_code, head.content) == (200, b"")


def test_version_is_three_numbers_that_clients_accept(proxy: RunningProxy) -> None:
    """It is at least 0.6.4, and has digits only."""
    version = proxy.http.get("/api/version").json()["version"]

    assert tuple(int(part) for part in version.split(".")) >= (0, 6, 4)
