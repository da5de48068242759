"""Invalid bodies, on real sockets: they are refused as the API refuses them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy_service.settings.schema import ProxySettings
from proxy_service.settings.values import MIB
from proxy_service.translate.options import OPTIONS, Kind
from proxy_service.wire.reading import MAX_CONTAINERS, MAX_DEPTH, MAX_VALUES
from tests.proxy.running import RunningProxy, eventually
from tests.proxy.scripted_engine import MODEL, ScriptedEngine

MESSAGE = {"role": "user", "content": "x"}
CALL = {"function": {"name": "f", "arguments": {}}}
# A valid body for each endpoint, in which a test changes one field.
BASES: dict[str, dict[str, Any]] = {
    "chat": {"model": MODEL, "messages": [MESSAGE], "stream": False},
    "generate": {"model": MODEL, "prompt": "x", "stream": False},
    "embed": {"model": MODEL, "input": "x"},
    "embeddings": {"model": MODEL, "prompt": "x"},
    "show": {"model": MODEL},
    "pull": {"model": MODEL, "stream": False},
    "push": {"model": MODEL},
    "create": {"model": "x"},
    "copy": {"source": MODEL, "destination": "x"},
    "delete": {"model": MODEL},
}
# One value of each JSON type.
VALUES: dict[str, Any] = {
    "boolean": True,
    "number": 7.5,
    "integer": 7,
    "string": "x",
    "array": [7],
    "object": {"x": 7},
}
COMMON = {
    "model": {"string"},
    "stream": {"boolean"},
    "format": {"object"},
    "options": {"object"},
    "think": {"boolean"},
    "keep_alive": {"number", "integer"},
    "logprobs": {"boolean"},
    "top_logprobs": {"integer"},
    "truncate": {"boolean"},
}
# Every field that is read, by its place in the body, and the types that it accepts besides null.
FIELDS: dict[str, dict[str, set[str]]] = {
    "chat": COMMON | {"messages": set(), "tools": set()},
    "generate": COMMON
    | {
        "prompt": {"string"},
        "suffix": {"string"},
        "system": {"string"},
        "template": {"string"},
        "context": {"array"},
        "raw": {"boolean"},
        "images": set(),
    },
    "embed": {
        "model": {"string"},
        "input": {"string"},
        "truncate": {"boolean"},
        "dimensions": {"integer"},
        "keep_alive": {"number", "integer"},
    },
    "embeddings": {
        "model": {"string"},
        "prompt": {"string"},
        "keep_alive": {"number", "integer"},
    },
    "show": {"model": {"string"}, "name": {"string"}},
    "pull": {"model": {"string"}, "name": {"string"}, "stream": {"boolean"}},
    "push": {"model": {"string"}, "name": {"string"}},
    "create": {"model": {"string"}, "name": {"string"}},
    "copy": {"source": {"string"}, "destination": {"string"}},
    "delete": {"model": {"string"}, "name": {"string"}},
    "chat messages": {
        "role": {"string"},
        "content": {"string"},
        "thinking": {"string"},
        "images": set(),
        "tool_calls": set(),
        "tool_name": {"string"},
        "tool_call_id": {"string"},
    },
    "chat messages tool_calls": {"id": {"string"}, "function": {"object"}},
    "chat messages tool_calls function": {"name": {"string"}, "arguments": {"object"}},
}
OPTION_TYPES = {
    Kind.FLOAT: {"number", "integer"},
    Kind.INTEGER: {"number", "integer"},
    Kind.BOOLEAN: {"boolean"},
    Kind.ARRAY: {"string"},
}
WRONG = [
    (place, field, kind)
    for place, fields in FIELDS.items()
    for field, accepted in fields.items()
    for kind in VALUES.keys() - accepted
]
WRONG_OPTIONS = [
    (name, kind)
    for name, option in OPTIONS.items()
    for kind in VALUES.keys() - OPTION_TYPES[option.kind]
]


@pytest.fixture(scope="module")
def proxy() -> Iterator[RunningProxy]:
    with ScriptedEngine() as engine:
        settings = ProxySettings(engine_url=engine.url, max_body_bytes=8 * MIB)
        with RunningProxy(settings) as running:
            assert eventually(lambda: running.http.get("/readyz").status_code == 200)
            yield running


def send(proxy: RunningProxy, path: str, body: bytes) -> httpx.Response:
    method = "DELETE" if path.endswith("delete") else "POST"
    return proxy.http.request(method, path, content=body)


def refused(proxy: RunningProxy, path: str, body: bytes, status: int = 400) -> str:
    """Send a body and return the error, whose shape must be the API's."""
    response = send(proxy, path, body)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    text = error if path.startswith("/api/") else error["message"]
    assert isinstance(text, str)
    assert "internal error" not in text
    return text


def body_with(place: str, field: str, value: object) -> tuple[str, bytes]:
    """Return the endpoint's path, and its body with one field changed."""
    endpoint, *inner = place.split()
    change: dict[str, object] = {field: value}
    for name in reversed(inner):
        rest = MESSAGE if name == "messages" else CALL
        change = {name: change} if name == "function" else {name: [rest | change]}
    return f"/api/{endpoint}", json.dumps(BASES[endpoint] | change).encode()


@pytest.mark.parametrize("endpoint", BASES)
def test_the_unchanged_bodies_are_valid(proxy: RunningProxy, endpoint: str) -> None:
    body = json.dumps(BASES[endpoint]).encode()

    assert send(proxy, f"/api/{endpoint}", body).status_code in (200, 501)


def test_all_listed_fields_are_tested_here() -> None:
    """Another test compares the list in docs/ollama-api.md with the code."""
    document = Path(__file__).parents[3] / "docs" / "ollama-api.md"
    section = document.read_text(encoding="utf-8").split("## Request fields")[1].split("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| `")]
    listed = {
        name
        for _, names, _, here, *_ in rows
        if not here.strip().startswith("ignored")
        for name in re.findall(r"`([^`]+)`", names)
    }

    assert listed == {field for fields in FIELDS.values() for field in fields}


@pytest.mark.parametrize(("place", "field", "kind"), WRONG)
def test_a_value_of_the_wrong_type_is_refused_by_name(
    proxy: RunningProxy, place: str, field: str, kind: str
) -> None:
    path, body = body_with(place, field, VALUES[kind])
    text = refused(proxy, path, body, status=500 if field == "format" else 400)

    assert re.search(rf"{field}|Unsupported type|invalid (format|think|duration|input)", text), text


@pytest.mark.parametrize(("name", "kind"), WRONG_OPTIONS)
def test_an_option_of_the_wrong_type_is_refused_as_ollama_does(
    proxy: RunningProxy, name: str, kind: str
) -> None:
    path, body = body_with("chat", "options", {name: VALUES[kind]})

    assert refused(proxy, path, body, 500).startswith(f'option "{name}" must be of type ')


@pytest.mark.parametrize(
    ("place", "field"),
    [(place, field) for place, fields in FIELDS.items() for field in fields],
)
def test_null_is_the_same_as_absent(proxy: RunningProxy, place: str, field: str) -> None:
    path, body = body_with(place, field, None)
    response = send(proxy, path, body)

    assert "unmarshal" not in response.text
    assert response.status_code != 500


HUGE = {
    "beyond 64 bits": "9" * 30,
    "beyond a double": "9" * 400,
    "beyond the interpreter": "9" * 5000,
    "a float beyond a double": "1e400",
    "negative": "-" + "9" * 30,
    "NaN": "NaN",
    "infinite": "-Infinity",
    "leading zero": "01",
    "hexadecimal": "0x10",
}


@pytest.mark.parametrize("number", HUGE.values(), ids=HUGE)
@pytest.mark.parametrize(
    ("place", "field"),
    [
        *((place, field) for place in ("chat", "generate", "embed") for field in FIELDS[place]),
        *(("chat options", name) for name in OPTIONS),
        ("chat messages tool_calls function", "arguments"),
    ],
)
def test_no_number_is_a_fault_of_the_proxy(
    proxy: RunningProxy, place: str, field: str, number: str
) -> None:
    """Go refuses numbers that don't fit a field; here they are left out or refused."""
    endpoint, *inner = place.split()
    if inner == ["options"]:
        path, body = body_with(endpoint, "options", {field: "NUMBER"})
    elif inner:
        path, body = body_with(place, field, {"n": "NUMBER"})
    else:
        path, body = body_with(place, field, "NUMBER")
    response = send(proxy, path, body.replace(b'"NUMBER"', number.encode()))
    error = response.json().get("error", "")

    assert response.status_code in (200, 400) or re.match("option|invalid format", error), error
    if number in ("NaN", "-Infinity"):
        assert response.status_code == 400
        assert error.startswith("invalid character ")


@pytest.mark.parametrize(
    "body",
    [
        b"[  " * 90_000,
        b'{"a":' * 100_000,
        b'{"model":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"tools":' + b'[{"a":' * 500 + b"1" + b"}]" * 500 + b"}",
        b'{"x":"\\ud800","messages":' + b"[" * 600 + b"]" * 600 + b"}",
    ],
    ids=["arrays", "objects", "closed", "mixed", "with a surrogate"],
)
@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions"])
def test_a_deep_body_is_refused(proxy: RunningProxy, path: str, body: bytes) -> None:
    assert "nested" in refused(proxy, path, body)


@pytest.mark.parametrize("field", ["tools", "format", "options", "arguments"])
def test_the_deepest_allowed_body_can_be_sent_to_the_engine(
    proxy: RunningProxy, field: str
) -> None:
    """Parsing, replacing surrogates and writing all use the stack."""
    levels = MAX_DEPTH - 5
    deep = "[" * levels + r'"\ud800"' + "]" * levels
    bodies = {
        "tools": body_with("chat", "tools", [{"x": "DEEP"}]),
        "format": body_with("chat", "format", {"x": "DEEP"}),
        "options": body_with("chat", "options", {"x": "DEEP"}),
        "arguments": body_with("chat messages tool_calls function", "arguments", {"x": "DEEP"}),
    }
    path, body = bodies[field]

    # Arguments are four levels deeper than the other fields.
    response = send(proxy, path, body.replace(b'"DEEP"', deep[2:-2].encode()))

    assert response.status_code == 200, response.text


def test_too_many_values_are_refused_before_they_take_memory(
    proxy: RunningProxy,
) -> None:
    body = b'{"input":[' + b"[]," * MAX_VALUES + b"[]]}"

    assert "values" in refused(proxy, "/api/embed", body)
    body = b'{"input":[' + b"[]," * MAX_CONTAINERS + b"[]]}"
    assert "arrays and objects" in refused(proxy, "/api/embed", body)


def test_a_body_beyond_the_limit_is_a_413_that_names_the_setting(proxy: RunningProxy) -> None:
    body = b'{"prompt":"' + b"x" * (8 * MIB) + b'"}'

    assert "MAX_BODY_MIB" in refused(proxy, "/api/generate", body, 413)
    assert "MAX_BODY_MIB" in refused(proxy, "/v1/completions", body, 413)


def test_many_keys_are_ignored_like_one(proxy: RunningProxy) -> None:
    """With enough keys that an attack on their hashes would take a long time."""
    keys = {f"k{number}": number for number in range(20_000)}
    body = json.dumps(BASES["chat"] | {"options": keys} | keys).encode()

    assert send(proxy, "/api/chat", body).status_code == 200


def test_of_equal_keys_the_last_one_counts(proxy: RunningProxy) -> None:
    """As in Go, whatever their case."""
    body = b'{"model":"a","model":"b","MODEL":"%s","messages":[],"stream":7,"Stream":false}'
    response = send(proxy, "/api/chat", body % MODEL.encode())

    assert response.json()["model"] == MODEL


@pytest.mark.parametrize(
    "text",
    [r"\ud800", r"\udc00\ud800", r"\u0000", r"\u2028", "\x7f", "\ufeff", "\udcff", r"\ud83d\ude00"],
)
def test_strange_characters_get_a_response_in_json(proxy: RunningProxy, text: str) -> None:
    """Halves of surrogate pairs, NUL, invalid UTF-8: in the prompt and in the model's name."""
    raw = text.encode("utf-8", "surrogateescape")
    named = b'{"model":"' + raw + b'","messages":[{"role":"user","content":"x"}]}'
    said = json.dumps(BASES["chat"] | {"messages": [{"role": "user", "content": "TEXT"}]})
    unknown = send(proxy, "/api/chat", named)
    answered = send(proxy, "/api/chat", said.encode().replace(b"TEXT", raw))

    assert unknown.status_code in (400, 404)
    assert isinstance(unknown.json()["error"], str)
    assert unknown.content.isascii()
    assert answered.status_code == 200


@pytest.mark.parametrize(
    "body",
    [b"", b" ", b"x", b"{", b'{"a"', b'{"a":}', b"[]", b"1", b'"x"', b"\xff\xfe", b"\x00", b"{}}"],
)
@pytest.mark.parametrize("endpoint", BASES)
def test_a_body_that_is_not_an_object_is_refused(
    proxy: RunningProxy, endpoint: str, body: bytes
) -> None:
    response = send(proxy, f"/api/{endpoint}", body)

    assert response.status_code in (400, 404)
    assert isinstance(response.json()["error"], str)


def test_a_bom_is_refused_as_in_go(proxy: RunningProxy) -> None:
    refused(proxy, "/api/chat", b"\xef\xbb\xbf" + json.dumps(BASES["chat"]).encode())


@pytest.mark.parametrize("length", [10, 1_000_000])
def test_a_long_invalid_duration_is_refused_fast(proxy: RunningProxy, length: int) -> None:
    """A pattern with quadratic time would take a quarter of an hour for it."""
    path, body = body_with("chat", "keep_alive", "1" * length + "x")

    assert refused(proxy, path, body).startswith("time: invalid duration")


def test_an_error_quotes_a_limited_part_of_a_request(proxy: RunningProxy) -> None:
    body = json.dumps({"model": "m" * MIB, "prompt": "x"}).encode()
    response = send(proxy, "/api/generate", body)

    assert response.status_code in (400, 404)
    assert len(response.content) < 3000


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, identity"])
def test_the_error_of_a_compressed_body_says_what_to_do(proxy: RunningProxy, coding: str) -> None:
    """Ollama doesn't accept any here either. This way, a small body can't become a large one."""
    body = json.dumps(BASES["chat"]).encode()
    response = proxy.http.post("/api/chat", content=body, headers={"Content-Encoding": coding})

    assert response.status_code == 415
    assert "plain JSON" in response.json()["error"]


def test_identity_is_accepted_as_no_coding(proxy: RunningProxy) -> None:
    body = json.dumps(BASES["chat"]).encode()
    headers = {"Content-Encoding": "Identity"}

    assert proxy.http.post("/api/chat", content=body, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [
        ("GET", "/api/%", {404}),
        ("GET", "/api/%zz%2", {404}),
        ("GET", "/v1/models/%ff%fe", {400, 404}),
        ("GET", "/v1/models/%00", {400, 404}),
        ("GET", "/v1/models/%2e%2e%2f%2e%2e", {400, 404}),
        ("GET", "/../../etc/passwd", {404}),
        ("GET", "//api//tags", {404}),
        ("GET", "/api/tags" + "/" * 4_000, {200}),
        ("GET", "/v1/models" + "/" * 4_000, {200, 400}),
        ("GET", "/" * 4_000, {200, 404}),
        ("GET", "/" + "x" * 4_096, {414}),
        ("GET", "/api/tags?%ff=%zz&a=1&a=2&=", {200}),
        ("POST", "/api/blobs/%00%ff", {501}),
        ("PUT", "/api/chat", {405}),
        ("PATCH", "/api/chat", {405}),
        ("TRACE", "/api/chat", {405}),
        ("OPTIONS", "/api/chat", {405}),
        ("PROPFIND", "/api/chat", {405}),
        ("HEAD", "/api/chat", {405}),
    ],
)
def test_strange_paths_and_methods_are_not_a_fault_of_the_proxy(
    proxy: RunningProxy, method: str, path: str, statuses: set[int]
) -> None:
    response = proxy.http.request(method, httpx.URL(proxy.url).copy_with(raw_path=path.encode()))

    assert response.status_code in statuses
