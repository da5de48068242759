"""JSON as the proxy writes it."""

import json

from hypothesis import given

from proxy_service.wire.writing import to_json
from tests.proxy.json_values import VALUES


def same(left: object, right: object) -> bool:
    """Return whether two values are equal, types, order of keys and sign of zero included."""
    return repr(left) == repr(right)


@given(VALUES)
def test_json_reads_like_that_of_the_standard_library(value: object) -> None:
    """Except that NaN and infinities become null, which every decoder accepts."""
    expected = json.loads(json.dumps(value), parse_constant=lambda _: None)

    assert same(json.loads(to_json(value)), expected)
