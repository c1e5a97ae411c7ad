"""JSON objects out of lightningd's bytes, however they are cut."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from lnrecur.adapters.nodes.cln.frames import JsonFrames

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=3)
GAPS = st.sampled_from(["", "\n", "\n\n", " \n", "\r\n\n"])


@given(st.lists(st.tuples(OBJECTS, GAPS, st.booleans()), max_size=5), st.lists(st.integers(1, 40)), st.booleans())
def test_objects_come_out_as_they_went_in_however_they_are_cut(
    told: list[tuple[dict, str, bool]], cuts: list[int], indented: bool
) -> None:
    text = "".join(
        json.dumps(one, ensure_ascii=ascii_only, indent=2 if indented else None) + gap for one, gap, ascii_only in told
    ).encode()
    frames, found, at = JsonFrames(), [], 0
    for cut in [*cuts, len(text)]:
        found += frames.feed(text[at : at + cut])
        at += cut
    found += frames.feed(text[at:])
    assert [json.loads(one) for one in found] == [one for one, _, _ in told]
    assert not frames.broken


@given(st.binary(max_size=60), st.integers(1, 7))
def test_what_is_broken_ends_at_an_empty_line_and_never_swallows_what_follows(junk: bytes, step: int) -> None:
    text = b"{" + junk.replace(b"\n\n", b"") + b"\n\n" + b'{"id": 1}' + b"\n\n"
    frames = JsonFrames()
    found = [one for at in range(0, len(text), step) for one in frames.feed(text[at : at + step])]
    assert found[-1] == b'{"id": 1}'


def test_an_object_is_there_with_its_last_brace() -> None:
    frames = JsonFrames()
    assert frames.feed(b'{"a": "}\\"{"') == []
    assert frames.feed(b"}") == [b'{"a": "}\\"{"}']
    assert frames.feed(b'{"a":"\\') == []
    assert frames.feed(b'\\"}{"b":1}{"c"') == [b'{"a":"\\\\"}', b'{"b":1}']
    assert frames.feed(b":2}") == [b'{"c":2}']


def test_what_was_broken_is_told_by_its_beginning() -> None:
    frames = JsonFrames()
    assert frames.feed(b'noise {"a": [1, 2\n\n{"b": 1}\n\n') == [b'{"b": 1}']
    assert frames.broken == ['{"a": [1, 2']


def test_a_huge_object_in_small_pieces_is_read_in_one_pass() -> None:
    frames, text = JsonFrames(), json.dumps({"data": ["\\" * 100 + '"' * 100] * 2_000}).encode()
    found = [one for at in range(0, len(text), 4096) for one in frames.feed(text[at : at + 4096])]
    assert found == [text]
    assert len(text) > 800_000
