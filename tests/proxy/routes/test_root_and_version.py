"""`/` and `/api/version`, which clients call to see whether Ollama runs."""

from tests.proxy.running import RunningProxy


def test_root_tells_that_ollama_runs(proxy: RunningProxy) -> None:
    answer = proxy.http.get("/")
    head = proxy.http.head("/")

    assert (answer.status_code, answer.text) == (200, "Ollama is running")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert (head.status_code, head.content) == (200, b"")


def test_version_is_three_numbers_that_clients_accept(proxy: RunningProxy) -> None:
    """At least 0.6.4, digits only."""
    version = proxy.http.get("/api/version").json()["version"]

    assert tuple(int(part) for part in version.split(".")) >= (0, 6, 4)
