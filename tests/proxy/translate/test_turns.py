"""Items of other APIs as the messages of a chat completion."""

from proxy_service.translate.turns import Turns, image_part, text_part

IMAGE = image_part("data:image/png;base64,AA==")


def test_what_one_side_says_in_several_items_is_one_message() -> None:
    turns = Turns()
    turns.user([text_part("a")])
    turns.user([text_part("b")])
    turns.thought("hm")
    turns.assistant("c")
    turns.call("1", "f", "{}")
    turns.assistant("d")
    turns.call("2", "g", '{"x":1}')

    assert turns.messages() == [
        {"role": "user", "content": "a\nb"},
        {
            "role": "assistant",
            "content": "c\nd",
            "reasoning_content": "hm",
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "2", "type": "function", "function": {"name": "g", "arguments": '{"x":1}'}},
            ],
        },
    ]


def test_instructions_come_first_or_become_text_of_the_user() -> None:
    """Many templates refuse a system message in the middle, or two users in a row."""
    turns = Turns()
    turns.instruct("be kind")
    turns.instruct("")
    turns.instruct("be brief")
    turns.user([text_part("hi")])
    turns.instruct("now rhyme")
    turns.assistant("ho")
    turns.instruct("stop rhyming")

    assert turns.messages() == [
        {"role": "system", "content": "be kind\nbe brief"},
        {"role": "user", "content": "hi\nnow rhyme"},
        {"role": "assistant", "content": "ho"},
        {"role": "user", "content": "stop rhyming"},
    ]


def test_images_of_results_follow_all_results() -> None:
    """The engine takes images only in messages of the user."""
    turns = Turns()
    turns.call("1", "look", "{}")
    turns.call("2", "look", "{}")
    turns.result("1", "", [IMAGE])
    turns.result("2", "two", [IMAGE])
    turns.user([text_part("well?")])

    assert turns.images == 2
    assert turns.messages()[1:] == [
        {"role": "tool", "content": "", "tool_call_id": "1", "name": "look"},
        {"role": "tool", "content": "two", "tool_call_id": "2", "name": "look"},
        {"role": "user", "content": [IMAGE, IMAGE, text_part("well?")]},
    ]


def test_images_of_the_last_result_are_kept() -> None:
    turns = Turns()
    turns.result("1", "x", [IMAGE])

    assert turns.messages() == [
        {"role": "tool", "content": "x", "tool_call_id": "1"},
        {"role": "user", "content": [IMAGE]},
    ]


def test_no_items_are_no_messages() -> None:
    turns = Turns()
    turns.user([])

    assert turns.messages() == []


def test_the_name_of_a_call_is_not_repeated_for_each_of_its_results() -> None:
    """A long one would become much longer than the request."""
    turns = Turns()
    turns.call("a", "f" * 1000, "{}")
    for _ in range(100):
        turns.result("a", "x")

    assert len(str(turns.messages())) < 20_000
