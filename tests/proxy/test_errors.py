"""How an error is written for each API."""

import json

from proxy_service.errors import ModelNotFound
from proxy_service.wire.errors import Dialect, error_body


def test_errors_have_the_format_of_the_api_that_was_called() -> None:
    error = ModelNotFound("gone")

    assert json.loads(error_body(error, Dialect.OLLAMA)) == {"error": "gone"}
    assert json.loads(error_body(error, Dialect.OPENAI)) == {
        "error": {"message": "gone", "type": "not_found_error", "param": None, "code": None}
    }
    assert json.loads(error_body(error, Dialect.ANTHROPIC)) == {
        "type": "error",
        "error": {"type": "not_found_error", "message": "gone"},
    }
