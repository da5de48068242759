"""Recognises plain events, and reads runs of them without decoding each.

A plain event carries text and nothing else. The plain events of one stream differ only in their
text. After one has been decoded, the bytes before and after its text are known. In a run of events
that match both byte for byte, the texts can then be cut out. The result is always correct:

- a text (`_PLAIN`) contains no unescaped quote, so it can't end early;
- bytes outside a string don't depend on the string, so each event decodes to the example with
  another text;
- each text is written exactly as `NdjsonLines` would write it after decoding.

All events that don't match are decoded.
"""

import json
import re
from json.encoder import encode_basestring_ascii as quoted

from proxy_service.wire.engine import Completion

# Contents of JSON strings that need no decoding, one on each line.
_PLAIN = re.compile(rb'[\n !#-\[\]-~]*(?:\\["\\bfnrt][\n !#-\[\]-~]*)*')
_KEY = b'"content":'
# If this many examples didn't lead to runs, the events differ in more than their text.
_MAX_EXAMPLES = 8
# Bytes; a plain event has the text of a token or a few. To compare a large event takes long.
LONGEST_EXAMPLE = 4096


class PlainEvents:
    """Recognises the plain events of one stream by an example."""

    __slots__ = ("_before", "_end", "_examples_left")

    def __init__(self) -> None:
        self._before = self._end = b""  # the bytes around the text, with the blank line
        self._examples_left = _MAX_EXAMPLES

    @property
    def accepts_examples(self) -> bool:
        """Whether another example may help."""
        return self._examples_left > 0

    @property
    def needs_example(self) -> bool:
        """Whether there is no example yet, but may still be one."""
        return not self._before and self._examples_left > 0

    def learn(self, data: bytes, decoded: Completion) -> None:
        """Use an event's data, and what it decodes to, as an example if the event is plain."""
        if not self.accepts_examples or len(data) > LONGEST_EXAMPLE or not is_plain(decoded):
            return
        self._examples_left -= 1
        text = decoded["choices"][0]["delta"].get("content") or ""
        before, found, after = data.partition(_KEY + quoted(text).encode("ascii"))
        if not found or b"\n" in data:
            return
        other = json.loads(before + _KEY + b'"?"' + after)
        other["choices"][0]["delta"]["content"] = text
        if other == decoded:
            self._before = b"data: " + before + _KEY + b'"'
            self._end = b'"' + after + b"\n\n"

    def split(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Return the texts of the plain events at the beginning of ``data``, and the other data.

        The texts are the contents of JSON strings, none of them empty. There are none if the
        first event isn't plain, or if there is another event between plain ones.
        """
        before, end = self._before, self._end
        last = data.rfind(end) if before and data.startswith(before) else -1
        if last < 0:
            return [], data
        begin = len(before)
        body = data[begin:last]
        texts = [body]
        if b"\n" in body:  # more than one event
            after = len(end) - 2
            texts = [line[begin:-after] for line in data[: last + after].split(b"\n")[::2]]
            if (end + before).join(texts) != body:
                return [], data
        if b"" in texts or not _PLAIN.fullmatch(b"\n".join(texts)):
            return [], data
        return texts, data[last + len(end) :]


def first_event_length(data: bytes) -> int:
    """Return the length in bytes of the first event, or of all ``data`` if it is incomplete."""
    end = data.find(b"\n\n")
    return end + 2 if end >= 0 else len(data)


def is_plain(decoded: Completion) -> bool:
    """Return whether a decoded event carries text and nothing else."""
    if decoded.get("usage") or len(decoded["choices"]) != 1:
        return False
    choice = decoded["choices"][0]
    delta = choice.get("delta") or {}
    return bool(delta.get("content")) and not (
        choice.get("finish_reason")
        or choice.get("logprobs")
        or delta.get("reasoning_content")
        or delta.get("reasoning")
        or delta.get("tool_calls")
    )


def decode(texts: list[bytes]) -> str:
    """Join the texts that `PlainEvents.split` returned, and decode them."""
    text: str = json.loads(b'"%b"' % b"".join(texts))
    return text
