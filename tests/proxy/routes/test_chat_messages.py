"""The messages of `/api/chat`: any role, and images in any turn, reach the engine as it takes them.

Ollama checks no roles. The chat templates of the engine's models know four, and the engine accepts
images in the user's turns only.
"""

from typing import Any

import pytest

from tests.proxy.bodies import CHAT, GENERATE
from tests.proxy.running import RunningProxy
from tests.proxy.scripted_engine import ScriptedEngine

PNG, JPEG, GIF = "iVBORw0KGgo=", "/9j/4AAQ", "R0lGODlh"
CALLS = {
    "role": "assistant",
    "tool_calls": [{"function": {"name": name, "arguments": {}}} for name in ("look", "count")],
}


def sent(engine: ScriptedEngine, proxy: RunningProxy, *messages: object) -> list[dict[str, Any]]:
    """Return the messages that the engine gets for these."""
    response = proxy.http.post("/api/chat", json=CHAT | {"messages": messages})
    assert response.status_code == 200, response.text
    received: list[dict[str, Any]] = engine.calls()[-1].json["messages"]
    return received


def parts(text: str, *images: str) -> list[dict[str, Any]]:
    """Return the content of a turn with images; some engines insist on a text."""
    kinds = {PNG: "png", JPEG: "jpeg", GIF: "gif"}
    urls = [f"data:image/{kinds[image]};base64,{image}" for image in images]
    return [
        {"type": "text", "text": text},
        *({"type": "image_url", "image_url": {"url": url}} for url in urls),
    ]


@pytest.mark.parametrize(
    ("role", "engines_role", "text"),
    [
        ("user", "user", "Mind the gap."),
        ("USER", "user", "Mind the gap."),
        ("", "user", "Mind the gap."),
        (None, "user", "Mind the gap."),
        ("System", "system", "Mind the gap."),
        ("developer", "system", "Mind the gap."),
        ("Developer", "system", "Mind the gap."),
        ("control", "system", "Mind the gap."),
        ("control 2", "system", "Mind the gap."),
        ("assistant", "assistant", "Mind the gap."),
        ("document 7", "user", "document 7:\nMind the gap."),
        ("Document", "user", "document:\nMind the gap."),
        ("narrator", "user", "narrator:\nMind the gap."),
        ("rôle", "user", "rôle:\nMind the gap."),
    ],
)
def test_each_role_becomes_one_that_templates_know(
    engine: ScriptedEngine, proxy: RunningProxy, role: object, engines_role: str, text: str
) -> None:
    """An unknown role's name stays in front of its text."""
    assert sent(engine, proxy, {"role": role, "content": "Mind the gap."}) == [
        {"role": engines_role, "content": text}
    ]


def test_a_message_without_a_role_is_the_users(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    assert sent(engine, proxy, {"content": "Mind the gap."}) == [
        {"role": "user", "content": "Mind the gap."}
    ]


@pytest.mark.parametrize("role", ["tool", "function", "ipython", "Function"])
@pytest.mark.parametrize("key", ["tool_name", "name"])
def test_a_tools_result_answers_the_call_of_its_name(
    engine: ScriptedEngine, proxy: RunningProxy, role: str, key: str
) -> None:
    """In whichever role, and with OpenAI's field for the name, too."""
    result = {"role": role, "content": "3", key: "count"}
    calls, answer = sent(engine, proxy, CALLS, result)

    assert answer == {
        "role": "tool",
        "tool_call_id": calls["tool_calls"][1]["id"],
        "name": "count",
        "content": "3",
    }


def test_a_chat_with_continues_thinking_messages_goes_on(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Continue sends the thoughts before each of the assistant's turns as a message."""
    assert sent(
        engine,
        proxy,
        {"role": "user", "content": "Is 91 prime?"},
        {"role": "thinking", "content": "7 times 13."},
        {"role": "assistant", "content": "No."},
        {"role": "user", "content": "And 97?"},
    ) == [
        {"role": "user", "content": "Is 91 prime?"},
        {"role": "assistant", "content": "No.", "reasoning_content": "7 times 13."},
        {"role": "user", "content": "And 97?"},
    ]


def test_thoughts_before_tool_calls_stay_with_them(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Also those in several messages, and those in the turn itself."""
    thoughts = [{"role": "Thinking", "content": text} for text in ("Look first.", "Then count.")]
    (turn,) = sent(engine, proxy, *thoughts, CALLS | {"thinking": "Both at once."})

    assert turn["reasoning_content"] == "Look first.\n\nThen count.\n\nBoth at once."
    assert [call["function"]["name"] for call in turn["tool_calls"]] == ["look", "count"]


@pytest.mark.parametrize("last", [[], [{"role": "user", "content": "Go on."}]])
def test_thoughts_that_no_answer_followed_are_a_turn_of_the_assistant(
    engine: ScriptedEngine, proxy: RunningProxy, last: list[dict[str, Any]]
) -> None:
    """As after a reply that the client stopped."""
    first = {"role": "user", "content": "Is 91 prime?"}
    thought = {"role": "thinking", "content": "Let me see"}

    assert sent(engine, proxy, first, thought, *last) == [
        first,
        {"role": "assistant", "content": "", "reasoning_content": "Let me see"},
        *last,
    ]


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_turns_of_one_role_in_a_row_become_one(
    engine: ScriptedEngine, proxy: RunningProxy, role: str
) -> None:
    """As in Ollama: many templates want turns to alternate. Those without text add nothing."""
    texts = ("one", "", "two", "three")
    messages = [{"role": role, "content": text} for text in texts]

    assert sent(engine, proxy, *messages) == [{"role": role, "content": "one\n\ntwo\n\nthree"}]


def test_documents_and_the_question_become_one_turn(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    assert sent(
        engine,
        proxy,
        {"role": "document 1", "content": "Rain."},
        {"role": "document 2", "content": "Sun."},
        {"role": "user", "content": "Which is dry?"},
    ) == [{"role": "user", "content": "document 1:\nRain.\n\ndocument 2:\nSun.\n\nWhich is dry?"}]


def test_results_of_several_tools_stay_apart(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    results = [{"role": "tool", "content": text} for text in ("a door", "2")]
    calls, *answers = sent(engine, proxy, CALLS, *results)

    assert [answer["content"] for answer in answers] == ["a door", "2"]
    assert [a["tool_call_id"] for a in answers] == [call["id"] for call in calls["tool_calls"]]


def test_images_of_tools_come_in_a_turn_after_all_results(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    """Templates want the results directly after the calls."""
    first = {"role": "tool", "content": "a door", "images": [PNG]}
    second = {"role": "tool", "content": "2", "images": [JPEG, GIF]}
    answer = {"role": "assistant", "content": "A door."}
    translated = sent(engine, proxy, CALLS, first, second, answer)

    assert [message["role"] for message in translated] == [
        *("assistant", "tool", "tool", "user", "assistant")
    ]
    assert translated[3]["content"] == parts("", PNG, JPEG, GIF)


@pytest.mark.parametrize("role", ["tool", "system", "assistant", "developer", "ipython"])
def test_images_of_any_role_come_with_the_users_next_turn(
    engine: ScriptedEngine, proxy: RunningProxy, role: str
) -> None:
    """Before its own images."""
    message = {"role": role, "content": "Here.", "images": [GIF]}
    question = {"role": "user", "content": "What is it?", "images": [PNG]}
    *_, last = sent(engine, proxy, {"role": "user", "content": "Draw."}, message, question)

    assert last == {"role": "user", "content": parts("What is it?", GIF, PNG)}


@pytest.mark.parametrize("role", ["tool", "system", "assistant", "thinking"])
def test_images_that_no_turn_follows_get_a_turn_of_their_own(
    engine: ScriptedEngine, proxy: RunningProxy, role: str
) -> None:
    question = {"role": "user", "content": "Draw."}
    message = {"role": role, "content": "Here.", "images": [JPEG]}
    translated = sent(engine, proxy, question, message)

    assert translated[0] == question
    assert translated[-1] == {"role": "user", "content": parts("", JPEG)}


def test_images_of_an_unknown_role_stay_in_its_turn(
    engine: ScriptedEngine, proxy: RunningProxy
) -> None:
    message = {"role": "document 3", "content": "A map.", "images": [PNG]}
    (turn,) = sent(engine, proxy, message)

    assert turn["content"] == parts("document 3:\nA map.", PNG)


@pytest.mark.parametrize(
    "image", ["/9j/4", "not base64", "https://a.example/a.png", "data:,A", "é"]
)
@pytest.mark.parametrize("role", ["user", "tool", "system", "assistant", "thinking", "narrator"])
def test_an_image_that_is_not_base64_is_refused_in_any_role(
    engine: ScriptedEngine, proxy: RunningProxy, role: str, image: str
) -> None:
    messages = [{"role": role, "content": "x", "images": [PNG, image]}]
    response = proxy.http.post("/api/chat", json=CHAT | {"messages": messages})

    assert response.status_code == 400
    assert response.json() == {"error": "an image isn't valid base64"}
    assert engine.calls() == []


@pytest.mark.parametrize("more", [{}, {"prompt": ""}, {"raw": True}, {"keep_alive": 0}])
def test_an_image_of_generate_that_is_not_base64_is_refused(
    proxy: RunningProxy, more: dict[str, object]
) -> None:
    """Also if the request only loads the model."""
    response = proxy.http.post("/api/generate", json=GENERATE | {"images": ["!"]} | more)

    assert response.status_code == 400
    assert response.json() == {"error": "an image isn't valid base64"}


def test_line_breaks_in_an_image_are_ignored(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """As by Go's decoder; a data URL is kept."""
    images = ["iVBORw\r\n0KGgo=\n", "data:image/webp;base64,UklG\nRg=="]
    (turn,) = sent(engine, proxy, {"role": "user", "content": "", "images": images})

    urls = [part["image_url"]["url"] for part in turn["content"][1:]]
    assert urls == [f"data:image/png;base64,{PNG}", "data:image/webp;base64,UklGRg=="]


@pytest.mark.parametrize(
    "tool",
    [
        {"function": {"name": "look"}},
        {"type": None, "function": {"name": "look"}},
        {"type": "", "function": {"name": "look"}},
        {"type": "Function", "function": {"name": "look"}},
        {"type": "tool", "function": {"name": "look"}},
        {"Type": "FUNCTION", "Function": {"Name": "look"}},
    ],
)
def test_a_tool_with_a_function_is_a_function(
    engine: ScriptedEngine, proxy: RunningProxy, tool: dict[str, object]
) -> None:
    """Whatever its type says: Ollama doesn't look at it, and the engine knows only this one."""
    response = proxy.http.post("/api/chat", json=CHAT | {"tools": [tool]})

    assert response.status_code == 200
    wanted = [{"type": "function", "function": {"name": "look"}}]
    assert engine.calls()[0].json["tools"] == wanted


def test_tool_calls_match_in_any_case(engine: ScriptedEngine, proxy: RunningProxy) -> None:
    """As all keys do in Go."""
    call = {"ID": "7", "Function": {"Name": "look", "Arguments": {"Where": "up"}}}
    (turn,) = sent(engine, proxy, {"role": "assistant", "tool_calls": [call]})

    (translated,) = turn["tool_calls"]
    assert translated["id"] == "7"
    assert translated["function"] == {"name": "look", "arguments": '{"Where": "up"}'}
