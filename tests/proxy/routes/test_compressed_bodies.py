"""Compressed bodies of `/v1/responses`, as Codex may send them: unpacked, within limits."""

import gzip
import json
import sys
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import httpx
import pytest

from proxy_service.settings.schema import ProxySettings
from proxy_service.settings.values import MIB
from tests.proxy.running import RunningProxy, eventually
from tests.proxy.scripted_engine import MODEL, Reply, ScriptedEngine, Step, json_reply

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

RESPONSES = "/v1/responses"
BODY = {"model": MODEL, "input": "Compress this: \N{SNOWMAN}"}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "zstd": zstd.compress,
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
}


def post(proxy: RunningProxy, body: bytes, coding: str, *, path: str = RESPONSES) -> httpx.Response:
    return proxy.http.post(path, content=body, headers={"Content-Encoding": coding})


def of_size(size: int) -> bytes:
    """Return a request of this many bytes."""
    empty = json.dumps({"model": MODEL, "input": ""}).encode()
    return empty[:-2] + b"a" * (size - len(empty)) + empty[-2:]


@pytest.fixture(autouse=True)
def replying(engine: ScriptedEngine) -> None:
    engine.on(RESPONSES, json_reply({"id": "resp_1", "status": "completed"}))


@pytest.mark.parametrize("coding", PACKERS)
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_compressed_body_reaches_the_engine_unpacked(
    engine: ScriptedEngine, proxy: RunningProxy, coding: str, slash: str
) -> None:
    body = PACKERS[coding](json.dumps(BODY).encode())
    response = post(proxy, body, coding.upper(), path=RESPONSES + slash)

    assert response.json() == {"id": "resp_1", "status": "completed"}
    (call,) = engine.calls(RESPONSES)
    assert call.json == BODY
    assert "content-encoding" not in call.headers


def test_a_compressed_stream_without_a_size_is_unpacked(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """As programs write it that compress while they send; transferred in chunks."""
    packer = zstd.ZstdCompressor()
    text = json.dumps(BODY).encode()
    pieces = [packer.compress(text[:9]), packer.compress(text[9:]) + packer.flush()]
    headers = {"Content-Encoding": "zstd"}
    response = proxy.http.post(RESPONSES, content=iter(pieces), headers=headers)

    assert response.status_code == 200
    assert engine.calls(RESPONSES)[0].json == BODY


@pytest.mark.parametrize("coding", PACKERS)
def test_the_limit_is_8_mib_of_unpacked_data(
    engine: ScriptedEngine, proxy: RunningProxy, coding: str
) -> None:
    largest = post(proxy, PACKERS[coding](of_size(8 * MIB)), coding)
    larger = post(proxy, PACKERS[coding](of_size(8 * MIB + 1)), coding)

    assert largest.status_code == 200
    assert larger.status_code == 413
    assert "MAX_UNPACKED_MIB (the stack's maxUnpackedMib)" in larger.json()["error"]["message"]
    assert len(engine.calls(RESPONSES)) == 1


@pytest.mark.parametrize(
    ("body_mib", "unpacked_mib", "limit_mib"), [(50, 1, 1), (3, 8, 3), (50, 12, 12)]
)
def test_the_settings_limit_unpacked_bodies(
    settings: ProxySettings, body_mib: int, unpacked_mib: int, limit_mib: int
) -> None:
    settings = replace(
        settings, max_body_bytes=body_mib * MIB, max_unpacked_bytes=unpacked_mib * MIB
    )
    with RunningProxy(settings) as proxy:
        largest = post(proxy, zstd.compress(of_size(limit_mib * MIB)), "zstd")
        larger = post(proxy, zstd.compress(of_size(limit_mib * MIB + 1)), "zstd")

    assert (largest.status_code, larger.status_code) == (200, 413)


@pytest.mark.parametrize("coding", PACKERS)
def test_a_bomb_is_refused_without_being_unpacked(proxy: RunningProxy, coding: str) -> None:
    """It would be a gibibyte. A compressed bomb in a bomb is only unpacked once."""
    bomb = PACKERS[coding](bytes(1024 * MIB))
    once = post(proxy, PACKERS[coding](bomb), coding)

    assert post(proxy, bomb, coding).status_code == 413
    assert once.status_code == 400


def test_a_compressed_body_that_is_itself_too_large_is_refused(proxy: RunningProxy) -> None:
    """Millions of empty blocks would take long to read, although they unpack to nothing."""
    empty_blocks = gzip.compress(b"")[:10] + b"\x00\x00\x00\xff\xff" * (9 * MIB // 5)

    assert post(proxy, empty_blocks, "gzip").status_code == 413


def test_a_window_above_the_limit_is_refused(proxy: RunningProxy) -> None:
    """A decompressor would need 128 MiB for this small body."""
    packer = zstd.ZstdCompressor(options={int(zstd.CompressionParameter.window_log): 27})
    response = post(proxy, packer.compress(json.dumps(BODY).encode()) + packer.flush(), "zstd")

    assert response.status_code == 400
    assert "can't be unpacked as zstd" in response.json()["error"]["message"]


@pytest.mark.parametrize("coding", PACKERS)
@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda body: b"{}" + body, "can't be unpacked"),
        (lambda body: body[:-4], "incomplete"),
        (lambda body: body[:30], "incomplete"),
        (lambda body: body + b"{}", "more data follows"),
        (lambda body: body + body, "more data follows"),
    ],
    ids=["text before it", "cut", "begun", "text after it", "twice"],
)
def test_a_damaged_body_is_a_400(
    proxy: RunningProxy, coding: str, damage: Callable[[bytes], bytes], complaint: str
) -> None:
    packed = PACKERS[coding](json.dumps(BODY).encode())
    response = post(proxy, damage(packed), coding)

    assert response.status_code == 400
    assert complaint in response.json()["error"]["message"]


def test_a_wrong_checksum_is_a_400(proxy: RunningProxy) -> None:
    packed = bytearray(gzip.compress(json.dumps(BODY).encode()))
    packed[-8] ^= 1

    assert post(proxy, bytes(packed), "gzip").status_code == 400


def test_json_in_a_compressed_body_is_checked_as_in_any_other(proxy: RunningProxy) -> None:
    for text in (b"", b"[" * MIB, b"[{},", b"{"):
        assert post(proxy, zstd.compress(text), "zstd").status_code == 400


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, zstd", "zstd, gzip", "compress"])
def test_other_codings_are_a_415_that_names_the_accepted_ones(
    proxy: RunningProxy, coding: str
) -> None:
    response = post(proxy, zlib.compress(b"{}"), coding)

    assert response.status_code == 415
    assert "zstd, gzip or plain JSON" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "path",
    ["/api/chat", "/api/generate", "/v1/chat/completions", "/v1/messages", "/v1/embeddings"],
)
@pytest.mark.parametrize("coding", PACKERS)
def test_compressed_bodies_of_other_endpoints_are_a_415(
    proxy: RunningProxy, path: str, coding: str
) -> None:
    response = post(proxy, PACKERS[coding](json.dumps(BODY).encode()), coding, path=path)

    assert response.status_code == 415
    assert "send it as plain JSON" in response.text


def test_unpacked_bodies_use_the_room_of_all_bodies(
    engine: ScriptedEngine, settings: ProxySettings
) -> None:
    """Some hundred bytes each, but the proxy holds what they unpack to."""
    engine.on(RESPONSES, Reply((Step.STALL,), raw=True))  # it accepts no body
    packed = zstd.compress(of_size(7 * MIB))
    with (
        RunningProxy(replace(settings, max_body_bytes=8 * MIB)) as proxy,
        ThreadPoolExecutor(3) as pool,
        httpx.Client(base_url=proxy.url, timeout=30, trust_env=False) as waiting,
    ):
        headers = {"Content-Encoding": "zstd"}
        send = partial(waiting.post, RESPONSES, content=packed, headers=headers)
        held = [pool.submit(send) for _ in range(3)]
        assert eventually(lambda: len(engine.calls(RESPONSES)) == 3)
        refused = post(proxy, packed, "zstd")
        small = post(proxy, zstd.compress(of_size(1000)), "zstd", path="/api/version")
        engine.stop()
        ended = [response.result().status_code for response in held]
        engine_gone = post(proxy, packed, "zstd")

    assert refused.status_code == 503
    assert "bodies of all pending requests together" in refused.json()["error"]["message"]
    assert small.status_code == 405
    assert all(status >= 500 for status in ended)
    # The room is free again, and the engine is gone.
    assert "MISTRAL_URL" in engine_gone.json()["error"]["message"]
