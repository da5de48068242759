"""The tools of a Responses request, and the names that they have for the engine.

The engine knows functions with a name and parameters only. So a tool in a namespace becomes a
function with a qualified name, and a custom tool, which takes any text, a function with one
parameter. Calls are translated back by that name.
"""

import json
from dataclasses import dataclass
from typing import cast

from proxy_service.errors import InvalidRequest, UnsupportedFeature
from proxy_service.translate.engine_tools import WEB_SEARCH
from proxy_service.translate.replies import arguments_of
from proxy_service.wire import JsonObject
from proxy_service.wire.engine import ToolCallDelta
from proxy_service.wire.reading import decode_strict
from proxy_service.wire.responses import Item, ResponsesRequest, Tool, ToolChoice
from proxy_service.wire.writing import to_json

# The only parameter of a custom tool.
_TEXT = "input"
_CALLABLE = ("function", "custom")
# See `ToolNames`.
_Names = dict[str, tuple[str, str | None, bool]]
# Bytes of the names that differ for the engine: some 1,000 tools with ordinary names. A few
# hundred KB could otherwise become gigabytes, because each name has its namespace in it.
MAX_NAMES_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class _Known:
    """A tool of the request, by the names that the client knows."""

    tool: Tool
    name: str
    namespace: str | None


class Tools:
    """The tools of one request.

    Raises:
        InvalidRequest: A tool has no name, or the names are too long.
        UnsupportedFeature: A tool would run on OpenAI's servers.
    """

    def __init__(self, request: ResponsesRequest) -> None:
        self._known: dict[str, _Known] = {}
        self._bytes = 0  # of names that differ for the engine
        self._choice = request.tool_choice
        self._parallel = request.parallel_tool_calls
        for tool in request.tools or []:
            self._add(tool, None)

    def to_engine(self) -> JsonObject:
        """Return the fields of a chat completion's body that concern tools."""
        if not self._known:
            return {}
        body: JsonObject = {"tools": [_function(n, k.tool) for n, k in self._known.items()]}
        if self._choice is not None:
            body["tool_choice"] = self._engine_choice(self._choice)
        return body | ({} if self._parallel is None else {"parallel_tool_calls": self._parallel})

    def names(self) -> "ToolNames":
        """Return what is needed to translate calls back."""
        return ToolNames(
            {
                called: (known.name, known.namespace, known.tool.type == "custom")
                for called, known in self._known.items()
                if known.tool.type == "custom" or known.namespace is not None
            }
        )

    def _add(self, tool: Tool, namespace: str | None) -> None:
        if tool.type == "namespace":
            for member in tool.tools or []:
                self._add(member, tool.name)
        elif tool.type in _CALLABLE:
            if not tool.name:
                raise InvalidRequest("a tool has no name")
            if tool.type == "custom" or namespace is not None:
                self._count(2 * len(to_json([tool.name, namespace])))
            name = qualified(tool.name, namespace)
            self._known[name] = _Known(tool, tool.name, namespace)
        elif tool.type not in WEB_SEARCH:
            raise UnsupportedFeature(f"this server has no tool of the type {tool.type!r}")

    def _count(self, size: int) -> None:
        self._bytes += size
        if self._bytes > MAX_NAMES_BYTES:
            raise InvalidRequest(
                "tools: the names of custom tools and of tools in namespaces take more than "
                f"{MAX_NAMES_BYTES} bytes; offer fewer of them"
            )

    def _engine_choice(self, choice: str | ToolChoice) -> object:
        if isinstance(choice, str):
            return choice
        if choice.type == "allowed_tools":
            names = [self._checked(named.name) for named in choice.tools or []]
            tools = [{"type": "function", "name": name} for name in names]
            return {"type": "allowed_tools", "mode": choice.mode or "auto", "tools": tools}
        if choice.type not in _CALLABLE:
            raise UnsupportedFeature(f"tool_choice: this server has no tool {choice.type!r}")
        return {"type": "function", "function": {"name": self._checked(choice.name)}}

    def _checked(self, name: str | None) -> str:
        if name not in self._known:
            raise InvalidRequest(f"tool_choice names {name!r}, which is not among the tools")
        return name


class ToolNames:
    """The names of custom tools and of those in namespaces, as the client and the engine know them.

    They are kept as JSON until they are needed, because they are held while the engine generates.

    Args:
        names: For each name that the engine knows: the client's, its namespace, and whether the
            tool is a custom one.
    """

    def __init__(self, names: _Names) -> None:
        self._names = to_json(names)
        self._decoded: _Names | None = None

    def to_item(self, call: ToolCallDelta, item_id: str) -> JsonObject:
        """Translate a whole call of the engine into an item of the response's output.

        Raises:
            EngineProtocolError: A custom tool's arguments aren't a JSON object.
        """
        if self._decoded is None:
            self._decoded = cast("_Names", decode_strict(self._names))
        function = call.get("function", {})
        called, arguments = function.get("name", ""), function.get("arguments") or "{}"
        item: JsonObject = {"id": item_id, "type": "function_call", "status": "completed"}
        item |= {"call_id": call.get("id") or f"call_{item_id}", "name": called}
        if called not in self._decoded:
            return item | {"arguments": arguments}
        item["name"], namespace, is_custom = self._decoded[called]
        if namespace is not None:
            item["namespace"] = namespace
        if is_custom:
            text = arguments_of(arguments).get(_TEXT, "")
            return item | {"type": "custom_tool_call", "input": text}
        return item | {"arguments": arguments}


def qualified(name: str, namespace: str | None) -> str:
    """Return the name of a tool for the engine, as Mistral.rs and Ollama write it."""
    return f"{namespace}.{name}" if namespace else name


def arguments_in(item: Item) -> str:
    """Return the arguments of an earlier call, as JSON in a string."""
    if item.type == "custom_tool_call":
        return json.dumps({_TEXT: item.input or ""})
    return item.arguments or "{}"


def _function(name: str, tool: Tool) -> JsonObject:
    function: JsonObject = {"name": name}
    if tool.description:
        function["description"] = tool.description
    if tool.type == "custom":
        function["parameters"] = _text_parameters(tool.format)
        return {"type": "function", "function": function}
    function["parameters"] = tool.parameters or {}
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _text_parameters(wanted: JsonObject | None) -> JsonObject:
    """Return the parameters of a custom tool; a grammar of its text is shown to the model."""
    text: JsonObject = {"type": "string"}
    if wanted and wanted.get("definition"):
        text["description"] = f"It has to follow this grammar: {wanted['definition']}"
    return {"type": "object", "properties": {_TEXT: text}, "required": [_TEXT]}
