"""Every recorded request through our payee: we decide as Core Lightning's issuer did, or the difference is listed.

Compared are the verdict, the reason of a refusal, and of an invoice the amount, the start of period 0, the last second
to pay, and whether it mirrors the request it answers.
"""

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from vectors.recorded import DATA, FILES, Exchange, Verdict, parsed, recorded_verdict, replay, steps
from vectors.recorded_differences import PAYEE

REPLAYED = [pair for file in FILES for pair in replay(file)]
JUDGED = [(exchange, ours) for exchange, ours in REPLAYED if exchange.tamper is None]
TAMPERED = [(exchange, ours) for exchange, ours in REPLAYED if exchange.tamper is not None]

MEANINGS = {
    r"period_index \d+ too (early|late)": {"Q16"},
    r"period_index \d+ too great": {"Q8"},
    "wrong chain": {"BR9"},
    r"(Amount must be at least|Amount vastly exceeds|quantity \d+ causes overflow)": {"Q17"},
    r"(quantity \d+ >|quantity zero|missing invreq_quantity)": {"BR7"},
    r"missing invreq_amount": {"BR8"},
    r"missing invreq_recurrence_start": {"Q11"},
    r"Missing invreq_metadata": {"BR1"},
    r"unknown feature bit": {"BR4"},
    r"invalid invreq data": {"BOLT 1"},
    r"bad signature": {"BOLT 12 signature"},
    r"Offer expired": {"O7"},
    r"(invoice expired \(cancelled\?\)|Previous invoice #\d+ status \"expired\")": {"Q15"},
    r"Internal error": {"Q13", "Q15"},  # an invoice of that payer_id and counter exists already
}
"""Which rule of ours says what a text of Core Lightning's says."""


def _name(pair: tuple[Exchange, Verdict]) -> str:
    return f"{pair[0].file.removesuffix('.json')}-{pair[0].step}"


def _difference(exchange: Exchange, ours: Verdict) -> tuple[str, str] | None:
    """Both verdicts as far as they differ; None where they agree."""
    theirs = recorded_verdict(exchange)
    if exchange.by == "script":
        theirs = replace(theirs, expires=ours.expires)  # it gives five minutes, whatever the window
    same = ours == theirs
    if ours.kind == theirs.kind == "refusal":
        same = any(re.match(text, theirs.reason) and ours.reason in rules for text, rules in MEANINGS.items())
    return None if same else (ours.told(theirs), theirs.told(ours))


@pytest.mark.parametrize("pair", JUDGED, ids=_name)
def test_our_payee_decides_as_the_recorded_issuer_or_the_difference_is_listed(pair: tuple[Exchange, Verdict]) -> None:
    exchange, ours = pair
    listed = PAYEE.get(exchange.key)
    assert _difference(exchange, ours) == (None if listed is None else (listed.ours, listed.theirs))


@pytest.mark.parametrize("pair", TAMPERED, ids=_name)
def test_what_core_lightning_asked_the_lying_issuer_our_payee_would_have_answered(
    pair: tuple[Exchange, Verdict],
) -> None:
    exchange, ours = pair
    assert (ours.kind, ours.amount) == ("invoice", 30_000)
    assert ours.basetime is not None
    assert exchange.key not in PAYEE


def test_every_listed_difference_belongs_to_a_request() -> None:
    assert set(PAYEE) <= {exchange.key for exchange, _ in JUDGED}


def test_the_replay_is_as_large_as_it_was() -> None:
    assert Counter(exchange.file for exchange, _ in REPLAYED) == {
        "external_issuer_recurring.json": 21,
        "external_payer_hooks.json": 12,
        "plain_exchanges.json": 54,
        "recurrence_base.json": 13,
        "recurrence_basic.json": 5,
        "recurrence_cancel.json": 14,
        "recurrence_limit.json": 2,
        "recurrence_months_days.json": 20,
        "recurrence_optional.json": 4,
        "recurrence_paywindow.json": 6,
        "spec_draft_tlv_numbers.json": 1,
    }
    agreeing = [exchange for exchange, ours in JUDGED if _difference(exchange, ours) is None]
    assert (len(JUDGED), len(agreeing), len(PAYEE), len(TAMPERED)) == (139, 121, 18, 13)


def test_every_kind_of_verdict_was_agreed_on() -> None:
    agreed = Counter(ours.kind for exchange, ours in JUDGED if exchange.key not in PAYEE)
    assert agreed == {"invoice": 84, "refusal": 30, "silence": 7}


# --- nothing left out ------------------------------------------------------------------------------------------------

ASKING = {"fetchinvoice", "dev-rawrequest", "cancelrecurringinvoice", "injectonionmessage"}
LOST = {("plain_exchanges.json", 85): "could not route", ("plain_exchanges.json", 96): "Timeout"}
"""Sent into the void: a node that cannot be reached, and a path that begins at an unknown channel."""


def _unreplayed() -> list[tuple[tuple[str, int], dict[str, Any]]]:
    replayed = {exchange.key for exchange, _ in REPLAYED}
    return [
        ((file, number), step)
        for file in FILES
        for number, step in enumerate(steps(file))
        if step.get("method") in ASKING and (file, number) not in replayed
    ]


def test_what_was_asked_and_not_replayed_never_left_its_node_or_never_arrived() -> None:
    """The refusals of Core Lightning's payer to ask at all are compared in test_recorded_payer.py."""
    unsent = 0
    for key, step in _unreplayed():
        if key in LOST:
            assert LOST[key] in step["error"]["message"]
        else:
            unsent += 1
            assert step["error"]["code"] in (-1, -32602, 1002), key  # refused by its own checks
            assert not step.get("messages")
    assert (unsent, len(LOST)) == (38, 2)


def _requests(value: object) -> list[str]:
    """Every invoice_request that a node or the script is recorded to have received."""
    if isinstance(value, list):
        return [found for inner in value for found in _requests(inner)]
    if not isinstance(value, dict):
        return []
    here = [value["tlv_hex"]] if value.get("kind") == "invoice_request" else []
    logged = [entry["invoice_request"]["tlv_hex"] for entry in value.get("issuer_log", ())]
    return here + logged + [found for inner in value.values() for found in _requests(inner)]


def test_every_request_that_was_received_is_replayed() -> None:
    received = Counter(text for path in sorted(DATA.glob("*.json")) for text in _requests(parsed(path.name)))
    arrived = (exchange for exchange, _ in REPLAYED if exchange.by in ("node", "script"))
    assert received == Counter(exchange.request.hex() for exchange in arrived)
