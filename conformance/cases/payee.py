"""A payee's answers (Q8 to Q20, and what its invoices say: V1 to V3, T1, T9, T10)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cases.build import (
    CLN,
    DAY,
    DRAFT,
    NOW,
    STRANGER,
    U32,
    U64,
    Case,
    Fields,
    Terms,
    broken_signature,
    case,
    encode,
    refused,
    request,
    tu,
)

PRICE = 10_000
PERIOD = 1000
EXPIRY = 600
JAN_31, MARCH_31 = 1_738_314_000, 1_743_411_600
STRICT = {"windows": "strict", "invoice_expiry_s": EXPIRY, "payments_max": None}
LENIENT = {**STRICT, "windows": "lenient"}
PLAIN = Terms()
BASED = Terms(base=NOW)
WINDOWED = Terms(window=(100, 200))
BOTH = Terms(base=NOW, window=(100, 200))
ONCE = Terms(recurring=False)
OPTIONAL = Terms(optional=True)
SHARED = Terms(base=NOW, proportional=1)
SEVERAL = Terms(quantity_max=10)
MARK_EVEN, FEATURE, NOTHING = {84: b"\x01"}, {84: b"\x02"}, {82: b""}
SILENT_RECORDED = {"silent": {"recorded": True}}


def paid(payments: int, basetime: int | None = NOW, start: int | None = None, **more: Any) -> dict[str, Any]:
    """What this payer has paid so far: `payments` periods without a gap."""
    return {"payments": payments, "basetime": basetime if payments else None, "start": start if payments else None,
            "one_off": False, "cancelled": False, "open": None} | more  # fmt: skip


def given(
    offer: Terms, asked: Fields, now: int, history: dict[str, Any] | None = None, policy: dict[str, Any] = STRICT
) -> dict[str, Any]:
    """What a case hands over."""
    return {"offer": offer.hex(), "policy": policy, "paid": history or paid(0), "request": encode(asked), "now": now}


def invoiced(amount: int, basetime: int | None, expires_at_most: int) -> dict[str, Any]:
    """An invoice of these terms; it may expire sooner, not later."""
    return {"invoice": {"amount_msat": amount, "basetime": basetime, "expires_at_most": expires_at_most}}


def payee_cases() -> list[Case]:
    """Everything, in both dialects where numbers matter."""
    found = [*_first(), *_later(), *_windows(), *_once(), *_amounts(), *_cancels(), *_histories(), *_plain_breaches()]
    for dialect in (DRAFT, CLN):
        found += [*_structure(dialect), *_limits(dialect)]
    return found


def _first() -> list[Case]:
    late = NOW + 5 * PERIOD + 1
    open_end = invoiced(PRICE, NOW, NOW + EXPIRY)
    return [
        case("the first invoice of an offer without base is the start of period 0", given(PLAIN, request(PLAIN), NOW),
             open_end, "T1", "V1", "V2", "Q1"),
        case("the same, a day later: another start", given(PLAIN, request(PLAIN), NOW + DAY),
             invoiced(PRICE, NOW + DAY, NOW + DAY + EXPIRY), "T1", "V2"),
        case("with a base the start of period 0 is the base", given(BASED, request(BASED, start=0), NOW + 5),
             invoiced(PRICE, NOW, NOW + 5 + EXPIRY), "T1", "V1", "V2", "Q3"),
        case("a late joiner names the period it begins with", given(BASED, request(BASED, start=5), late),
             invoiced(PRICE, NOW, late + EXPIRY), "Q3", "V2", "T1"),
        case("no reader bounds the first request: before the window", given(BOTH, request(BOTH, start=9), NOW),
             invoiced(PRICE, NOW, NOW + EXPIRY), "T9"),
        case("no reader bounds the first request: after the window", given(BOTH, request(BOTH, start=0), NOW + 700),
             invoiced(PRICE, NOW, NOW + 700 + EXPIRY), "T9"),
        case("an invoice never lives past the end of its pay window",
             given(BOTH, request(BOTH, start=0), NOW + 50), invoiced(PRICE, NOW, NOW + 199), "V3", "T8"),
        case("the same without a paywindow: the end of the period", given(BASED, request(BASED, start=0), NOW + 900),
             invoiced(PRICE, NOW, NOW + 999), "V3", "T8"),
        case("an expired offer takes no new payers", given(t := Terms(expiry=NOW), request(t), NOW + 1),
             {"refused": "O7"}, breaks="O7"),
        case("the last second of an offer", given(t, request(t), NOW), open_end, "O7"),
        case("a running subscription outlives the offer",
             given(t, request(t, 1), NOW + PERIOD, paid(1)), invoiced(PRICE, NOW, NOW + PERIOD + EXPIRY), "O7"),
        case("an unknown odd field is mirrored and ignored", given(PLAIN, request(PLAIN, extra={101: b"x"}), NOW),
             open_end, "V6"),
    ]  # fmt: skip


def _later() -> list[Case]:
    at = NOW + PERIOD
    return [
        case("the second payment: the start of period 0 stays", given(PLAIN, request(PLAIN, 1), at + 10, paid(1)),
             invoiced(PRICE, NOW, at + 10 + EXPIRY), "T1", "V2", "Q2"),
        case("the hundredth", given(PLAIN, request(PLAIN, 99), NOW + 99 * PERIOD, paid(99)),
             invoiced(PRICE, NOW, NOW + 99 * PERIOD + EXPIRY), "Q2", "V2"),
        case("with a base and a start", given(BASED, request(BASED, 2, start=5), NOW + 7000, paid(2, start=5)),
             invoiced(PRICE, NOW, NOW + 7000 + EXPIRY), "Q2", "Q3"),
        case("months are counted from the base, not from the period before",
             given(t := Terms(unit=2, period=1, base=JAN_31, window=(0, 10)), request(t, 2, start=0),
                   MARCH_31 + 9, paid(2, JAN_31, 0)), invoiced(PRICE, JAN_31, MARCH_31 + 9), "T5", "T8"),
        case("the last second of a window", given(WINDOWED, request(WINDOWED, 1), at + 199, paid(1)),
             invoiced(PRICE, NOW, at + 199), "Q16", "T8", "V3"),
        case("the first second of a window", given(WINDOWED, request(WINDOWED, 1), at - 100, paid(1)),
             invoiced(PRICE, NOW, at + 199), "Q16", "T8", "V3"),
        case("without a paywindow, from the start of the period before",
             given(PLAIN, request(PLAIN, 3), NOW + 2000, paid(3)), invoiced(PRICE, NOW, NOW + 2600), "Q16", "T8"),
        case("without a paywindow, to the last second of the period",
             given(PLAIN, request(PLAIN, 3), NOW + 3999, paid(3)), invoiced(PRICE, NOW, NOW + 3999), "Q16", "V3"),
        case("prev_state is the payee's own, and untrusted",
             given(PLAIN, request(PLAIN, 1, prev_state=b"opaque"), at, paid(1)), invoiced(PRICE, NOW, at + EXPIRY)),
        case("the same request once more: an invoice of the same terms",
             given(PLAIN, asked := request(PLAIN, 1), at + 9, paid(1, open=encode(asked))),
             invoiced(PRICE, NOW, at + 9 + EXPIRY), "Q19"),
        case("the same counter with other metadata and more items: a new invoice, not the one before",
             given(SEVERAL, request(SEVERAL, 1, quantity=3, metadata="other"), at,
                   paid(1, open=encode(request(SEVERAL, 1, quantity=2)))),
             invoiced(3 * PRICE, NOW, at + EXPIRY), "Q19"),
        case("the same counter with other metadata and another amount: a new invoice",
             given(PLAIN, request(PLAIN, 1, amount=PRICE + 5, metadata="other"), at,
                   paid(1, open=encode(request(PLAIN, 1)))), invoiced(PRICE + 5, NOW, at + EXPIRY), "Q19"),
    ]  # fmt: skip


def _windows() -> list[Case]:
    at = NOW + PERIOD
    month = Terms(unit=2, period=1, base=JAN_31)
    return [
        refused("a second before the window", given(WINDOWED, request(WINDOWED, 1), at - 101, paid(1)), "Q16", "T8"),
        refused("at the end of the window exactly", given(WINDOWED, request(WINDOWED, 1), at + 200, paid(1)), "Q16",
                "T8"),
        refused("long after", given(WINDOWED, request(WINDOWED, 1), at + DAY, paid(1)), "Q16"),
        refused("without a paywindow, a second before the period before",
                given(PLAIN, request(PLAIN, 3), NOW + 1999, paid(3)), "Q16", "T8"),
        refused("without a paywindow, the first second after the period",
                given(PLAIN, request(PLAIN, 3), NOW + 4000, paid(3)), "Q16", "T8"),
        refused("after a month of 28 days", given(month, request(month, 1, start=0), MARCH_31, paid(1, JAN_31,
                0)), "Q16", "T5"),
        refused("in a window without length", given(t := Terms(window=(0, 0)), request(t, 1), at, paid(1)), "Q16"),
        refused("too early is too early for a lenient payee too",
                given(WINDOWED, request(WINDOWED, 1), at - 101, paid(1), LENIENT), "Q16"),
        case("a lenient payee serves late periods in order",
             given(WINDOWED, request(WINDOWED, 1), at + DAY, paid(1), LENIENT),
             invoiced(PRICE, NOW, at + DAY + EXPIRY), "Q16"),
        case("a lenient payee without paywindow", given(PLAIN, request(PLAIN, 3), NOW + 9000, paid(3), LENIENT),
             invoiced(PRICE, NOW, NOW + 9000 + EXPIRY), "Q16"),
        refused("a period that 64 bits of seconds cannot tell",
                given(t := Terms(base=U64 - 10), request(t, start=1), NOW), "T7"),
        refused("the same in months", given(t := Terms(unit=2, period=U32, base=NOW), request(t, start=U32), NOW),
                "T7"),
    ]  # fmt: skip


def _once() -> list[Case]:
    one_off = invoiced(PRICE, None, NOW + EXPIRY)
    at = NOW + 5
    return [
        case("an offer without recurrence", given(ONCE, request(ONCE, None), NOW), one_off, "V1"),
        case("an optional recurrence is paid once by wallets that know no recurrence",
             given(OPTIONAL, request(OPTIONAL, None), NOW), one_off, "Q9", "V1"),
        case("the same in the other dialect", given(t := replace(OPTIONAL, dialect=CLN), request(t, None), NOW),
             one_off, "Q9", "V1"),
        case("an optional recurrence is a subscription to all others",
             given(OPTIONAL, request(OPTIONAL), NOW), invoiced(PRICE, NOW, NOW + EXPIRY), "Q9", "V1"),
        refused("paid once already", given(ONCE, request(ONCE, None), at, paid(1, None, one_off=True)), "Q13"),
        refused("an optional recurrence, paid once already",
                given(OPTIONAL, request(OPTIONAL, None), at, paid(1, None, one_off=True)), "Q13"),
        refused("an optional recurrence, subscribed to already",
                given(OPTIONAL, request(OPTIONAL, None), at, paid(1)), "Q13"),
    ]  # fmt: skip


def _amounts() -> list[Case]:
    half = NOW + 500
    any_amount = Terms(amount=None)
    end = NOW + EXPIRY
    return [
        case("several items", given(SEVERAL, request(SEVERAL, quantity=7), NOW), invoiced(70_000, NOW, end), "Q17"),
        case("more than the price", given(PLAIN, request(PLAIN, amount=PRICE + 1), NOW),
             invoiced(PRICE + 1, NOW, end), "Q17"),
        case("exactly the price", given(PLAIN, request(PLAIN, amount=PRICE), NOW), invoiced(PRICE, NOW, end), "Q17"),
        refused("a millisatoshi too little", given(PLAIN, request(PLAIN, amount=PRICE - 1), NOW), "Q17"),
        refused("the price of six for seven items",
                given(SEVERAL, request(SEVERAL, quantity=7, amount=60_000), NOW), "Q17"),
        refused("a million million items", given(t := Terms(quantity_max=0), request(t, quantity=U64), NOW), "Q17"),
        case("the payer chooses the amount", given(any_amount, request(any_amount, amount=77), NOW),
             invoiced(77, NOW, end), "Q17"),
        refused("nobody chooses the amount", given(any_amount, request(any_amount), NOW), "BR8"),
        refused("nothing is no amount", given(any_amount, request(any_amount, extra=NOTHING), NOW), "BR8"),
        case("half a period costs half", given(SHARED, request(SHARED, start=0), half),
             invoiced(PRICE // 2, NOW, NOW + 999), "T10", "Q17"),
        case("a share is rounded up", given(t := replace(SHARED, period=3), request(t, start=0), NOW + 1),
             invoiced(6667, NOW, NOW + 2), "T10"),
        case("the whole price before the period", given(SHARED, request(SHARED, start=1), half),
             invoiced(PRICE, NOW, half + EXPIRY), "T10"),
        case("half a period of several items",
             given(t := replace(SHARED, quantity_max=10), request(t, start=0, quantity=3), half),
             invoiced(15_000, NOW, NOW + 999), "T10", "Q17"),
        case("half the price is enough for half a period",
             given(SHARED, request(SHARED, start=0, amount=PRICE // 2), half), invoiced(PRICE // 2, NOW, NOW + 999),
             "T10", "Q17"),
        refused("less than half the price is not", given(SHARED, request(SHARED, start=0, amount=PRICE // 2 - 1), half),
                "Q17", "T10"),
        refused("a proportional period that is over",
                given(SHARED, request(SHARED, start=0), NOW + PERIOD), "T10"),
        refused("a lenient payee cannot sell it either",
                given(SHARED, request(SHARED, 1, start=0), NOW + 2 * PERIOD, paid(1, start=0), LENIENT), "T10"),
    ]  # fmt: skip


def _cancels() -> list[Case]:
    at = NOW + PERIOD
    cancelled = paid(1, cancelled=True)
    nothing = {"silent": {"recorded": False}}
    return [
        case("a cancel in place of the next request", given(PLAIN, request(PLAIN, 1, cancel=True), at, paid(1)),
             SILENT_RECORDED, "Q18", "Q6"),
        case("the same in the other dialect",
             given(t := Terms(dialect=CLN), request(t, 1, cancel=True), at, paid(1)), SILENT_RECORDED, "Q18", "Q6"),
        case("a cancel outside the window is recorded all the same",
             given(WINDOWED, request(WINDOWED, 1, cancel=True), at + DAY, paid(1)), SILENT_RECORDED, "Q18"),
        case("a cancel may leave the quantity out", given(SEVERAL, request(SEVERAL, 1, cancel=True), at, paid(1)),
             SILENT_RECORDED, "Q18", "Q6"),
        case("a cancel while an unpaid invoice of that counter is out",
             given(PLAIN, request(PLAIN, 1, cancel=True, metadata="cancel"), at,
                   paid(1, open=encode(request(PLAIN, 1)))),
             SILENT_RECORDED, "Q18"),
        case("a cancel with the payee's state",
             given(PLAIN, request(PLAIN, 1, cancel=True, prev_state=b"opaque"), at, paid(1)), SILENT_RECORDED, "Q18"),
        case("a cancel of an expired offer's subscription",
             given(t := Terms(expiry=NOW), request(t, 1, cancel=True), at, paid(1)), SILENT_RECORDED, "Q18", "O7"),
        case("nothing was paid, so nothing can be cancelled", given(PLAIN, request(PLAIN, 0, cancel=True), NOW),
             nothing, "Q18", breaks="Q12"),
        case("a cancel of a counter that is not due", given(PLAIN, request(PLAIN, 2, cancel=True), at, paid(1)),
             nothing, "Q18", breaks="Q14"),
        case("a cancel of a counter that is paid", given(PLAIN, request(PLAIN, 1, cancel=True), at, paid(2)),
             nothing, "Q18", breaks="Q13"),
        case("a cancel with another start",
             given(BASED, request(BASED, 1, start=4, cancel=True), at, paid(1, start=3)), nothing, "Q18", breaks="Q20"),
        case("a second cancel", given(PLAIN, request(PLAIN, 1, cancel=True), at, cancelled), nothing, breaks="Q15"),
        refused("a request after a cancel", given(PLAIN, request(PLAIN, 1), at, cancelled), "Q15", "Q6"),
        refused("a request after a cancel, with a base",
                given(BASED, request(BASED, 1, start=0), at, paid(1, start=0, cancelled=True)), "Q15", "Q6"),
    ]  # fmt: skip


def _histories() -> list[Case]:
    at = NOW + PERIOD
    return [
        refused("the first counter, paid already", given(PLAIN, request(PLAIN, 0), NOW + 5, paid(1)), "Q13"),
        refused("a counter in the middle, paid already", given(PLAIN, request(PLAIN, 3), NOW + 3000, paid(5)), "Q13"),
        refused("the previous counter is not paid", given(PLAIN, request(PLAIN, 2), NOW + 2000, paid(1)), "Q14"),
        refused("two counters left out", given(BASED, request(BASED, 5, start=0), NOW + 5000, paid(3, start=0)), "Q14"),
        refused("a later start", given(BASED, request(BASED, 1, start=4), NOW + 5000, paid(1, start=3)), "Q20"),
        refused("an earlier start", given(BASED, request(BASED, 1, start=0), at, paid(1, start=3)), "Q20"),
        refused("a start in a short window",
                given(BOTH, request(BOTH, 2, start=1), NOW + 3000, paid(2, start=0)), "Q20"),
    ]  # fmt: skip


def _structure(dialect: str) -> list[Case]:
    plain, based, once, optional = (replace(terms, dialect=dialect) for terms in (PLAIN, BASED, ONCE, OPTIONAL))
    at, told = NOW + PERIOD, f" ({dialect})"
    cancel = request(plain, None, cancel=True, extra={})
    return [
        refused("compulsory, without a counter" + told, given(plain, request(plain, None), NOW), "Q9"),
        case("compulsory, a cancel without a counter" + told, given(plain, cancel, at), {"silent": {"recorded": False}},
             breaks="Q9"),
        case("optional, a cancel without a counter" + told,
             given(optional, request(optional, None, cancel=True), NOW), {"silent": {"recorded": False}}, breaks="Q9"),
        refused("no recurrence, but a counter" + told, given(once, request(once, 0), NOW), "Q10"),
        refused("no recurrence, but a start" + told, given(once, request(once, None, start=0), NOW), "Q10"),
        refused("with a base, without a start" + told, given(based, request(based), NOW), "Q11"),
        refused("with a base, later, without a start" + told,
                given(based, request(based, 1), at, paid(1, start=None)), "Q11"),
        refused("without a base, with a start" + told, given(plain, request(plain, start=0), NOW), "Q11"),
        case("an answer for a stranger of this dialect" + told, given(plain, request(plain), NOW),
             invoiced(PRICE, NOW, NOW + EXPIRY), "Q1"),
        refused("the first request with a state" + told, given(plain, request(plain, prev_state=b"x"), NOW), "Q12"),
        refused("the counter in the other dialect" + told,
                given(plain, _other_dialect(plain), NOW), "D1"),
    ]  # fmt: skip


def _other_dialect(terms: Terms) -> Fields:
    number = 92 if terms.dialect == CLN else 2_000_000_092
    return request(terms, None, extra={number: b""})


def _limits(dialect: str) -> list[Case]:
    offer = Terms(limit=3, dialect=dialect)
    based = Terms(limit=3, base=NOW, dialect=dialect)
    three = {**STRICT, "payments_max": 3}
    at, told = NOW + 3 * PERIOD, f" ({dialect})"
    return [
        case("the limit is the highest period that may be paid" + told, given(offer, request(offer, 3), at, paid(3)),
             invoiced(PRICE, NOW, at + EXPIRY), "Q8", "O11"),
        refused("one period more" + told, given(offer, request(offer, 4), at + PERIOD, paid(4)), "Q8", "O11"),
        case("a late joiner has fewer payments" + told, given(based, request(based, 1, start=2), at, paid(1, start=2)),
             invoiced(PRICE, NOW, at + EXPIRY), "Q8", "O11"),
        refused("a late joiner beyond the limit" + told,
                given(based, request(based, 2, start=2), NOW + 4000, paid(2, start=2)), "Q8", "O11"),
        refused("a first request beyond the limit" + told,
                given(based, request(based, start=4), NOW + 4000), "Q8"),
        refused("the payee counts payments as well" + told,
                given(t := Terms(dialect=dialect), request(t, 3), at, paid(3), three), "Q8", "O11"),
    ]  # fmt: skip


def _plain_breaches() -> list[Case]:
    elsewhere = replace(PLAIN, amount=PRICE - 1)
    nothing = {"silent": {"recorded": False}}
    return [
        refused("no metadata", given(PLAIN, request(PLAIN, drop=(0,)), NOW), "BR1"),
        refused("no payer id", given(PLAIN, request(PLAIN, drop=(88,)), NOW), "BR2"),
        refused("a field beyond the ranges", given(PLAIN, request(PLAIN, extra={3_000_000_001: b"x"}), NOW), "BR3"),
        refused("an unknown even feature", given(PLAIN, request(PLAIN, extra=MARK_EVEN), NOW), "BR4"),
        case("an unknown odd feature", given(PLAIN, request(PLAIN, extra=FEATURE), NOW),
             invoiced(PRICE, NOW, NOW + EXPIRY)),
        refused("a quantity where the offer sells one", given(PLAIN, request(PLAIN, quantity=1), NOW), "BR7"),
        refused("no quantity where the offer sells several", given(SEVERAL, request(SEVERAL), NOW), "BR7"),
        refused("more than the offer sells", given(SEVERAL, request(SEVERAL, quantity=11), NOW), "BR7"),
        refused("an unknown even field", given(PLAIN, request(PLAIN, extra={98: b"x"}), NOW), "BOLT 1"),
        refused("a counter with a leading zero byte", given(PLAIN, request(PLAIN, None, extra={92: b"\x00\x01"}), NOW),
                "BOLT 1"),
        refused("a start of five bytes", given(BASED, request(BASED, extra={93: b"\x01" * 5}), NOW), "BOLT 1"),
        refused("a cancel that carries something",
                given(PLAIN, request(PLAIN, 1, extra={94: b"\x01"}), NOW, paid(1)), "BOLT 1"),
        refused("a signature of another key", given(PLAIN, request(PLAIN, key=STRANGER), NOW), "BOLT 12 signature"),
        refused("a broken signature", given(PLAIN, broken_signature(request(PLAIN)), NOW), "BOLT 12 signature"),
        case("an offer that is not ours: another price", given(PLAIN, request(elsewhere), NOW), nothing,
             breaks="offer"),
        case("an offer that is not ours: another limit", given(PLAIN, request(PLAIN, extra={29: tu(99)}), NOW), nothing,
             breaks="offer"),
    ]  # fmt: skip
