"""Turn the SentencePiece vocabulary of a GGUF file into a Hugging Face `tokenizer.json`.

GGUF calls this kind of tokenizer "llama". It is byte-pair encoding whose merge order is given by
the scores. Without a `tokenizer.json`, Mistral.rs 0.9.5 reads the scores as those of a unigram
model and splits "The sky" into "T", "he", "s", "ky". The model wasn't trained on such tokens and
replies with nonsense.

Pure: metadata in, JSON value out.
"""

from typing import Any, TypeVar

from embedded_engine.formats.gguf import Metadata, NotGgufError

_Item = TypeVar("_Item", str, int, float)

# What GGUF calls a SentencePiece vocabulary.
_SENTENCEPIECE = "llama"
_BEGIN = "tokenizer.ggml.bos_token_id"
# Token types of GGUF (llama.cpp, enum llama_token_type).
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _BYTE = 1, 2, 3, 4, 6
# Characters of a token that others are merged to, and merges for each token: far above those of
# real vocabularies, which have two merges for each token. What a token takes grows with the square
# of its length.
_LONGEST_MERGED = 256
_MOST_MERGES = 8
# SentencePiece writes a space as this letter.
_SPACE = "\u2581"


def needs_tokenizer(metadata: Metadata) -> bool:
    """Return whether the engine would misread the vocabulary in this metadata."""
    return (
        metadata.get("tokenizer.ggml.model") == _SENTENCEPIECE
        and "tokenizer.ggml.scores" in metadata
        and "tokenizer.ggml.merges" not in metadata
    )


def to_tokenizer_json(metadata: Metadata) -> dict[str, Any]:
    """Return the value of the `tokenizer.json`: model, normaliser, decoder, added tokens.

    Raises:
        NotGgufError: The vocabulary is damaged.
    """
    tokens = _list(metadata, "tokenizer.ggml.tokens", str)
    types = _list(metadata, "tokenizer.ggml.token_type", int)
    scores = _list(metadata, "tokenizer.ggml.scores", float)
    if not len(tokens) == len(types) == len(scores):
        raise NotGgufError("its tokens, their types and their scores differ in number")
    vocabulary = {token: index for index, token in enumerate(tokens)}
    merges = _merges(tokens, vocabulary, types, scores)
    space = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
    prefix = [{"type": "Prepend", "prepend": _SPACE}] * _adds_space(metadata)
    unknown = _token(metadata, "tokenizer.ggml.unknown_token_id", tokens)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_tokens(tokens, types),
        "normalizer": {"type": "Sequence", "normalizers": [*prefix, space]},
        "pre_tokenizer": None,
        "post_processor": _begin_token(metadata, tokens),
        "decoder": _decoder(strip_prefix=_adds_space(metadata)),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": unknown,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": vocabulary,
            "merges": merges,
        },
    }


def _merges(
    tokens: list[str], vocabulary: dict[str, int], types: list[int], scores: list[float]
) -> list[tuple[str, str]]:
    """List every way to join two pieces into a third, the best-scored result first.

    SentencePiece always joins the two neighbours whose union scores highest. Byte-pair encoding
    does the same with a list of merges in that order.
    """
    pieces = [piece for piece, index in vocabulary.items() if types[index] == _NORMAL]
    if any(len(piece) > _LONGEST_MERGED for piece in pieces):
        raise NotGgufError(f"it has a token of more than {_LONGEST_MERGED} characters")
    pieces.sort(key=lambda piece: -scores[vocabulary[piece]])
    merges: list[tuple[str, str]] = []
    for piece in pieces:
        for cut in range(1, len(piece)):
            left, right = vocabulary.get(piece[:cut]), vocabulary.get(piece[cut:])
            if left is not None and right is not None:
                merges.append((tokens[left], tokens[right]))  # not copies of them
        if len(merges) > _MOST_MERGES * len(tokens):
            raise NotGgufError(
                f"its tokens can be merged in more than {_MOST_MERGES} times as many ways"
            )
    return merges


def _added_tokens(tokens: list[str], types: list[int]) -> list[dict[str, Any]]:
    """List the tokens that are matched as a whole; the special ones are not in decoded text."""
    return [
        {
            "id": index,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": types[index] != _USER_DEFINED,
        }
        for index, token in enumerate(tokens)
        if types[index] in (_UNKNOWN, _CONTROL, _USER_DEFINED)
    ]


def _begin_token(metadata: Metadata, tokens: list[str]) -> dict[str, Any] | None:
    """Put the begin token before every text; the engine drops it if a template has one."""
    token = _token(metadata, _BEGIN, tokens)
    if token is None or metadata.get("tokenizer.ggml.add_bos_token") is not True:
        return None
    special = {"SpecialToken": {"id": token, "type_id": 0}}
    first = {"Sequence": {"id": "A", "type_id": 0}}
    return {
        "type": "TemplateProcessing",
        "single": [special, first],
        "pair": [special, first, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {token: {"id": token, "ids": [metadata[_BEGIN]], "tokens": [token]}},
    }


def _decoder(*, strip_prefix: bool) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if strip_prefix:
        steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {"type": "Sequence", "decoders": steps}


def _adds_space(metadata: Metadata) -> bool:
    """Return whether every text begins with a space, which is SentencePiece's default."""
    return metadata.get("tokenizer.ggml.add_space_prefix", True) is True


def _list(metadata: Metadata, key: str, kind: type[_Item]) -> list[_Item]:
    value = metadata.get(key)
    if not isinstance(value, list):
        raise NotGgufError(f"its {key} isn't a list")
    items = [item for item in value if isinstance(item, kind)]
    if len(items) < len(value):
        raise NotGgufError(f"its {key} has values of a wrong type")
    return items


def _token(metadata: Metadata, key: str, tokens: list[str]) -> str | None:
    """Return the token whose number is stored under `key`, None if there is no number."""
    index = metadata.get(key)
    if not isinstance(index, int):
        return None
    if not 0 <= index < len(tokens):
        raise NotGgufError(f"its {key} is {index}, but it has {len(tokens)} tokens")
    return tokens[index]
