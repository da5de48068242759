import pytest

from ops.clients.prometheus import seconds


@pytest.mark.parametrize(
    ("text", "expected"), [("15s", 15), ("1m30s", 90), ("1m0s", 60), ("500ms", 0.5), ("2h", 7200)]
)
def test_prometheus_durations_are_seconds(text: str, expected: float) -> None:
    assert seconds(text) == expected
