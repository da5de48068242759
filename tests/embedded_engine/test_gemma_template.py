"""Our template for the default model, rendered by the real engine.

The tiny model wears the template here. A chat must say the same as a completion of the transcript
that the template should make: the same prompt, by length and by what follows from it.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from embedded_engine.templates import our_template
from tests.embedded_engine.client import CHAT, COMPLETIONS, Client, chat, completion
from tests.processes import running_engine
from tests.tiny_llama import make_tiny_llama

OPENING = "<s>A conversation between a user and a helpful assistant who answers briefly."


@pytest.fixture(scope="module")
def transcriber(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = make_tiny_llama(tmp_path_factory.mktemp("models") / "transcriber")
    (folder / "chat_template.jinja").write_text(our_template("gemma3.jinja"))
    with running_engine(folder) as base_url:
        yield Client(base_url)


def message(role: str, content: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("messages", "transcript"),
    [
        pytest.param(
            [message("user", "Hello!")],
            "\n\nUser: Hello!\n\nAssistant:",
            id="one turn",
        ),
        pytest.param(
            [message("system", "Be kind."), message("user", "Hello!")],
            "\n\nBe kind.\n\nUser: Hello!\n\nAssistant:",
            id="instructions first",
        ),
        pytest.param(
            [message("user", " Hi "), message("assistant", "Yes?\n"), message("user", "Go on.")],
            "\n\nUser: Hi\n\nAssistant: Yes?\n\nUser: Go on.\n\nAssistant:",
            id="turns, trimmed",
        ),
        pytest.param(
            [message("user", [{"type": "text", "text": "One"}, {"type": "text", "text": "two"}])],
            "\n\nUser: One two\n\nAssistant:",
            id="parts",
        ),
        pytest.param(
            [message("user", "Weather?"), message("tool", "sunny")],
            "\n\nUser: Weather?\n\nTool result: sunny\n\nAssistant:",
            id="tool result",
        ),
        pytest.param([], "\n\nAssistant:", id="nothing"),
    ],
)
def test_a_conversation_becomes_a_transcript(
    transcriber: Client, messages: list[dict[str, Any]], transcript: str
) -> None:
    said = transcriber.post(CHAT, chat(messages=messages)).json
    expected = transcriber.post(COMPLETIONS, completion(OPENING + transcript)).json
    assert said["usage"]["prompt_tokens"] == expected["usage"]["prompt_tokens"]
    assert said["choices"][0]["message"]["content"] == expected["choices"][0]["text"]


def test_tools_are_listed_before_the_conversation(transcriber: Client) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {}}}
    with_tools = transcriber.post(CHAT, chat(tools=[tool])).json
    without = transcriber.post(CHAT, chat()).json
    longer = with_tools["usage"]["prompt_tokens"] - without["usage"]["prompt_tokens"]
    assert longer > len("To call a tool") + len("weather")
