"""GGUF files: their header, the tokenizer made from it, and the real engine running on both."""

import io
import json
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from embedded_engine.formats.details import gguf_details, gguf_info, human_number
from embedded_engine.formats.gguf import NotGgufError, Tensor, read_header
from embedded_engine.formats.tokenizer import needs_tokenizer, to_tokenizer_json
from tests.embedded_engine.client import CHAT, COMPLETIONS, Client, chat, completion
from tests.processes import running_engine
from tests.tiny_gguf import (
    CHAT_TEMPLATE,
    Value,
    make_tiny_gguf,
    sentencepiece_metadata,
    write_gguf,
)


@pytest.fixture(scope="module")
def gguf_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gguf")
    make_tiny_gguf(folder / "tiny.gguf")
    return folder


@pytest.fixture(scope="module")
def gguf_client(gguf_folder: Path) -> Iterator[Client]:
    """Run an engine on the folder, not on the file in it."""
    with running_engine(gguf_folder) as base_url:
        yield Client(base_url)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return make_tokenizer(add_space_prefix=False)


def make_tokenizer(*, add_space_prefix: bool) -> Tokenizer:
    metadata = sentencepiece_metadata(add_space_prefix=add_space_prefix)
    return Tokenizer.from_str(json.dumps(to_tokenizer_json(metadata)))


def gguf_bytes() -> bytes:
    file = io.BytesIO()
    tensors = {"token_embd.weight": np.zeros((3, 5), np.float32), "bias": np.zeros(7, np.float32)}
    write_gguf(file, sentencepiece_metadata(), tensors)
    return file.getvalue()


GGUF = gguf_bytes()
# Where the length of the first key begins: after magic, version and two counts.
FIRST_KEY = 24


def test_the_header_is_read_back_as_written() -> None:
    header = read_header(io.BytesIO(GGUF))
    assert header.metadata == sentencepiece_metadata()
    assert header.tensors == (Tensor(type=0, elements=15), Tensor(type=0, elements=7))


def changed(at: int, layout: str, value: int) -> bytes:
    """Return the file with another number at one position."""
    data = bytearray(GGUF)
    struct.pack_into(layout, data, at, value)
    return bytes(data)


def with_array(item_kind: int, length: int) -> bytes:
    """Return the start of a file whose only value is an array."""
    return b"GGUF" + struct.pack("<IQQQcIIQ", 3, 0, 1, 1, b"k", 9, item_kind, length)


def with_tensor(dimensions: int) -> bytes:
    return b"GGUF" + struct.pack("<IQQQcI", 3, 1, 0, 1, b"t", dimensions) + bytes(1000)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b"", "GGUF", id="empty"),
        pytest.param(b"PK\x03\x04 a zip archive", "GGUF", id="other file"),
        pytest.param(b"GGUF\x01\0\0\0", "version 1", id="old version"),
        pytest.param(GGUF[:1000], "ends in the middle", id="cut short"),
        pytest.param(changed(8, "<Q", 2**64 - 1), "18446744073709551615 tensors", id="tensors"),
        pytest.param(changed(8, "<Q", 1000), "ends in the middle|dimensions", id="more tensors"),
        pytest.param(
            changed(16, "<Q", 2**64 - 1), "ends in the middle|value type", id="endless pairs"
        ),
        pytest.param(changed(FIRST_KEY, "<Q", 2**64 - 1), "ends in the middle", id="endless key"),
        pytest.param(changed(FIRST_KEY, "<Q", 2**40), "ends in the middle", id="long key"),
        pytest.param(with_array(0, 2**64 - 1), "an array of", id="endless array of bytes"),
        pytest.param(with_array(12, 2**62), "an array of", id="endless array of doubles"),
        pytest.param(with_array(12, 1000), "ends in the middle", id="array past the end"),
        pytest.param(with_array(8, 1000), "ends in the middle", id="array of strings"),
        pytest.param(with_array(9, 1), "value type 9", id="array of arrays"),
        pytest.param(with_array(13, 0), "value type 13", id="array of unknown type"),
        pytest.param(with_tensor(2**32 - 1), "4294967295 dimensions", id="many dimensions"),
    ],
)
def test_what_is_not_gguf_is_refused(content: bytes, says: str) -> None:
    with pytest.raises(NotGgufError, match=says):
        read_header(io.BytesIO(content))


def read_model(content: bytes) -> None:
    """Do all that is done with a file before the engine loads it."""
    header = read_header(io.BytesIO(content))
    gguf_details(header)
    json.dumps(gguf_info(header))
    if needs_tokenizer(header.metadata):
        json.dumps(to_tokenizer_json(header.metadata))


@settings(deadline=None)
@given(st.data())
def test_a_damaged_header_is_read_or_refused(data: st.DataObject) -> None:
    """Any other exception would end the process with a traceback."""
    damaged = bytearray(GGUF)
    at = data.draw(st.integers(0, len(damaged) - 8))
    damaged[at : at + 8] = data.draw(st.binary(min_size=1, max_size=8))
    with suppress(NotGgufError):
        read_model(bytes(damaged))


VALUES = st.one_of(st.booleans(), st.integers(0, 2**32 - 1), st.floats(width=32), st.text())
LISTS = st.one_of(
    st.lists(st.integers(0, 9), min_size=1),
    st.lists(st.floats(width=32), min_size=1),
    st.lists(st.text(), min_size=1),
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(sentencepiece_metadata())), VALUES | LISTS))
def test_a_damaged_vocabulary_is_read_or_refused(damage: dict[str, Value]) -> None:
    file = io.BytesIO()
    write_gguf(file, sentencepiece_metadata() | damage)
    with suppress(NotGgufError):
        read_model(file.getvalue())


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ({"tokenizer.ggml.tokens": "hello"}, "isn't a list"),
        ({"tokenizer.ggml.tokens": [1.0]}, "a wrong type"),
        ({"tokenizer.ggml.scores": [1.0]}, "differ in number"),
        ({"tokenizer.ggml.bos_token_id": 2**31}, "is 2147483648, but it has"),
        ({"tokenizer.ggml.unknown_token_id": 2**31}, "is 2147483648, but it has"),
        (
            {
                "tokenizer.ggml.tokens": ["x" * 1_000_000],
                "tokenizer.ggml.token_type": [1],
                "tokenizer.ggml.scores": [0.0],
            },
            "more than 256 characters",
        ),
        (
            {
                "tokenizer.ggml.tokens": ["x" * (length + 1) for length in range(100)],
                "tokenizer.ggml.token_type": [1] * 100,
                "tokenizer.ggml.scores": [0.0] * 100,
            },
            "as many ways",
        ),
    ],
    ids=[
        "no list",
        "wrong type",
        "lengths",
        "begin token",
        "unknown token",
        "long token",
        "merges",
    ],
)
def test_what_is_damaged_is_said(damage: dict[str, Value], says: str) -> None:
    with pytest.raises(NotGgufError, match=says):
        to_tokenizer_json(sentencepiece_metadata() | damage)


def test_a_vocabulary_with_merges_of_its_own_is_left_to_the_engine() -> None:
    assert needs_tokenizer(sentencepiece_metadata())
    assert not needs_tokenizer(sentencepiece_metadata() | {"tokenizer.ggml.merges": ["l o"]})
    assert not needs_tokenizer({"tokenizer.ggml.model": "gpt2"})


def test_pieces_are_merged_best_score_first(tokenizer: Tokenizer) -> None:
    """`el` scores below `he`, so `hello` is never cut as h-el-lo."""
    assert tokenizer.encode("hello", add_special_tokens=False).tokens == ["hello"]
    assert tokenizer.encode("helo", add_special_tokens=False).tokens == ["he", "lo"]
    assert tokenizer.encode("x hello", add_special_tokens=False).tokens == ["x", "\u2581hello"]


def test_the_begin_token_comes_before_a_text(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("hello").tokens == ["<s>", "hello"]


@settings(deadline=None)
@given(st.text())
def test_any_text_survives_encoding_and_decoding(text: str) -> None:
    """Letters that aren't in the vocabulary are written as bytes."""
    tokenizer = make_tokenizer(add_space_prefix=False)
    # SentencePiece can't distinguish a space from the letter that it writes for one.
    text = text.replace("\u2581", " ")
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


def test_a_space_before_the_text_is_added_and_removed_if_the_file_says_so() -> None:
    tokenizer = make_tokenizer(add_space_prefix=True)
    encoded = tokenizer.encode("hello", add_special_tokens=False)
    assert encoded.tokens == ["\u2581hello"]
    assert tokenizer.decode(encoded.ids) == "hello"


def test_the_engine_reads_a_gguf_file_with_that_tokenizer(gguf_client: Client) -> None:
    """`<s>` and `hello` are two tokens; without our tokenizer the engine would make six."""
    reply = gguf_client.post(COMPLETIONS, completion("hello")).json
    assert reply["usage"]["prompt_tokens"] == 2


def test_the_template_in_the_file_is_used_for_chat(gguf_client: Client) -> None:
    reply = gguf_client.post(CHAT, chat("hello")).json
    assert reply["usage"]["prompt_tokens"] == len(["<s>", *"[user]", "hello", *"[me]"])


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_template_refuses_is_the_requests_fault(
    gguf_client: Client, *, stream: bool
) -> None:
    messages = [{"role": "stranger", "content": "hello"}]
    reply = gguf_client.post(CHAT, chat(messages=messages, stream=stream))
    assert "the chat template refuses this request: Who is that?" in reply.text
    if stream:
        assert json.loads(reply.events[0])["error"]["type"] == "invalid_request_error"
    else:
        assert reply.status == 422


def test_a_chat_with_a_model_without_a_template_is_the_requests_fault(tmp_path: Path) -> None:
    with running_engine(make_tiny_gguf(tmp_path / "tiny.gguf", template=False)) as base_url:
        reply = Client(base_url).post(CHAT, chat("hello"))
    assert reply.status == 422
    assert "This model has no chat template: use /v1/completions" in reply.json["message"]


def test_a_folder_with_one_gguf_file_has_the_folders_name(
    gguf_client: Client, gguf_folder: Path
) -> None:
    assert gguf_client.get("/v1/models").json["data"][1]["id"] == str(gguf_folder)


def test_the_model_list_has_what_the_header_says(gguf_client: Client, gguf_folder: Path) -> None:
    default, model = gguf_client.get("/v1/models").json["data"]
    assert model["size"] == (gguf_folder / "tiny.gguf").stat().st_size
    assert model["details"] == {
        "format": "gguf",
        "family": "llama",
        "families": ["llama"],
        "parameter_size": "128K",
        "quantization_level": "F32",
    }
    assert "details" not in default
    info = model["model_info"]
    assert info["general.architecture"] == "llama"
    assert human_number(info["general.parameter_count"]) == "128K"
    assert info["llama.block_count"] == 2
    assert [key for key in info if key.endswith(("tokens", "chat_template"))] == []
    # Without what the engine adds to it.
    assert model["template"] == CHAT_TEMPLATE
