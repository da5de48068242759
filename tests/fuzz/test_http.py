"""A short run of the fuzzer against the whole proxy; `make fuzz` runs it for longer."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.inputs import HEADERS, PATHS, bodies, engine_replies
from tests.fuzz.target import FuzzTarget
from tests.proxy.scripted_engine import MODEL, Reply

SHORT = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def target() -> Iterator[FuzzTarget]:
    with FuzzTarget() as running:
        yield running
        assert running.still_serves()


@SHORT
@given(path=st.sampled_from(PATHS), body=bodies(), headers=HEADERS)
def test_no_request_causes_a_fault_of_the_proxy(
    target: FuzzTarget, path: str, body: bytes, headers: dict[str, str]
) -> None:
    """No internal error, no traceback, no line that isn't JSON, and the proxy stays up."""
    target.send(path, body, headers)


@SHORT
@given(
    path=st.sampled_from(
        [
            *("/api/chat", "/api/generate", "/api/embed", "/v1/chat/completions"),
            *("/v1/messages", "/v1/responses"),
        ]
    ),
    streamed=st.booleans(),
    raw=st.booleans(),
    reply=engine_replies(),
)
def test_no_reply_of_the_engine_causes_a_fault_of_the_proxy(
    target: FuzzTarget, path: str, reply: Reply, *, streamed: bool, raw: bool
) -> None:
    """The response has the API's format, whatever server is at MISTRAL_URL."""
    body = (
        b'{"model":"%s","messages":[{"role":"user","content":"x"}],"prompt":"x","input":"x",'
        b'"stream":%s,"raw":%s,"logprobs":true,"top_logprobs":2,"max_tokens":5}'
    )
    flags = (b"true" if streamed else b"false", b"true" if raw else b"false")
    target.answer_with(reply)
    target.send(path, body % (MODEL.encode(), *flags), {})
