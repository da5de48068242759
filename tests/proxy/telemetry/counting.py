"""What the tests of the metrics share: requests, names of metrics, and how counts are read."""

from proxy_service.telemetry.metrics import STATUSES
from tests.proxy.running import Exposition
from tests.proxy.scripted_engine import MODEL, Body, event

HELLO: Body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
WHOLE: Body = HELLO | {"stream": False}
REQUESTS = "mistral_http_requests_total"
CHUNKS = "mistral_streaming_chunks_total"
TOKENS = "mistral_generate_tokens_total"
STREAMS = "mistral_streams_total"
ERRORS = "mistral_request_errors_total"
UPSTREAM = "mistral_upstream_request_duration_seconds"
LAST_SUCCESS = "mistral_upstream_last_success_timestamp_seconds"
FIRST_TOKEN = "mistral_time_to_first_token_seconds_count"
GENERATED = "mistral_generate_duration_seconds_count"


def outcomes(scrape: Exposition, endpoint: str = "chat") -> dict[str, float]:
    """Return the request counts of an endpoint by status, without those that are 0."""
    counts = {s: scrape.value(REQUESTS, endpoint=endpoint, status=s) for s in STATUSES}
    return {status: count for status, count in counts.items() if count}


def named(name: str, value: dict[str, object]) -> bytes:
    """Return an event with a name, as in the Responses and Messages APIs."""
    return f"event: {name}\n".encode() + event({"type": name} | value)
