"""Attacks with what requests ask for. All of them are well-formed, and have a valid key."""

import asyncio
import itertools
import json
import secrets
from base64 import b64encode
from typing import Any

from proxy_service.translate.embeddings import MAX_INPUTS
from proxy_service.translate.messages import MAX_IMAGES
from proxy_service.translate.options import MAX_STOP_STRINGS
from tests.attacks.attack import attack
from tests.attacks.kinds.bodies import FEW, FEW_PER_SECOND, MIB, generation
from tests.attacks.sender import Connection, Reading, Sender

# The smallest PNG, of one pixel.
_PIXEL = b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
        "0000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
    )
).decode()
_SLOWLY = Reading(at_once=1024, pause_seconds=0.5)


async def _send(
    sender: Sender, path: str, *bodies: bytes, per_second: float = FEW_PER_SECOND
) -> None:
    data = [sender.post(path, body) for body in bodies]
    await sender.each(data, connections=FEW, per_second=per_second)


def _json(sender: Sender, **fields: Any) -> bytes:  # noqa: ANN401  JSON
    return json.dumps({"model": sender.target.model} | fields, ensure_ascii=False).encode()


def _v1(sender: Sender, **fields: Any) -> bytes:  # noqa: ANN401  JSON
    return generation(sender, max_tokens=4, **fields)


@attack("a conversation in generate's `context`", expects=(200, 503))
async def prompts_without_context(sender: Sender) -> None:
    """Eight prompts of 24 MB of characters of two bytes; the answers are read slowly."""
    options = {"num_predict": 4}
    body = _json(sender, prompt="ä" * 12_000_000, stream=False, options=options)
    data = sender.post("/api/generate", body)

    async def send(connection: Connection) -> None:
        await connection.send(data)

    await sender.hold(send, connections=8, reading=_SLOWLY, per_second=4)


@attack("a conversation in generate's `context`", expects=(200,))
async def prompts_with_the_largest_context(sender: Sender) -> None:
    """Prompts to generate of 250 KB, whose conversation is just small enough to be sent back."""
    body = _json(sender, prompt="a" * 250_000, options={"num_predict": 4})
    await _send(sender, "/api/generate", body)


@attack("levels, values, arrays and objects in a body's JSON", expects=(200,))
async def long_contexts(sender: Sender) -> None:
    """A context of 900,000 integers, from another server or made up."""
    foreign = _json(sender, prompt="a", context=list(range(900_000)))
    made_up = _json(sender, prompt="a", context=[0x7EC0DE, *itertools.repeat(0x5B5B5B, 80_000)])
    await _send(sender, "/api/generate", foreign, made_up)


@attack("messages of a request, tool calls in them, tools", expects=(200, 400))
async def tool_results(sender: Sender) -> None:
    """Conversations with 10,000 and with 20,000 tool calls and as many results."""
    await _send(sender, "/api/chat", *(_with_results(sender, n) for n in (10_000, 20_000)))


@attack("messages of a request, tool calls in them, tools", expects=(200,))
async def as_many_tool_results_as_allowed(sender: Sender) -> None:
    """Conversations with 4,900 tool calls and as many results."""
    await _send(sender, "/api/chat", _with_results(sender, 4900))


def _with_results(sender: Sender, number: int) -> bytes:
    calls = [{"function": {"name": f"tool_{index}", "arguments": {}}} for index in range(number)]
    results = [
        {"role": "tool", "tool_name": f"tool_{index}", "content": "1"}
        for index in reversed(range(number))
    ]
    asked = {"role": "assistant", "content": "", "tool_calls": calls}
    question = {"role": "user", "content": "a"}
    return generation(sender, messages=[question, asked, *results])


@attack("stop strings", expects=(400,))
async def stop_strings(sender: Sender) -> None:
    """100,000 stop strings."""
    stops = [f"stop {number}" for number in range(100_000)]
    await _send(sender, "/api/chat", generation(sender, options={"stop": stops}))


@attack("stop strings", expects=(200,))
async def as_many_stop_strings_as_allowed(sender: Sender) -> None:
    """As many stop strings as are allowed, which begin as every token of the stand-in does."""
    stops = [f" fire{'x' * (number % 40)}{number}" for number in range(MAX_STOP_STRINGS)]
    options = {"stop": stops, "num_predict": 100}
    await _send(sender, "/api/chat", generation(sender, options=options))


@attack("inputs of `/api/embed`", expects=(400,))
async def embed_inputs(sender: Sender) -> None:
    """900,000 inputs for embed."""
    await _send(sender, "/api/embed", _json(sender, input=["a"] * 900_000))


@attack("long work lets other requests run", expects=(200,))
async def as_many_embed_inputs_as_allowed(sender: Sender) -> None:
    """As many inputs for embed as are allowed; the vectors have 384 numbers."""
    body = _json(sender, input=["a"] * MAX_INPUTS)
    await _send(sender, "/api/embed", body, per_second=2)


@attack("long work lets other requests run", expects=(200,))
async def inputs_of_v1_embeddings(sender: Sender) -> None:
    """100,000 inputs for OpenAI's embeddings."""
    await _send(sender, "/v1/embeddings", _json(sender, input=["a"] * 100_000), per_second=2)


@attack("images of a request", expects=(400,))
async def more_images_than_allowed(sender: Sender) -> None:
    """5,000 images of one pixel."""
    await _send(sender, "/api/chat", _with_images(sender, [_PIXEL] * 5000))


@attack("images of a request", expects=(200,))
async def as_many_images_as_allowed(sender: Sender) -> None:
    """As many images as are allowed, of one pixel."""
    await _send(sender, "/api/chat", _with_images(sender, [_PIXEL] * MAX_IMAGES))


@attack("all bodies above 1 MiB", expects=(200, 503))
async def huge_images(sender: Sender) -> None:
    """Images of 45 MiB, valid or not base64 at all."""
    valid = _with_images(sender, [_PIXEL[:-4] + "AAAA" * (11 * MIB)])
    invalid = _with_images(sender, ["AAAA" * (11 * MIB) + "!"])
    await _send(sender, "/api/chat", valid, invalid)


def _with_images(sender: Sender, images: list[str]) -> bytes:
    return generation(sender, messages=[{"role": "user", "content": "a", "images": images}])


@attack("cost of a body", expects=(200, 400))
async def huge_tools(sender: Sender) -> None:
    """300 tools whose schemas are 100 levels deep, and one with 20,000 properties."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(100):
        schema = {"type": "object", "properties": {"a": schema}}
    wide = {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(20_000)}}
    deep = [_tool(f"t{number}", schema) for number in range(300)]
    await _send(
        sender,
        "/api/chat",
        generation(sender, tools=deep),
        generation(sender, tools=[_tool("t", wide)]),
    )


def _tool(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": schema}}


@attack("schemas within a `format`", expects=(400,))
async def huge_formats(sender: Sender) -> None:
    """Formats whose schemas have 50,000 alternatives, or refer to each other."""
    wide = {"anyOf": [{"const": f"c{number}"} for number in range(50_000)]}
    definitions = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(20_000)}
    chained = {"$defs": definitions, "$ref": "#/$defs/d0"}
    await _send(sender, "/api/chat", *(generation(sender, format=form) for form in (wide, chained)))


@attack("a schema or grammar under `/v1`", expects=(400,))
async def huge_grammars(sender: Sender) -> None:
    """Schemas of 200 KB and a grammar of 1 MB under /v1."""
    properties = {f"property_{n}": {"type": "string"} for n in range(5000)}
    schema = {"type": "object", "properties": properties}
    response_format = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    grammar = {"type": "lark", "value": "start: " + '"a" ' * 250_000}
    bodies = (
        generation(sender, response_format=response_format),
        generation(sender, grammar=grammar),
    )
    await _send(sender, "/v1/chat/completions", *bodies)


@attack("patterns in a `format`", expects=(200,))
async def long_patterns(sender: Sender) -> None:
    """Formats with one pattern of 100,000 characters, and with 4,000 short ones."""
    long = {"type": "string", "pattern": "(a|b)*" * 16_000}
    many = {f"p{n}": {"type": "string", "pattern": f"^x{n}(a+)+$"} for n in range(4000)}
    forms = (long, {"type": "object", "properties": many})
    await _send(sender, "/api/chat", *(generation(sender, format=form) for form in forms))


@attack("items that a `format` asks for", expects=(200,))
async def long_arrays(sender: Sender) -> None:
    """Formats of arrays with a million items, also within each other."""
    flat = {"type": "array", "items": {"type": "integer"}, "minItems": 1_000_000}
    nested: dict[str, Any] = {"type": "integer"}
    for _ in range(20):
        nested = {"type": "array", "items": nested, "maxItems": 1000}
    await _send(sender, "/api/chat", *(generation(sender, format=form) for form in (flat, nested)))


@attack("no label or log line takes its values from clients", expects=(200,))
async def unknown_options(sender: Sender) -> None:
    """100,000 options that don't exist, with long names, which are others every time."""
    names = [secrets.token_hex(32) for _ in range(100_000)]
    bodies = [
        generation(sender, options={f"{name}{turn}": 1 for name in names}) for turn in range(4)
    ]
    await _send(sender, "/api/chat", *bodies)


@attack("messages of a request, tool calls in them, tools", expects=(200, 400))
async def many_messages(sender: Sender) -> None:
    """Conversations of 100,000 messages."""
    roles = itertools.cycle(["user", "assistant"])
    messages = [{"role": next(roles), "content": "a"} for _ in range(100_001)]
    await _send(sender, "/api/chat", generation(sender, messages=messages))


@attack("cost of a body", expects=(400, 200))
async def long_texts(sender: Sender) -> None:
    """Suffixes, templates, system prompts and model names of 10 MiB."""
    text = "a" * (10 * MIB)
    bodies = [
        _json(sender, prompt="a", options={"num_predict": 1}, **{name: text})
        for name in ("suffix", "template", "system", "model")
    ]
    await _send(sender, "/api/generate", *bodies)


@attack("no label or log line takes its values from clients", expects=(404,))
async def unknown_models(sender: Sender) -> None:
    """Another unknown model in every request, on four endpoints."""
    paths = itertools.cycle(["/api/chat", "/api/generate", "/api/show", "/v1/chat/completions"])

    async def send(connection: Connection) -> None:
        for _ in range(10):
            body = generation(sender, model=secrets.token_hex(16), prompt="a")
            await connection.send(sender.post(next(paths), body))
            await connection.answered()

    await sender.visit(send, connections=16, per_second=20)


@attack("an unload doesn't hold up others", expects=(200, 400))
async def keep_alive_values(sender: Sender) -> None:
    """Loads and unloads, one after the other, with valid and with strange durations."""
    values: tuple[object, ...] = (
        0,
        "0s",
        -1,
        "5m",
        "1e9h",
        1e300,
        "9" * 60 + "h",
        {},
        "h" * 100_000,
    )
    bodies = [_json(sender, keep_alive=value) for value in values]
    await _send(sender, "/api/generate", *bodies, per_second=50)


@attack("what isn't implemented costs nothing", expects=(200, 404, 501))
async def management(sender: Sender) -> None:
    """Show, pull, push, create, copy and delete, with bodies of 100 KB."""
    body = _json(sender, name="a" * 100_000)
    paths = ("show", "pull", "push", "create", "copy")
    data = [sender.post(f"/api/{path}", body) for path in paths]
    data += [sender.post("/api/show", _json(sender)), sender.http("DELETE", "/api/delete", body)]
    await sender.each(data, connections=16, per_second=200)


@attack("ALLOW_ENGINE_TOOLS", expects=(400,))
async def engine_tools(sender: Sender) -> None:
    """What has the engine run code, search the web or read files and addresses."""
    picture = {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}
    inside = {"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest/"}}
    fields: list[dict[str, Any]] = [
        {"enable_shell": True},
        {"agent_permission": "auto", "session_id": "a"},
        {"code_execution_permission": "auto"},
        {"files": ["/etc/passwd"]},
        {"mcp_servers": [{"url": "http://127.0.0.1"}]},
        {"web_search_options": {"search_context_size": "high"}},
        {"tools": [{"type": "web_search"}]},
        {"messages": [{"role": "user", "content": [picture, inside]}]},
    ]
    bodies = [_v1(sender, **more) for more in fields]
    await _send(sender, "/v1/chat/completions", *bodies, per_second=100)


@attack("cost of a body", expects=(200, 404, 501))
async def large_responses_and_messages(sender: Sender) -> None:
    """OpenAI's responses and Anthropic's messages with 20,000 parts of content."""
    parts = [{"type": "input_text", "text": "a"}] * 20_000
    texts = [{"type": "text", "text": "a"}] * 20_000
    responses = _json(sender, input=[{"role": "user", "content": parts}], max_output_tokens=4)
    messages = _json(sender, messages=[{"role": "user", "content": texts}], max_tokens=4)
    completions = _v1(sender, messages=[{"role": "user", "content": texts}])
    data = [
        sender.post("/v1/responses", responses),
        sender.post("/v1/messages", messages),
        sender.post("/v1/chat/completions", completions),
    ]
    await sender.each(data, connections=FEW, per_second=FEW_PER_SECOND)


@attack(
    "names of custom tools and of tools in namespaces, in `/v1/responses`",
    expects=(400,),
)
async def many_custom_tools(sender: Sender) -> None:
    """Responses with 20,000 custom tools, and with 1,000 tools in a namespace with a long name."""
    custom = [{"type": "custom", "name": f"t{number}"} for number in range(20_000)]
    functions = [{"type": "function", "name": f"t{number}"} for number in range(1000)]
    namespace = {"type": "namespace", "name": "n" * 1000, "tools": functions}
    bodies = [_json(sender, input="a", tools=tools) for tools in (custom, [namespace])]
    await _send(sender, "/v1/responses", *bodies, per_second=FEW_PER_SECOND)


@attack("what a translated `/v1/responses` repeats of its request", expects=(200,))
async def generations_with_large_requests(sender: Sender) -> None:
    """200 streams of responses and messages at once, each with 1 MB that could be held with it."""
    objects = [{"": 0}] * 90_000
    text = "a" * 900_000
    messages = [{"role": "user", "content": text}]
    data = [
        sender.post(path, _json(sender, stream=True, **fields))
        for path, fields in (
            ("/v1/responses", {"input": "a", "metadata": {"a": objects}}),
            ("/v1/responses", {"input": "a", "instructions": text}),
            ("/v1/messages", {"messages": messages, "max_tokens": 1000}),
        )
    ]
    requests = itertools.cycle(data)

    async def send(connection: Connection) -> None:
        await connection.send(next(requests))
        await connection.begun()
        await asyncio.sleep(20)

    await sender.visit(send, connections=200, per_second=FEW_PER_SECOND)


@attack("names that the combined schemas of a `format` repeat", expects=(200,))
async def formats_that_repeat_names(sender: Sender) -> None:
    """Formats of 600 combinations with a schema that has thousands of names, or a long one."""
    many = {"properties": {"b": {}}, "required": [f"r{number}" for number in range(10_000)]}
    long: dict[str, object] = {"properties": {"b" * 200_000: {}}}
    combined = {"allOf": [{"$ref": "#/$defs/a"}], "properties": {"c": {}}}
    formats = [
        {
            "$defs": {"a": repeated},
            "type": "object",
            "properties": {str(number): combined for number in range(600)},
        }
        for repeated in (many, long)
    ]
    bodies = [_json(sender, prompt="a", format=wanted) for wanted in formats]
    await _send(sender, "/api/generate", *bodies)


@attack("cost of a body", expects=(200, 404))
async def long_names_of_calls_with_many_results(sender: Sender) -> None:
    """Responses and messages with a call whose name has 300,000 characters, and 3,000 results."""
    name = "f" * 300_000
    call = {"type": "function_call", "call_id": "a", "name": name}
    result = {"type": "function_call_output", "call_id": "a", "output": "x"}
    use = {"type": "tool_use", "id": "a", "name": name, "input": {}}
    used = {"type": "tool_result", "tool_use_id": "a", "content": "x"}
    messages = [
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [used] * 3000},
    ]
    data = [
        sender.post("/v1/responses", _json(sender, input=[call, *[result] * 3000])),
        sender.post("/v1/messages", _json(sender, messages=messages, max_tokens=4)),
    ]
    await sender.each(data, connections=FEW, per_second=FEW_PER_SECOND)
