"""Whose request begins in which round of the event loop."""

import asyncio

from proxy_service.server.turns import Turns

URGENT = "/livez"
USUAL = "/api/chat"
CLIENTS = 1000


class Client:
    """Someone with one request, and the number of the round in which it began."""

    def __init__(self, rounds: list[int]) -> None:
        self._rounds = rounds
        self.began_in = -1

    def begin(self) -> None:
        self.began_in = self._rounds[0]


async def rounds_of_many_requests() -> tuple[list[int], bool]:
    """Return in which rounds requests begin that arrive together, and whether an urgent one may."""
    turns, rounds = Turns({URGENT}), [0]
    clients = [Client(rounds) for _ in range(CLIENTS)]
    for client in clients:
        if turns.take(USUAL):
            client.begin()
        else:
            turns.wait(client)
    urgent = turns.take(URGENT)
    while any(client.began_in < 0 for client in clients):
        await asyncio.sleep(0)
        rounds[0] += 1
    return [client.began_in for client in clients], urgent


def test_many_requests_begin_in_many_rounds_in_their_order() -> None:
    rounds, _ = asyncio.run(rounds_of_many_requests())

    assert rounds == sorted(rounds)
    assert max(rounds.count(number) for number in rounds) < CLIENTS / 5


def test_health_checks_do_not_wait_for_a_turn() -> None:
    _, urgent = asyncio.run(rounds_of_many_requests())

    assert urgent


async def later_request_begins() -> bool:
    """Return whether a request may begin in the round after a full one."""
    turns = Turns(())
    while turns.take(USUAL):
        pass
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return turns.take(USUAL)


def test_the_next_round_has_turns_again() -> None:
    assert asyncio.run(later_request_begins())
