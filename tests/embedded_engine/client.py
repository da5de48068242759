"""A plain HTTP client that shows single events and can disconnect in the middle of a reply."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from tests.processes import TIMEOUT_SECONDS

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"


@dataclass(frozen=True)
class Reply:
    status: int
    content_type: str
    text: str

    @property
    def json(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.text)
        return body

    @property
    def events(self) -> list[str]:
        """The data of each server-sent event."""
        lines = [line for line in self.text.split("\n") if line and not line.startswith(":")]
        assert all(line.startswith("data: ") for line in lines), self.text
        return [line.removeprefix("data: ") for line in lines]

    @property
    def chunks(self) -> list[Any]:
        """The events of a successful stream, without the `[DONE]` that ends it."""
        *chunks, done = self.events
        assert done == "[DONE]"
        return [json.loads(chunk) for chunk in chunks]


@dataclass(frozen=True)
class Client:
    base_url: str

    def get(self, path: str, **headers: str) -> Reply:
        with self._request("GET", path, None, headers) as response:
            return _reply(response)

    def head(self, path: str) -> Reply:
        with self._request("HEAD", path, None, {}) as response:
            return _reply(response)

    def post(self, path: str, body: object, **headers: str) -> Reply:
        """Send a JSON body."""
        return self.post_text(path, json.dumps(body), **headers)

    def post_text(
        self, path: str, text: str, content_type: str = "application/json", **headers: str
    ) -> Reply:
        with self._request(
            "POST", path, text, {"content-type": content_type} | headers
        ) as response:
            return _reply(response)

    @contextmanager
    def streaming(self, path: str, body: object) -> Iterator[HTTPResponse]:
        """Yield the response as soon as its head is there; leaving the block disconnects."""
        headers = {"content-type": "application/json"}
        with self._request("POST", path, json.dumps(body), headers) as response:
            yield response

    @contextmanager
    def sending(self, path: str, body: object) -> Iterator[HTTPConnection]:
        """Send a request without waiting for a reply; leaving the block disconnects."""
        connection = self._connection()
        try:
            connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
            yield connection
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        return HTTPConnection(urlsplit(self.base_url).netloc, timeout=TIMEOUT_SECONDS)

    @contextmanager
    def _request(
        self, method: str, path: str, text: str | None, headers: dict[str, str]
    ) -> Iterator[HTTPResponse]:
        connection = self._connection()
        try:
            connection.request(method, path, text, headers)
            with connection.getresponse() as response:
                yield response
        finally:
            connection.close()


def chat(text: str = "hello", **parameters: object) -> dict[str, Any]:
    """Return the body of a chat request; greedy and short by default."""
    message = {"role": "user", "content": text}
    return {"messages": [message], "temperature": 0.0, "max_tokens": 20} | parameters


def completion(prompt: str = "hello", **parameters: object) -> dict[str, Any]:
    """Return the body of a completion request; greedy and short by default."""
    return {"prompt": prompt, "temperature": 0.0, "max_tokens": 20} | parameters


def _reply(response: HTTPResponse) -> Reply:
    content_type = response.getheader("content-type") or ""
    return Reply(response.status, content_type, response.read().decode())
