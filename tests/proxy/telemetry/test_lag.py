"""The event loop's lag."""

from tests.proxy.running import RunningProxy

LAG = "mistral_event_loop_lag_seconds"


def test_a_blocked_event_loop_shows_until_enough_samples_were_on_time(proxy: RunningProxy) -> None:
    """A second passes in which the loop calls nothing, as if a callback had taken that long."""
    proxy.put_forward(100)
    late = proxy.scrape().value(LAG)
    for _ in range(30):
        proxy.put_forward(0.5)

    assert 99.5 <= late < 150
    assert proxy.scrape().value(LAG) < 50
