"""Recognises the engine's messages about invalid requests.

The engine's status doesn't tell whose fault an error is: it sends many refusals of a request with
status 500, and has sent its own failures with 400. What isn't listed here is the engine's fault. An
operator who is alerted for nothing can find out why; one who isn't alerted can't.

Source: Mistral.rs 0.8.2 and 0.9.2, in mistralrs-core (engine, scheduler, chat templates) and
mistralrs-server-core, and the embedded engine. Messages about bodies are those of the crate axum,
some about images those of the crates base64 and image.
"""

import re

# How the messages begin, in any case. Only beginnings count, because words such as "image" also
# occur in messages about the engine, and because a message can quote the request.
_BEGINNINGS = (
    "failed to deserialize",
    "failed to parse (?:the request body|JSON)",
    "recursion limit exceeded",
    "(?:lexer|parser) error",
    "argument '",  # of a wrong type, as the embedded engine's bindings say it
    # The prompt, and the model that it is for.
    "received an empty prompt",
    "prompt sequence length is greater",
    r"sequence \d+ with \d+ tokens exceeds the total KV cache",
    "received a request incompatible for this model's category",
    "received messages for a model which does not have a chat template",
    "tools were provided but this chat template does not handle tool usage",
    "invalid operation: (?:after the optional system message, )?conversation roles must",
    "invalid operation: system role not supported",
    "invalid operation: the chat template refuses this request:",
    "invalid operation: this model has no chat template",
    "request selected an adapter",
    # Options.
    "max_(?:output_)?tokens must be at least",
    "max_tool_calls is not supported",
    "number of choices must be greater",
    "stop token ",
    "(?:invalid )?reasoning effort ",
    "invalid grammar",
    "(?:request `grammar` and `response_format`|give response_format or grammar)",
    r"request\.files is set",
    "custom embedding dimensions",
    "input must contain at least one entry",
    r"tools\[\]",
    "tool_choice",
    "only one web search configuration",
    # Messages and their parts.
    "the role 'raw prompt' is reserved",
    "no content was provided, expected tool calls",
    "expected `text` key",
    "expected array content",
    "role for an image message",
    "(?:text|image|audio|video|file) sub-content",
    "chat completions file content",
    "input[ _]file",
    "(?:unsupported )?anthropic",
    # Images and other media.
    "invalid source '",
    "could not (?:parse|open) (?:local )?file",
    "(?:invalid|unsupported)(?: local)? (?:(?:image|audio|video) )?(?:URL|source|file)",
    "server request (?:image|audio|video) sources",
    "(?:image|audio|video) (?:response|data URL|URL|redirect)",
    "remote media (?:URL|host)",
    "local (?:media|file)",
    "invalid UI upload",
    "the image format could not be determined",
    r"invalid (?:last )?symbol \d+, offset",
)
_CLIENT_FAULT = re.compile("|".join(_BEGINNINGS), re.IGNORECASE)


def is_client_fault(message: str) -> bool:
    """Return whether the engine says with this message that the request is invalid."""
    return _CLIENT_FAULT.match(message) is not None
