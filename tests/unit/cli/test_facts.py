"""The facts of events, for people."""

from typing import Any

import pytest

from lnrecur.cli.facts import facts_in_words, label, value_in_words

HASH = "ab" * 32


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, ""),
        ({"counter": 0, "amount_msat": 9_990_000}, "counter 0, amount 9,990 sat"),
        ({"payment_hash": HASH, "why": None}, "payment hash abababababab..."),
        ({"another_key": True}, "another key yes"),
        (
            {"field": "mandate.max_total_msat", "old": None, "new": 1_500},
            "field mandate.max_total_msat, old none, new 1.5 sat",
        ),
        ({"why": "a\x1b[31mb"}, "why a\ufffd[31mb"),
    ],
)
def test_amounts_are_in_sat_and_hashes_short(data: dict[str, Any], words: str) -> None:
    assert facts_in_words(data) == words


def test_moments_are_those_of_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    told = {"field": "mandate.ends_at", "old": "2026-12-24T00:00:00Z", "new": "2026-12-25T00:00:00Z"}
    assert "2026-12-24 00:00:00 UTC" in facts_in_words({"closed_at": "2026-12-24T00:00:00Z"})
    assert "new 2026-12-25 00:00:00 UTC" in facts_in_words(told)


def test_a_limit_that_there_was_not_is_none() -> None:
    assert (label("mandate.max_total_msat"), value_in_words("mandate.max_total_msat", None)) == ("max total", "none")
