"""JSON as the proxy writes it."""

import json

from hypothesis import given

from proxy_service.wire.writing import to_json
from tests.proxy.json_values import VALUES


def same(left: object, right: object) -> bool:
    """Whether two values are the same in type, order of keys, and sign of zero."""
    return repr(left) == repr(right)


@given(VALUES)
def test_what_is_written_fast_reads_as_what_the_standard_library_writes(value: object) -> None:
    """Except that what is no number becomes null, which every decoder takes."""
    expected = json.loads(json.dumps(value), parse_constant=lambda _: None)

    assert same(json.loads(to_json(value)), expected)
