"""BOLT 12, format-string-test: where a bolt12 text may be joined, and where not."""

import json
from pathlib import Path
from typing import Any

import pytest

from lnrecur.bolt12 import decode
from lnrecur.wire.errors import WireError
from lnrecur.wire.text import decode_text

VECTORS = json.loads((Path(__file__).parent / "data" / "bolts" / "bolt12-format-string-test.json").read_text())
VALID = [vector for vector in VECTORS if vector["valid"]]
INVALID = [vector for vector in VECTORS if not vector["valid"]]
PLAIN = VALID[0]["string"]

REFUSALS = [
    ("a bolt12 text is all lower case or all upper case", None),
    ("a + stands only between two bech32 characters", len(PLAIN)),
    ("a + stands only between two bech32 characters", len(PLAIN)),
    ("a + stands only between two bech32 characters", 0),
    ("a + stands only between two bech32 characters", 0),
    ("a + stands only between two bech32 characters", 2),
]


@pytest.mark.parametrize("vector", VALID, ids=lambda vector: vector["comment"])
def test_every_valid_form_means_the_same_offer(vector: dict[str, Any]) -> None:
    assert decode(vector["string"]).to_text() == PLAIN


@pytest.mark.parametrize(("vector", "refusal"), list(zip(INVALID, REFUSALS, strict=True)))
def test_an_invalid_form_is_refused_where_it_goes_wrong(vector: dict[str, Any], refusal: tuple[str, int]) -> None:
    with pytest.raises(WireError) as failure:
        decode_text(vector["string"])
    assert failure.value.reason.startswith(refusal[0])
    assert failure.value.offset == refusal[1]
    with pytest.raises(WireError):
        decode(vector["string"])


def test_the_vectors_are_all_there() -> None:
    assert (len(VALID), len(INVALID)) == (6, 6)
