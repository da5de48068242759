"""What clients can't ask of the engine unless the operator allows it. Pure functions.

Mistral.rs can run code and shell commands, search the web, fetch files from addresses and keep
sessions, if a request asks for it and the engine was started with it. None of that is part of
Ollama's API, whose ``/v1`` accepts images as data URLs only. So whoever may chat shouldn't be able
to do it. Source of the names: ``openai.rs``, ``anthropic.rs`` and ``responses.rs`` of Mistral.rs.
"""

from typing import Final

from proxy_service.errors import UnsupportedFeature
from proxy_service.settings.stack_names import named
from proxy_service.wire import JsonObject

_FIELDS: Final = (
    "agent_permission",
    "code_execution_permission",
    "container",
    "enable_code_execution",
    "enable_shell",
    "files",
    "mcp_servers",
    "session_id",
    "web_search_options",
)
# Types of tools that the client itself runs; Anthropic's clients send no type, or "custom".
_CLIENT_TOOLS: Final = (None, "function", "custom")
# OpenAI's web search, which the Responses API has among the tools.
WEB_SEARCH: Final = ("web_search", "web_search_preview")
# Keys of a part that the engine reads a URL from, as a string or in an object.
_URL_KEYS: Final = {"image_url", "audio_url", "video_url", "file_url", "source"}
# Keys whose values are the arguments of tool calls, which may contain anything.
_ARGUMENTS: Final = {"input", "tool_calls"}
_SETTING: Final = f"{named('ALLOW_ENGINE_TOOLS')} set to true lets clients use it"


def refuse_engine_tools(fields: JsonObject) -> None:
    """Check the body of a request to ``/v1``, whose top-level keys are lower-case.

    Raises:
        UnsupportedFeature: It has the engine run, search, fetch or keep something.
    """
    for name in _FIELDS:
        if fields.get(name):
            raise UnsupportedFeature(f"this server doesn't accept '{name}'; {_SETTING}")
    refuse_engine_run(fields.get("tools"))
    _refuse_urls([fields.get("messages"), fields.get("input")])


def without_web_search(fields: JsonObject) -> JsonObject | None:
    """Leave the engine's web search out of the body of a request to ``/v1/responses``.

    Codex always offers it to the model, which can do without; an error would stop Codex.

    Returns:
        The body without it; None if it doesn't have it.
    """
    tools = fields.get("tools")
    if not isinstance(tools, list):
        return None
    kept = [
        tool for tool in tools if not (isinstance(tool, dict) and tool.get("type") in WEB_SEARCH)
    ]
    return fields | {"tools": kept} if len(kept) < len(tools) else None


def refuse_engine_run(tools: object) -> None:
    """Check a list of tools; anything else isn't a list of tools, which the engine reports.

    Raises:
        UnsupportedFeature: The engine would run one of them itself.
    """
    remaining = [*tools] if isinstance(tools, list | tuple) else []
    while remaining:
        tool = remaining.pop()
        if not isinstance(tool, dict):
            continue
        kind, nested = tool.get("type"), tool.get("tools")
        if kind == "namespace" and isinstance(nested, list):
            remaining += nested
        elif kind not in _CLIENT_TOOLS:
            raise UnsupportedFeature(
                f"this server accepts only tools of the type 'function', not {str(kind)[:64]!r}; "
                f"{_SETTING}"
            )


def _refuse_urls(values: list[object]) -> None:
    """Refuse contents that the engine would fetch; walk without recursion."""
    while values:
        value = values.pop()
        if isinstance(value, list):
            values += value
        elif isinstance(value, dict):
            for key, item in value.items():
                if key in _URL_KEYS:
                    _refuse_url(item)
                elif key == "file_id" and item:
                    raise UnsupportedFeature(f"this server doesn't accept 'file_id'; {_SETTING}")
                if isinstance(item, list | dict) and key not in _ARGUMENTS:
                    values.append(item)


def _refuse_url(source: object) -> None:
    url = source.get("url") if isinstance(source, dict) else source
    if isinstance(url, str) and url[:5].lower() != "data:":
        raise UnsupportedFeature(
            f"this server accepts images and other files only as data URLs; {_SETTING}"
        )
