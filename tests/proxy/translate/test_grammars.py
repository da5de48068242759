"""How large a schema or grammar may be under ``/v1``."""

import pytest

from proxy_service.errors import InvalidRequest
from proxy_service.translate.grammars import MAX_GRAMMAR_BYTES, refuse_large_grammars

FIELDS = ("response_format", "text", "output_config", "output_format", "grammar", "Grammar")


@pytest.mark.parametrize("field", FIELDS)
def test_only_larger_ones_are_refused(field: str) -> None:
    largest = {"value": "é" * ((MAX_GRAMMAR_BYTES - len('{"value":""}')) // 2)}
    refuse_large_grammars({field: largest})

    with pytest.raises(InvalidRequest, match=f"'{field}' has more than {MAX_GRAMMAR_BYTES} bytes"):
        refuse_large_grammars({field: {"value": f"{largest['value']}a"}})


def test_messages_and_tools_may_be_larger() -> None:
    text = "a" * 2 * MAX_GRAMMAR_BYTES

    refuse_large_grammars({"messages": [{"content": text}], "tools": [{"description": text}]})
