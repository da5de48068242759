"""Requests that arrive together, on models whose last layer is quantized, as in real GGUF files.

On a CPU, Mistral.rs fails all requests whose prompts it reads in one batch of such a model.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from tests.embedded_engine.client import CHAT, COMPLETIONS, Client, Reply, chat, completion
from tests.processes import TIMEOUT_SECONDS, running_engine
from tests.tiny_gguf import Architecture, make_tiny_gguf
from tests.tiny_llama import CONTEXT_LENGTH

TOKENS = 3
# Path and body.
Request = tuple[str, dict[str, Any]]


@pytest.fixture(scope="module", params=["llama", "qwen3"])
def gguf(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    architecture: Architecture = request.param
    path = tmp_path_factory.mktemp("gguf") / f"{architecture}.gguf"
    with running_engine(make_tiny_gguf(path, architecture)) as base_url:
        yield Client(base_url)


def requests(path: str, texts: Sequence[str], **parameters: object) -> list[Request]:
    """Return one request for each text; every second one streams."""
    make = chat if path == CHAT else completion
    return [
        (path, make(text, max_tokens=TOKENS, stream=bool(n % 2), **parameters))
        for n, text in enumerate(texts)
    ]


def send_together(
    client: Client, wanted: Sequence[Request], disconnecting: Sequence[Request] = ()
) -> list[Reply]:
    """Send all at the same time; return the replies to those that don't disconnect at once."""
    start = Barrier(len(wanted) + len(disconnecting), timeout=TIMEOUT_SECONDS)

    def ask(request: Request) -> Reply:
        start.wait()
        return client.post(*request)

    def leave(request: Request) -> None:
        start.wait()
        with client.sending(*request):
            pass

    with ThreadPoolExecutor(start.parties) as pool:
        left = pool.map(leave, disconnecting)
        replies = list(pool.map(ask, wanted))
        assert len(list(left)) == len(disconnecting)
    return replies


def tokens_of(reply: Reply) -> int:
    """Return how many tokens a complete reply has; here one character of it is one token."""
    assert reply.status == 200, reply.text
    if not reply.content_type.startswith("text/event-stream"):
        return int(reply.json["usage"]["completion_tokens"])
    choices = [chunk["choices"][0] for chunk in reply.chunks]
    assert choices[-1]["finish_reason"] == "length"
    return sum(len(choice.get("text") or choice["delta"]["content"]) for choice in choices)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize("longer", [0, 1], ids=["equal", "unequal"])
@pytest.mark.parametrize("count", [2, 16])
def test_all_are_answered(gguf: Client, count: int, longer: int, path: str) -> None:
    texts = ["hello" + "x" * longer * n for n in range(count)]
    replies = send_together(gguf, requests(path, texts))
    assert [tokens_of(reply) for reply in replies] == [TOKENS] * count


def test_clients_that_disconnect_leave_the_others_their_replies(gguf: Client) -> None:
    """Some disconnect while they are held back, others while their prompt is read."""
    gone = requests(CHAT, ["x" * (CONTEXT_LENGTH // 8), "hello"] * 4)
    replies = send_together(gguf, requests(CHAT, ["hello"] * 8), gone)
    assert [tokens_of(reply) for reply in replies] == [TOKENS] * 8


def test_refused_ones_leave_the_others_their_replies(gguf: Client) -> None:
    replies = send_together(gguf, requests(CHAT, ["hello"] * 4 + ["x" * CONTEXT_LENGTH] * 4))
    assert [tokens_of(reply) for reply in replies[:4]] == [TOKENS] * 4
    for reply in replies[4:]:
        assert "Prompt sequence length is greater than" in reply.text


def test_choices_are_made_beside_other_requests(gguf: Client) -> None:
    wanted = requests(CHAT, ["hello"] * 4, n=2)
    replies = send_together(gguf, wanted)
    assert [reply.json["usage"]["completion_tokens"] for reply in replies[::2]] == [2 * TOKENS] * 2
    for reply in replies[1::2]:
        ends = [c["choices"][0] for c in reply.chunks if c["choices"][0]["finish_reason"]]
        assert [end["index"] for end in ends] == [0, 1]
