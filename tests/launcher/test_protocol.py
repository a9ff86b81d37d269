"""One JSON object a line, whatever pieces the socket cuts it into."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from supervisor.launcher.protocol import LONGEST_LINE_BYTES, Decoder, encode

# Environment values that were no UTF-8 come as lone surrogates.
words = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
messages = st.lists(st.dictionaries(words, words | st.integers() | st.none(), max_size=4))


@given(messages, st.lists(st.integers(0, 200)))
def test_every_cut_gives_the_same_messages(sent: list[dict[str, object]], cuts: list[int]) -> None:
    """What was encoded comes out, in order and once."""
    stream = b"".join(encode(message) for message in sent)
    decoder = Decoder()
    received = []
    for cut in cuts:
        received += decoder.feed(stream[:cut])
        stream = stream[cut:]
    received += decoder.feed(stream)
    assert received == sent
    assert decoder.garbage == 0


@given(st.binary(max_size=300))
def test_garbage_never_raises_and_never_swallows_the_next(garbage: bytes) -> None:
    """Any bytes, then a newline: the message after them is whole."""
    decoder = Decoder()
    decoder.feed(garbage)
    decoder.feed(b"\n")
    assert decoder.feed(encode({"is": "hello"})) == [{"is": "hello"}]


def test_a_line_too_long_is_left_out() -> None:
    """It does not stay in memory, and counts as one piece of garbage."""
    decoder = Decoder()
    for _ in range(LONGEST_LINE_BYTES // (1 << 20) + 2):
        assert decoder.feed(b"x" * (1 << 20)) == []
    assert decoder.feed(b'"\n' + encode({"a": 1})) == [{"a": 1}]
    assert decoder.garbage == 1


def test_what_is_no_object_is_left_out() -> None:
    """Numbers, lists, deep nesting: valid JSON or not, no message."""
    decoder = Decoder()
    lines = [b"1", b"[]", b"null", b"[" * 100_000, b"{", json.dumps({"a": 1}).encode()]
    assert decoder.feed(b"\n".join(lines) + b"\n") == [{"a": 1}]
    assert decoder.garbage == 5
