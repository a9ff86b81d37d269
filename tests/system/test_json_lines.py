"""One JSON object a line: split reads, partial writes, and connections that either side ends."""

from __future__ import annotations

import json
import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.system.json_lines import LONGEST_LINE_BYTES, Decoder, JsonLines, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

# Environment values that are no UTF-8 arrive as lone surrogates.
words = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
messages = st.lists(st.dictionaries(words, words | st.integers() | st.none(), max_size=4))


@given(messages, st.lists(st.integers(0, 200)))
def test_every_cut_gives_the_same_messages(sent: list[dict[str, object]], cuts: list[int]) -> None:
    """All encoded messages come out, in order and once."""
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
    """After any bytes and a newline, the next message is whole."""
    decoder = Decoder()
    decoder.feed(garbage)
    decoder.feed(b"\n")
    assert decoder.feed(encode({"is": "hello"})) == [{"is": "hello"}]


def test_a_line_too_long_is_left_out() -> None:
    """The long line does not stay in memory, and counts as one piece of garbage."""
    decoder = Decoder()
    assert decoder.feed(b'{"a": "') == []
    for _ in range(LONGEST_LINE_BYTES // (1 << 20) + 2):
        assert decoder.feed(b"x" * (1 << 20)) == []
    assert decoder.feed(b'"}\n' + encode({"a": 1})) == [{"a": 1}]
    assert decoder.garbage == 1


def test_what_is_no_object_is_left_out() -> None:
    """Numbers, lists and deep nesting, valid JSON or not, are no messages."""
    decoder = Decoder()
    lines = [b"1", b"[]", b"null", b"[" * 100_000, b"{", json.dumps({"a": 1}).encode()]
    assert decoder.feed(b"\n".join(lines) + b"\n") == [{"a": 1}]
    assert decoder.garbage == 5


@pytest.fixture
def pair() -> Iterator[tuple[JsonLines, socket.socket]]:
    """Our end, which does not block, and the other end as a plain socket."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    lines = JsonLines(ours.detach())
    yield lines, theirs
    lines.close()
    theirs.close()


Pair = tuple[JsonLines, socket.socket]


def test_a_line_in_two_reads_is_one_message(pair: Pair) -> None:
    """The first half gives no message, and is not lost."""
    lines, theirs = pair
    theirs.sendall(b'{"is": "he')
    assert lines.read(1) == []
    theirs.sendall(b'llo"}\n{"is": "next"}\n{"is"')
    assert lines.read(1) == [{"is": "hello"}, {"is": "next"}]
    theirs.sendall(b': "last"}\n')
    assert lines.read() == [{"is": "last"}]
    assert not lines.is_lost


def test_what_a_full_socket_does_not_take_goes_later(pair: Pair) -> None:
    """With EAGAIN and partial writes, every message arrives whole, once and in order."""
    lines, theirs = pair
    sent = [{"number": number, "text": "x" * 50_000} for number in range(40)]
    for message in sent:
        lines.write(message)
    assert 0 < len(lines.unsent) < sum(len(encode(message)) for message in sent)
    assert not lines.is_lost
    decoder, received = Decoder(), []
    while len(received) < len(sent):
        received += decoder.feed(theirs.recv(1 << 20))
        lines.flush()
    assert received == sent
    assert not lines.unsent


def test_every_byte_may_be_a_write_of_its_own(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partial write is continued after the part that went."""
    lines, theirs = pair
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:1]))
    lines.write({"is": "hello"})
    assert theirs.recv(100) == b'{"is":"hello"}\n'


def test_garbage_is_counted_and_costs_nothing_else(pair: Pair) -> None:
    """Stray bytes and a line that is no message are counted, and the message after them arrives."""
    lines, theirs = pair
    theirs.sendall(b'\xff\x00\n[1]\n{"is": "hello"}\n')
    assert lines.read(1) == [{"is": "hello"}]
    assert lines.decoder.garbage == 2


def test_an_oversized_line_is_left_out(pair: Pair) -> None:
    """A line that is too long comes in many reads and is no message, and the next line is."""
    lines, theirs = pair
    text = encode({"is": "x" * (LONGEST_LINE_BYTES + (1 << 20))}) + encode({"is": "next"})
    writer = threading.Thread(target=theirs.sendall, args=(text,))
    writer.start()
    received: list[dict[str, object]] = []
    while not received:
        received += lines.read()
    writer.join()
    assert received == [{"is": "next"}]
    assert lines.decoder.garbage == 1


def test_what_a_peer_had_said_is_read_before_its_end(pair: Pair) -> None:
    """A failed write shows that the peer is gone, and its last words are still read."""
    lines, theirs = pair
    theirs.sendall(encode({"is": "last"}))
    theirs.close()
    lines.write({"is": "unheard"})
    assert lines.is_lost
    assert not lines.unsent
    assert lines.read() == [{"is": "last"}]
    lines.write({"is": "unheard"})
    assert not lines.unsent


def test_the_end_of_a_peer_is_told_once_all_is_read(pair: Pair) -> None:
    """An end in the middle of a line is an end, and the half line is no message."""
    lines, theirs = pair
    theirs.sendall(encode({"is": "last"}) + b'{"is": "cut o')
    theirs.close()
    assert lines.read(1) == [{"is": "last"}]
    assert not lines.is_lost
    assert lines.read(1) == []
    assert lines.is_lost
    assert lines.decoder.garbage == 0


def test_a_peer_that_never_stops_writing_is_left_in_time(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`read` returns in time, because the calling loop has others to serve."""
    lines, _ = pair
    monkeypatch.setattr(os, "read", lambda fd, most: b'{"is": "more"}\n')
    assert 0 < len(lines.read()) < 10_000


def test_on_a_descriptor_that_blocks_it_waits() -> None:
    """On a blocking descriptor `read` waits for a message and `write` until all went.

    The parked interpreter uses it so.
    """
    ours, theirs = socket.socketpair()
    lines = JsonLines(ours.detach())
    large = {"text": "x" * (4 << 20)}
    received: list[dict[str, object]] = []

    def answer() -> None:
        decoder = Decoder()
        while not received:
            received.extend(decoder.feed(theirs.recv(1 << 16)))
        theirs.sendall(encode({"is": "answer"}))

    peer = threading.Thread(target=answer)
    peer.start()
    lines.write(large)
    assert not lines.unsent
    assert lines.read(1) == [{"is": "answer"}]
    peer.join()
    assert received == [large]
    lines.close()
    assert theirs.recv(1) == b""
    theirs.close()
