"""The requests a payer writes (Q1 to Q6), and the invoice_errors that end a subscription (V10)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cases.build import CLN, DAY, DRAFT, NOW, U64, Case, Terms, case, encode, refused, tu

PERIOD = 1000


def given(
    offer: Terms, now: int, payments: int = 0, *, start: int | None = None, basetime: int | None = NOW,
    cancel: bool = False, next_state: bytes | None = None, quantity: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """What a case hands over."""
    paid = {
        "payments": payments,
        "basetime": basetime if payments else None,
        "next_state": None if next_state is None else next_state.hex(),
    }
    return {"offer": offer.hex(), "start": start, "quantity": quantity, "paid": paid, "cancel": cancel, "now": now}


def writes(
    offer: Terms, counter: int, *, start: int | None = None, cancel: bool = False, prev_state: bytes | None = None,
    quantity: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A signed request that mirrors the offer and says this."""
    told = {"counter": counter, "start": start, "cancel": cancel, "quantity": quantity}
    state = None if prev_state is None else prev_state.hex()
    return {"request": {**told, "prev_state": state, "dialect": offer.dialect}}


def request_cases() -> list[Case]:
    """The next message of a subscription."""
    return [found for dialect in (DRAFT, CLN) for found in (*_asking(dialect), *_cancelling(dialect))] + _states()


def _asking(dialect: str) -> list[Case]:
    told = f" ({dialect})"
    plain, based, windowed, limited = (
        replace(terms, dialect=dialect)
        for terms in (Terms(), Terms(base=NOW), Terms(window=(100, 200)), Terms(limit=3))
    )
    short = Terms(dialect=dialect, limit=3, base=NOW)
    at = NOW + PERIOD
    return [
        case("the first request" + told, given(plain, NOW), writes(plain, 0), "Q1"),
        case("the first request with a base" + told, given(based, NOW + 5, start=0), writes(based, 0, start=0), "Q1",
             "Q3"),
        case("a late joiner's first request" + told, given(based, NOW + 5500, start=5), writes(based, 0, start=5), "Q1",
             "Q3"),
        case("the second request" + told, given(plain, at, 1), writes(plain, 1), "Q2", "Q3"),
        case("the third, with a base and a start" + told, given(based, NOW + 7100, 2, start=5),
             writes(based, 2, start=5), "Q2", "Q3"),
        case("the last one that the limit allows" + told, given(limited, NOW + 3000, 3), writes(limited, 3), "Q4"),
        refused("one more" + told, given(limited, NOW + 4000, 4), "Q4"),
        refused("one more for a late joiner" + told, given(short, NOW + 4000, 2, start=2), "Q4"),
        refused("a first request beyond the limit" + told, given(short, NOW + 4000, start=4), "Q4"),
        case("in the last second of the window" + told, given(windowed, at + 199, 1), writes(windowed, 1), "Q5", "T8"),
        refused("after the window" + told, given(windowed, at + 200, 1), "Q5", "T8"),
        refused("a period that has passed" + told, given(plain, at + PERIOD, 1), "Q5", "T8"),
        case("not before the window" + told, given(windowed, at - 101, 1),
             {"wait": {"from": at - 100, "before": at + 200}}, "Q5", "T8"),
        case("several items" + told, given(t := Terms(dialect=dialect, quantity_max=5), at, 1, quantity=3),
             writes(t, 1, quantity=3), "Q2"),
    ]  # fmt: skip


def _cancelling(dialect: str) -> list[Case]:
    told = f" ({dialect})"
    plain, based = Terms(dialect=dialect), Terms(dialect=dialect, base=NOW)
    return [
        case("a cancel has the counter of the request it stands for" + told, given(plain, NOW + PERIOD, 1, cancel=True),
             writes(plain, 1, cancel=True), "Q6"),
        case("a cancel with a base has the same start" + told, given(based, NOW + 7100, 2, start=5, cancel=True),
             writes(based, 2, start=5, cancel=True), "Q6"),
        case("nothing was paid: nothing to cancel, nothing to send" + told, given(plain, NOW, cancel=True),
             {"nothing": True}, "Q6"),
        case("everything is paid: nothing to cancel" + told,
             given(Terms(dialect=dialect, limit=1), NOW + 2 * PERIOD, 2, cancel=True), {"nothing": True}, "Q6"),
    ]  # fmt: skip


def _states() -> list[Case]:
    plain, at, state, long = Terms(), NOW + PERIOD, b"the payee's own", bytes(range(256)) * 4
    return [
        case("the payee's state is echoed", given(plain, at, 1, next_state=state), writes(plain, 1, prev_state=state),
             "V9"),
        case("in a cancel too", given(plain, at, 1, next_state=state, cancel=True),
             writes(plain, 1, prev_state=state, cancel=True), "V9"),
        case("1,024 bytes of it", given(plain, at, 1, next_state=long), writes(plain, 1, prev_state=long), "V9"),
        case("more are not kept", given(plain, at, 1, next_state=long + b"!"), writes(plain, 1), "V9"),
        refused("a next period beyond 64 bits of seconds",
                given(Terms(unit=1, base=U64 - DAY + 1), NOW, 1, start=0, basetime=U64 - DAY + 1), "T7"),
    ]  # fmt: skip


ENDED, CHANGED = b"recurrence-ended: closed", b"recurrence-changed: lno1pg257enxv4ezqcneype82um50ynhxgrwdajx2"


def error_cases() -> list[Case]:
    """invoice_error, as drafted and with the length that LDK writes in front of it."""
    told = (
        ("the payee ended the subscription", {5: ENDED}, True),
        ("the payee has another offer now", {5: CHANGED}, True),
        ("a refusal that is no end", {5: b"too early"}, False),
        ("the prefix in the middle of a sentence", {5: b"not recurrence-ended: yet"}, False),
        ("a field is named, and a value that would do", {1: tu(92), 3: tu(3), 5: b"counter 2 is paid already"}, False),
    )
    found = []
    for comment, fields, ends in told:
        data = bytes.fromhex(encode(fields))
        expect = {"invoice_error": {"text": fields[5].decode(), "ends_subscription": ends}}
        found.append(case(comment, {"invoice_error": data.hex()}, expect, "V10"))
        found.append(
            case(f"{comment}, as LDK writes it", {"invoice_error": (bytes((len(data),)) + data).hex()}, expect, "V10")
        )
    return found
