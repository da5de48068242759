"""Attacks with the bodies of requests, whatever they mean."""

import asyncio
import json
import zlib
from typing import Any

from proxy_service.wire.reading import MAX_CONTAINERS, MAX_VALUES
from tests.attacks.attack import attack
from tests.attacks.sender import Connection, Sender

MIB = 1024 * 1024
# As many requests at once as a misled script sends. Each costs the proxy milliseconds, so that
# more would only measure how long a processor takes for them.
FEW = 4
FEW_PER_SECOND = 10.0
_CHUNKED = "Transfer-Encoding: chunked\r\n"
_MESSAGES = [{"role": "user", "content": "Is there fire?"}]


def generation(sender: Sender, **fields: Any) -> bytes:  # noqa: ANN401  JSON
    """Return the body of a chat, with more or other fields."""
    body = {"model": sender.target.model, "messages": _MESSAGES} | fields
    return json.dumps(body).encode()


def with_field(sender: Sender, name: str, value: bytes) -> bytes:
    """Return the body of a chat with one more field, given as JSON."""
    return generation(sender)[:-1] + b',"%b":%b}' % (name.encode(), value)


async def _chat(sender: Sender, body: bytes, path: str = "/api/chat") -> None:
    await sender.ask(sender.post(path, body), connections=FEW, per_second=FEW_PER_SECOND)


@attack("all bodies above 1 MiB")
async def unfinished_large_bodies(sender: Sender) -> None:
    """Eight bodies of 50 MiB that lack their last MiB, and get another byte every second."""
    data = sender.begun_body("/api/chat", 50 * MIB) + b"x" * (49 * MIB)

    async def send(connection: Connection) -> None:
        await connection.send(data)
        await connection.trickle(b"x", every_seconds=1)

    await sender.hold(send, connections=8, per_second=2)


@attack("all bodies above 1 MiB")
async def large_bodies_at_the_lowest_rate(sender: Sender) -> None:
    """Six bodies of 50 MiB at 300 KiB per second each, which is just fast enough to stay."""
    head = sender.begun_body("/api/chat", 50 * MIB)

    async def send(connection: Connection) -> None:
        await connection.send(head)
        await connection.trickle(b"x" * 30 * 1024, every_seconds=0.1)

    await sender.hold(send, connections=6)


@attack("a refused body is forgotten at once", expects=(400, 404))
async def refused_large_bodies(sender: Sender) -> None:
    """Bodies of 40 MiB for an unknown model, with a field of the wrong type, or cut short."""
    text = "a" * (40 * MIB)
    unknown = generation(sender, model="unknown", messages=[{"role": "user", "content": text}])
    wrong = generation(sender, messages=1, x=text)
    data = [sender.post("/api/chat", body) for body in (unknown, wrong, unknown[:-4])]
    await sender.each(data, connections=2, per_second=3)


@attack("a client that disconnects releases its body")
async def abandoned_large_bodies(sender: Sender) -> None:
    """Clients that disconnect after 49 of 50 MiB, two per second."""
    data = sender.begun_body("/api/chat", 50 * MIB) + b"x" * (49 * MIB)

    async def send(connection: Connection) -> None:
        await connection.send(data)
        await asyncio.sleep(0.2)

    await sender.visit(send, connections=2, per_second=2)


@attack("all other bodies")
async def unfinished_small_bodies(sender: Sender) -> None:
    """300 bodies of 1 MiB that lack their end, and get another byte every second."""
    data = sender.begun_body("/api/chat", MIB) + b"x" * (MIB - 4096)

    async def send(connection: Connection) -> None:
        await connection.send(data)
        await connection.trickle(b"x", every_seconds=1)

    await sender.hold(send, connections=300)


@attack("CLIENT_REQUEST_TIMEOUT")
async def slow_bodies(sender: Sender) -> None:
    """2,000 bodies of which a byte arrives every two seconds."""
    head = sender.begun_body("/api/chat", MIB)

    async def send(connection: Connection) -> None:
        await connection.send(head)
        await connection.trickle(b"x", every_seconds=2)

    await sender.hold(send, connections=2000)


@attack("a body (`MAX_BODY_MIB`)", expects=(413,))
async def too_large_bodies(sender: Sender) -> None:
    """Bodies of more than 50 MiB: announced, or in chunks of one MiB."""
    announced = sender.begun_body("/api/chat", 200 * MIB) + b"x" * MIB
    head = sender.http("POST", "/api/chat", headers=_CHUNKED)
    chunks = (b"%x\r\n%b\r\n" % (MIB, b"x" * MIB)) * 51
    await sender.each([announced, head + chunks], connections=FEW)


@attack("cost of a body", expects=(400,))
async def chunks_of_one_byte(sender: Sender) -> None:
    """Bodies of 100,000 chunks of one byte."""
    head = sender.http("POST", "/api/chat", headers=_CHUNKED)
    data = head + b"1\r\n[\r\n" * 100_000 + b"0\r\n\r\n"
    await sender.ask(data, connections=FEW, per_second=FEW_PER_SECOND)


@attack("a request's line and headers", expects=(431,))
async def chunk_extensions_and_trailers(sender: Sender) -> None:
    """Bodies in chunks with long extensions, and with 50,000 trailers."""
    head = sender.http("POST", "/api/chat", headers=_CHUNKED)
    extensions = head + (b"1;" + b"a=b;" * 4000 + b"\r\nx\r\n") * 60 + b"0\r\n\r\n"
    trailers = head + b"1\r\nx\r\n0\r\n" + b"x-trailer: y\r\n" * 50_000 + b"\r\n"
    await sender.each([extensions, trailers], connections=16, per_second=50)


@attack("a compressed body is refused", expects=(415,))
async def compressed_bodies(sender: Sender) -> None:
    """Bodies of 1 MiB that are 1 GiB when they are decompressed, labelled as gzip and others."""
    bomb = zlib.compress(b" " * MIB, 9) * 1000
    codings = ("gzip", "deflate", "br", "gzip, gzip, gzip", "zstd")
    requests = [
        sender.http("POST", "/api/chat", bomb, headers=f"Content-Encoding: {coding}\r\n")
        for coding in codings
    ]
    await sender.each(requests, connections=FEW, per_second=FEW_PER_SECOND)


@attack(
    "a compressed body, packed or unpacked (`MAX_UNPACKED_MIB`), and the window that unpacking"
    " needs",
    expects=(400, 413),
)
async def decompression_bombs(sender: Sender) -> None:
    """Bodies for responses that are 256 MiB when they are decompressed, and damaged ones."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b" " * MIB) for _ in range(256)) + packer.flush()
    requests = [
        sender.http("POST", "/v1/responses", body, headers=f"Content-Encoding: {coding}\r\n")
        for coding, body in (("gzip", bomb), ("gzip", bomb[:1000]), ("zstd", bomb))
    ]
    await sender.each(requests, connections=FEW, per_second=FEW_PER_SECOND)


@attack("levels, values, arrays and objects in a body's JSON", expects=(400,))
async def many_small_containers(sender: Sender) -> None:
    """Bodies of 50 MiB of empty arrays and objects."""
    value = b"[" + b"[],{}," * (8 * MIB) + b"[]]"
    await _chat(sender, with_field(sender, "x", value))


@attack("levels, values, arrays and objects in a body's JSON", expects=(200,))
async def as_many_containers_as_allowed(sender: Sender) -> None:
    """Bodies with as many small objects as are allowed, in a field that nobody reads."""
    value = b"[" + b",".join([b'{"a":1}'] * (MAX_CONTAINERS - 10)) + b"]"
    await _chat(sender, with_field(sender, "x", value))


@attack("levels, values, arrays and objects in a body's JSON", expects=(200,))
async def as_many_values_as_allowed(sender: Sender) -> None:
    """Bodies with as many short strings as are allowed, in a field that nobody reads."""
    value = b"[" + b",".join([b'"ab"'] * (MAX_VALUES - 10)) + b"]"
    await _chat(sender, with_field(sender, "x", value))


@attack("levels, values, arrays and objects in a body's JSON", expects=(400,))
async def deep_nesting(sender: Sender) -> None:
    """Arrays and objects nested 100,000 levels deep, closed or not."""
    arrays = with_field(sender, "x", b"[" * 100_000 + b"]" * 100_000)
    objects = with_field(sender, "x", b'{"a":' * 100_000 + b"1" + b"}" * 100_000)
    open_ones = with_field(sender, "x", b"[" * 200_000)
    data = [sender.post("/api/chat", body) for body in (arrays, objects, open_ones)]
    await sender.each(data, connections=FEW, per_second=FEW_PER_SECOND)


@attack("cost of a body", expects=(200,))
async def repeated_keys(sender: Sender) -> None:
    """Objects with one key 490,000 times, and with 300,000 keys that differ in case."""
    same = b"{" + b",".join([b'"a":1'] * 490_000) + b"}"
    names = [f"{number:x}" for number in range(150_000)]
    cases = ",".join(f'"{name}":1,"{name.upper()}":2' for name in names).encode()
    bodies = [with_field(sender, "x", same), generation(sender)[:-1] + b"," + cases + b"}"]
    data = [sender.post("/api/chat", body) for body in bodies]
    await sender.each(data, connections=FEW, per_second=FEW_PER_SECOND)


@attack("cost of a body", expects=(400,))
async def long_numbers(sender: Sender) -> None:
    """Numbers with a million digits, with giant exponents, and 100,000 of those."""
    values = [
        b"9" * MIB,
        b"1." + b"9" * MIB + b"e-1000000",
        b"1e999999999",
        b"[" + b"1e-99999999," * 100_000 + b"1]",
        b"[" + b"123456789012345678901234567890e300," * 30_000 + b"1]",
    ]
    data = [sender.post("/api/chat", with_field(sender, "x", value)) for value in values]
    await sender.each(data, connections=FEW, per_second=FEW_PER_SECOND)


@attack("invalid UTF-8, lone surrogates and long numbers in a body above 4 MiB", expects=(200, 400))
async def strange_large_bodies(sender: Sender) -> None:
    """Bodies of 10 MiB of lone surrogates, of bytes that aren't UTF-8, and of long numbers."""
    text = b'"%b"'
    values = [
        text % (b"\\ud800" * (10 * MIB // 6)),
        text % (b"\xff\xc0" * (5 * MIB)),
        b"[" + b"%b," % (b"9" * 4000) * 2600 + b"1]",
    ]
    data = [sender.post("/api/chat", with_field(sender, "x", value)) for value in values]
    await sender.each(data, connections=FEW, per_second=FEW_PER_SECOND)


@attack("cost of a body", expects=(200,))
async def strange_strings(sender: Sender) -> None:
    """Prompts of a million escapes, of lone surrogates, and of bytes that aren't UTF-8."""
    values = [b"\\u0000" * 160_000, b"\\ud800" * 160_000, b"\xff\xc0" * (MIB // 2)]
    requests = [
        sender.post(
            "/api/generate", b'{"model":"%b","prompt":"%b"}' % (sender.target.model.encode(), value)
        )
        for value in values
    ]
    await sender.each(requests, connections=FEW, per_second=FEW_PER_SECOND)


@attack("cost of a body", expects=(400,))
async def bodies_cut_short(sender: Sender) -> None:
    """Bodies of 5 MiB whose JSON lacks its end, or has text after it."""
    body = generation(sender, messages=[{"role": "user", "content": "a" * 5 * MIB}])
    data = [sender.post("/api/chat", body[:-4]), sender.post("/api/chat", body[:-20] + b"\xff")]
    await sender.each(data, connections=FEW, per_second=FEW_PER_SECOND)


@attack("no body is read that nobody needs", expects=(200, 404, 405))
async def bodies_that_nobody_reads(sender: Sender) -> None:
    """Bodies of 20 MiB for probes, for unknown paths and for blobs."""
    data = [
        sender.http(method, path, b"x" * (20 * MIB))
        for method, path in (
            ("GET", "/livez"),
            ("POST", "/nothing"),
            ("PUT", "/api/chat"),
            ("POST", f"/api/blobs/sha256:{'0' * 64}"),
            ("GET", "/metrics"),
        )
    ]
    await sender.each(data, connections=FEW, per_second=FEW_PER_SECOND)
