"""BOLT 1, appendix A: every BigSize vector."""

import json
from pathlib import Path
from typing import Any

import pytest

from lnrecur.wire.bigsize import decode_bigsize, encode_bigsize
from lnrecur.wire.errors import WireError

VECTORS = json.loads((Path(__file__).parent / "data" / "bolts" / "bolt01-bigsize.json").read_text())
GOOD = [vector for vector in VECTORS["decoding"] if "exp_error" not in vector]
BAD = [vector for vector in VECTORS["decoding"] if "exp_error" in vector]
TOLD = {
    "decoded bigsize is not canonical": "not in its shortest form",
    "unexpected EOF": "end inside a BigSize",
    "EOF": "end where a BigSize should begin",
}


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: vector["name"])
def test_decoding(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["bytes"])
    assert decode_bigsize(data) == (vector["value"], len(data))


@pytest.mark.parametrize("vector", GOOD, ids=lambda vector: vector["name"])
def test_decoding_behind_other_bytes_and_before_others(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["bytes"])
    assert decode_bigsize(b"\xff\xfe" + data + b"\xff", 2) == (vector["value"], 2 + len(data))


@pytest.mark.parametrize("vector", BAD, ids=lambda vector: vector["name"])
def test_decoding_failures_say_why_and_where(vector: dict[str, Any]) -> None:
    with pytest.raises(WireError) as failure:
        decode_bigsize(b"\0\0\0" + bytes.fromhex(vector["bytes"]), 3)
    assert TOLD[vector["exp_error"]] in failure.value.reason
    assert failure.value.offset == 3


@pytest.mark.parametrize("vector", VECTORS["encoding"], ids=lambda vector: vector["name"])
def test_encoding(vector: dict[str, Any]) -> None:
    assert encode_bigsize(vector["value"]).hex() == vector["bytes"]


def test_the_vectors_are_all_there() -> None:
    assert (len(GOOD), len(BAD), len(VECTORS["encoding"])) == (8, 10, 8)
