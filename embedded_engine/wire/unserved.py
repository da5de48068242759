"""The fields that change a reply and that this engine can't do: each is refused, never ignored.

Fields that don't change what a reply says are ignored: ``metadata``, ``prediction``,
``prompt_cache_key``, ``prompt_cache_retention``, ``safety_identifier``, ``service_tier``, ``store``
and ``user`` of OpenAI's API, and the permissions and ``max_tool_rounds`` of the real server, which
concern tools that this engine doesn't run.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from embedded_engine.errors import RefusedRequestError
from embedded_engine.wire.bodies import ChatRequest, SamplingRequest

_BAD_REQUEST = 400


@dataclass(frozen=True, slots=True)
class Unserved:
    """What to tell a client that sends a field, and the values of it that ask for nothing."""

    reason: str
    harmless: tuple[object, ...] = (None, False, [], {}, "")


_NO_TOOLS_OF_ITS_OWN = "this engine runs no tools of its own; leave it out"
_USE_TOOLS = "use tools and tool_choice instead"

_ADAPTER = Unserved("this engine loads no LoRA adapters; leave it out")

OF_CHAT: Mapping[str, Unserved] = {
    "adapter": _ADAPTER,
    "audio": Unserved("this engine writes only text; leave it out"),
    "enable_shell": Unserved(_NO_TOOLS_OF_ITS_OWN),
    "files": Unserved(_NO_TOOLS_OF_ITS_OWN),
    "function_call": Unserved(_USE_TOOLS, (None, "none", "auto")),
    "functions": Unserved(_USE_TOOLS),
    "modalities": Unserved("this engine writes only text", (None, [], ["text"])),
    "session_id": Unserved("this engine keeps no sessions; send the whole conversation"),
    "verbosity": Unserved(
        "this engine can't control it; ask for it in the prompt", (None, "medium")
    ),
    "web_search_options": Unserved(_NO_TOOLS_OF_ITS_OWN, (None,)),
}
OF_COMPLETIONS: Mapping[str, Unserved] = {
    "adapter": _ADAPTER,
    "best_of": Unserved("this engine doesn't rank its replies; use n", (None, 1)),
    "suffix": Unserved("this engine can't fill in text before a suffix; leave it out"),
    "tools": Unserved("completions have no tools; use /v1/chat/completions"),
}


def refuse_unserved(request: SamplingRequest) -> None:
    """Check all fields but ``seed``, which depends on the sampling.

    Raises:
        RefusedRequestError: 400, one of them asks for what the engine can't do.
    """
    table = OF_CHAT if isinstance(request, ChatRequest) else OF_COMPLETIONS
    for name, unserved in table.items():
        if getattr(request, name) not in unserved.harmless:
            raise _refused(name, unserved.reason)
    options = request.stream_options
    if options is not None and options.include_obfuscation:
        raise _refused("stream_options.include_obfuscation", "this engine can't pad its events")


def refuse_seed(seed: object, sampling: Mapping[str, object]) -> None:
    """Check ``seed``: without randomness it changes nothing.

    Args:
        seed: What the client sent.
        sampling: The wheel's arguments.

    Raises:
        RefusedRequestError: 400, the reply would differ from another one with the same seed.
    """
    greedy = sampling.get("temperature") == 0 or sampling.get("top_k") == 1
    if seed is not None and not greedy:
        reason = "this engine can't repeat a random reply; leave it out, or set temperature to 0"
        raise _refused("seed", reason)


def _refused(name: str, reason: str) -> RefusedRequestError:
    return RefusedRequestError(f"{name} is not supported: {reason}.", status=_BAD_REQUEST)
