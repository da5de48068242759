from dataclasses import replace

from ops.drill.timeline import State
from ops.drill.watcher import POLLER, AlertWatcher
from tests.ops.clock import Clock
from tests.ops.drill.sources import Script

PENDING, FIRING = State.PENDING, State.FIRING


def watching(*scripts: Script) -> AlertWatcher:
    clock = Clock()
    return AlertWatcher(scripts, replace(POLLER, clock=clock, sleep=clock.sleep))


def test_polling_ends_as_soon_as_every_source_has_shown_enough() -> None:
    early = Script(iter([{"A": FIRING}]))
    late = Script(iter([{}, {"A": PENDING}, {"A": FIRING}]), where="elsewhere")
    watcher = watching(early, late)

    good = watcher.poll_until(lambda w: all(t.all_fired(["A"]) for t in w.timelines), timeout=10)

    assert good
    assert watcher.seconds == 0.5
    assert watcher.timelines[1].changes["A"][0].seconds == 0.25


def test_polling_times_out_when_nothing_happens() -> None:
    watcher = watching(Script(iter([])))

    assert not watcher.poll_until(lambda w: w.timelines[0].all_fired(["A"]), timeout=3)
    assert watcher.seconds == 3


def test_a_source_that_fails_keeps_its_last_known_states() -> None:
    watcher = watching(Script(iter([{"A": FIRING}, None])))

    watcher.poll()
    watcher.poll()

    assert watcher.timelines[0].current("A") is FIRING
    assert watcher.errors == {"in a script": "busy"}
