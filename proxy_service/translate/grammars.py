"""The size of grammars that clients write themselves, under ``/v1``. Pure functions."""

from typing import Final

from proxy_service.errors import InvalidRequest
from proxy_service.wire import JsonObject
from proxy_service.wire.writing import to_json

# Bytes. While the engine makes a grammar of a schema, everyone's replies stand still, for a time
# that grows with the square of its size: 2 s for this many bytes of optional properties. Mistral.rs
# 0.8.1 ended at six times as much.
MAX_GRAMMAR_BYTES: Final = 65_536
# Fields of OpenAI's and Anthropic's APIs with a schema, and Mistral.rs' own with a grammar.
_FIELDS: Final = {"response_format", "text", "output_config", "output_format", "grammar"}


def refuse_large_grammars(body: JsonObject) -> None:
    """Check the body of a request to ``/v1``.

    Raises:
        InvalidRequest: A schema or grammar in it is too large.
    """
    for key, value in body.items():
        if key.lower() in _FIELDS and len(to_json(value)) > MAX_GRAMMAR_BYTES:
            raise InvalidRequest(
                f"'{key}' has more than {MAX_GRAMMAR_BYTES} bytes, which would keep the engine "
                "busy for everyone; use a smaller schema"
            )
