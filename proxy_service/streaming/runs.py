"""Reads runs of plain chunks without decoding each of them.

The chunks of one stream are alike but for their text. Once the first was decoded in full, what
stands before and after its text is known; from a run of chunks that match both byte for byte, the
texts are then cut out. This is no guess:

- what a text may hold (`_PLAIN`) has no unescaped quote, so each text ends where it seems to;
- bytes outside a string do not depend on the string, so each chunk decodes to the first one
  with another text;
- every text is written exactly as `NdjsonLines` would write it again.

Whatever does not match, in full or in part, takes the ordinary way through the decoder.
"""

import json
import re
from json.encoder import encode_basestring_ascii as quoted

from proxy_service.wire.openai import Completion

# The insides of JSON strings that need no decoding, one per line.
_PLAIN = re.compile(rb'[\n !#-\[\]-~]*(?:\\["\\bfnrt][\n !#-\[\]-~]*)*')
_KEY = b'"content":'
# Streams whose chunks differ in more than their text are not worth another look.
_LESSONS = 8


class PlainRuns:
    """What the plain chunks of one stream look like."""

    __slots__ = ("_before", "_end", "_lessons")

    def __init__(self) -> None:
        self._before = self._end = b""  # around the text, the blank line included
        self._lessons = _LESSONS

    @property
    def curious(self) -> bool:
        """Whether another example may help."""
        return self._lessons > 0

    @property
    def untaught(self) -> bool:
        """Whether no example was seen yet, and one is still wanted."""
        return not self._before and self._lessons > 0

    def learn(self, data: bytes, chunk: Completion) -> None:
        """Take an event's data, and the chunk that it decodes to, as an example."""
        if not self.curious or not is_plain(chunk):
            return
        self._lessons -= 1
        text = chunk["choices"][0]["delta"].get("content") or ""
        before, found, after = data.partition(_KEY + quoted(text).encode("ascii"))
        if not found or b"\n" in data:
            return
        other = json.loads(before + _KEY + b'"?"' + after)
        other["choices"][0]["delta"]["content"] = text
        if other == chunk:
            self._before = b"data: " + before + _KEY + b'"'
            self._end = b'"' + after + b"\n\n"

    def split(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Give the texts of the plain chunks at the beginning of ``data``, and what follows.

        The texts are the insides of JSON strings, none of them empty. There are none when the
        first chunk is of another kind, or when one in the run is.
        """
        before, end = self._before, self._end
        last = data.rfind(end) if before and data.startswith(before) else -1
        if last < 0:
            return [], data
        begin = len(before)
        body = data[begin:last]
        texts = [body]
        if b"\n" in body:  # more than one chunk
            after = len(end) - 2
            texts = [line[begin:-after] for line in data[: last + after].split(b"\n")[::2]]
            if (end + before).join(texts) != body:
                return [], data
        if b"" in texts or not _PLAIN.fullmatch(b"\n".join(texts)):
            return [], data
        return texts, data[last + len(end) :]


def first_event(data: bytes) -> int:
    """Give the length of the first event in ``data``; all of it when none is complete."""
    end = data.find(b"\n\n")
    return end + 2 if end >= 0 else len(data)


def is_plain(chunk: Completion) -> bool:
    """Tell whether a chunk carries text and nothing else."""
    if chunk.get("usage") or len(chunk["choices"]) != 1:
        return False
    choice = chunk["choices"][0]
    delta = choice.get("delta") or {}
    return bool(delta.get("content")) and not (
        choice.get("finish_reason")
        or choice.get("logprobs")
        or delta.get("reasoning_content")
        or delta.get("tool_calls")
    )


def decode(texts: list[bytes]) -> str:
    """Give the text that `PlainRuns.split` found, as one."""
    text: str = json.loads(b'"%b"' % b"".join(texts))
    return text
