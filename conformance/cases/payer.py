"""What a payer pays and what it refuses (V1, V4 to V7, T7, and BOLT 12's own rules of invoices)."""

from __future__ import annotations

from typing import Any

from cases.build import (
    CLN,
    DRAFT,
    HOUR,
    MERCHANT,
    NOW,
    STRANGER,
    U64,
    Case,
    Fields,
    Terms,
    broken_signature,
    case,
    encode,
    invoice,
    number,
    path,
    payinfo,
    refused,
    request,
    tu,
)

PRICE = 10_000
PERIOD = 1000


def given(asked: Fields, answer: Fields, now: int, basetime: int | None = None, payments: int = 0) -> dict[str, Any]:
    """What a case hands over; the request was made 5 seconds ago."""
    return {
        "request": encode(asked),
        "paid": {"payments": payments, "basetime": basetime},
        "asked_at": now - 5,
        "invoice": encode(answer),
        "now": now,
    }


def pays(amount: int, basetime: int) -> dict[str, Any]:
    """The invoice may be paid; period 0 began at `basetime`."""
    return {"pay": {"amount_msat": amount, "basetime": basetime}}


def payer_cases() -> list[Case]:
    """First and later invoices in both dialects, and each way to be wrong."""
    found = []
    for dialect in (DRAFT, CLN):
        found += [*_basetimes(dialect), *_mirrors(dialect)]
    return found + _nodes() + _amounts() + _plain() + _beyond()


def _basetimes(dialect: str) -> list[Case]:
    told = f" ({dialect})"
    plain, based = Terms(dialect=dialect), Terms(dialect=dialect, base=NOW - 7000)
    first, later = request(plain), request(plain, 3)
    first_based, later_based = request(based, start=7), request(based, 2, start=5)
    at, other = NOW - 1, CLN if dialect == DRAFT else DRAFT

    def answer(asked: Fields, basetime: int | None, **more: Any) -> Fields:
        return invoice(asked, created_at=at, basetime=basetime, dialect=dialect, **more)

    started = NOW - 3 * PERIOD
    return [
        case("the first invoice: its creation is the start of period 0" + told, given(first, answer(first, at), NOW),
             pays(PRICE, at), "V1", "V4", "T1"),
        case("the first invoice with a base: the base" + told, given(first_based, answer(first_based, NOW - 7000), NOW),
             pays(PRICE, NOW - 7000), "V1", "V4", "T1"),
        case("a later invoice: the same start" + told, given(later, answer(later, started), NOW, started, 3),
             pays(PRICE, started), "V1", "V5"),
        case("a later invoice with a base" + told,
             given(later_based, answer(later_based, NOW - 7000), NOW, NOW - 7000, 2), pays(PRICE, NOW - 7000), "V5"),
        refused("the first invoice without a basetime" + told, given(first, answer(first, None), NOW), "V1"),
        refused("a later invoice without a basetime" + told, given(later, answer(later, None), NOW, started, 3), "V1"),
        refused("another basetime than its creation" + told, given(first, answer(first, at - 1), NOW), "V4", "T1"),
        refused("a basetime of its own in spite of a base" + told, given(first_based, answer(first_based, at), NOW),
                "V4", "T1"),
        refused("the period's start instead of the base" + told, given(first_based, answer(first_based, NOW), NOW),
                "V4"),
        refused("a later invoice with a later start" + told, given(later, answer(later, started + 1), NOW, started, 3),
                "V5"),
        refused("a later invoice anchored at itself" + told, given(later, answer(later, at), NOW, started, 3), "V5"),
        refused("a later invoice with another base" + told,
                given(later_based, answer(later_based, NOW), NOW, NOW - 7000, 2), "V5"),
        refused("a basetime in the other dialect" + told,
                given(first, invoice(first, created_at=at, basetime=at, dialect=other), NOW),
                "D1"),
    ]  # fmt: skip


def _mirrors(dialect: str) -> list[Case]:
    told = f" ({dialect})"
    plain = Terms(dialect=dialect, extra={77: b"odd"})
    asked = request(plain, 1, extra={101: b"odd too"})
    started, at = NOW - PERIOD, NOW - 1

    def answer(extra: Fields | None = None, drop: tuple[int, ...] = ()) -> dict[str, Any]:
        made = invoice(asked, created_at=at, basetime=started, dialect=dialect, extra=extra, drop=drop)
        return given(asked, made, NOW, started, 1)

    period, limit, counter = (number(draft, dialect) for draft in (24, 29, 92))
    return [
        case("unknown odd fields are mirrored too" + told, answer(), pays(PRICE, started), "V6"),
        refused("another counter" + told, answer({counter: tu(2)}), "V6"),
        refused("no counter" + told, answer(drop=(counter,)), "V6"),
        refused("another period" + told, answer({period: b"\x00" + tu(999)}), "V6"),
        refused("a limit nobody asked for" + told, answer({limit: tu(5)}), "V6"),
        refused("another price in the mirrored offer" + told, answer({8: tu(9_999)}), "V6"),
        refused("other metadata" + told, answer({0: b"other"}), "V6"),
        refused("an unknown odd field left out" + told, answer(drop=(101,)), "V6"),
        refused("an unknown odd field of the offer changed" + told, answer({77: b"ODD"}), "V6"),
        refused("another description" + told, answer({10: b"another"}), "V6"),
    ]


def _nodes() -> list[Case]:
    at = NOW - 1
    plain = Terms()
    asked = request(plain)
    blinded = Terms(extra={16: path(STRANGER, MERCHANT)}, drop=(22,))
    hidden = request(blinded)
    return [
        case("signed by the end of the offer's path",
             given(hidden, invoice(hidden, created_at=at, basetime=at), NOW), pays(PRICE, at), "V7"),
        refused("signed by another node",
                given(asked, invoice(asked, created_at=at, basetime=at, node=STRANGER), NOW), "V7"),
        refused("signed by the beginning of the offer's path",
                given(hidden, invoice(hidden, created_at=at, basetime=at, node=STRANGER), NOW), "V7"),
        refused("the right node id, the signature of another key",
                given(asked, invoice(asked, created_at=at, basetime=at, key=STRANGER), NOW), "BOLT 12 signature"),
        refused("a broken signature",
                given(asked, broken_signature(invoice(asked, created_at=at, basetime=at)), NOW), "BOLT 12 signature"),
    ]  # fmt: skip


def _amounts() -> list[Case]:
    at = NOW - 1
    plain, chosen = request(Terms()), request(Terms(amount=None), amount=5000)
    shared = request(Terms(base=NOW - 500, proportional=1), start=0)
    return [
        case("the amount the payer chose", given(chosen, invoice(chosen, created_at=at, basetime=at, amount=5000), NOW),
             pays(5000, at)),
        case("half the price for half a period",
             given(shared, invoice(shared, created_at=NOW, basetime=NOW - 500, amount=5000), NOW),
             pays(5000, NOW - 500), "T10", "V4"),
        refused("more than the payer chose",
                given(chosen, invoice(chosen, created_at=at, basetime=at, amount=5001), NOW), "BI11"),
        case("the last second of an invoice",
             given(plain, invoice(plain, created_at=NOW - HOUR, basetime=NOW - HOUR), NOW) | {"asked_at": NOW - HOUR},
             pays(PRICE, NOW - HOUR)),
        refused("the second after it",
                given(plain, invoice(plain, created_at=NOW - HOUR - 1, basetime=NOW - HOUR - 1), NOW)
                | {"asked_at": NOW - HOUR - 1}, "BI13"),
        case("two hours, where nothing is said",
             given(plain, invoice(plain, created_at=NOW - 7200, basetime=NOW - 7200, expiry=None), NOW)
             | {"asked_at": NOW - 7200}, pays(PRICE, NOW - 7200)),
        refused("two hours and a second",
                given(plain, invoice(plain, created_at=NOW - 7201, basetime=NOW - 7201, expiry=None), NOW)
                | {"asked_at": NOW - 7201}, "BI13"),
    ]  # fmt: skip


def _plain() -> list[Case]:
    asked = request(Terms())

    def answer(extra: Fields | None = None, drop: tuple[int, ...] = ()) -> dict[str, Any]:
        return given(asked, invoice(asked, created_at=NOW, basetime=NOW, extra=extra, drop=drop), NOW)

    return [
        refused("no amount", answer(drop=(170,)), "BI1"),
        refused("no payment hash", answer(drop=(168,)), "BI3"),
        refused("an unknown even feature", answer({174: b"\x01"}), "BI5"),
        case("MPP is understood", answer({174: b"\x02\x00\x00"}), pays(PRICE, NOW)),
        refused("no path in invoice_paths", answer({160: b"", 162: b""}), "BI7"),
        refused("a path without hops", answer({160: path()}), "BI8"),
        refused("two prices for one path", answer({162: payinfo() + payinfo()}), "BI10"),
        refused("only paths with unknown even features", answer({162: payinfo(b"\x01")}), "BI12"),
        case("one path with unknown even features of two", answer({160: path(MERCHANT) * 2,
             162: payinfo(b"\x01") + payinfo()}), pays(PRICE, NOW)),
        case("a state for the next request", answer({179: b"opaque"}), pays(PRICE, NOW)),
        refused("an unknown even field", answer({178: b"x"}), "BOLT 1"),
        refused("a basetime with a leading zero byte", answer({177: b"\x00" + tu(NOW)}), "BOLT 1"),
        refused("a payment hash of 31 bytes", answer({168: bytes(31)}), "BOLT 1"),
    ]  # fmt: skip


def _beyond() -> list[Case]:
    told = []
    for unit, counter in ((1, 2**32 - 1), (2, 2**31)):
        asked = request(Terms(unit=unit, period=2**32 - 1), counter)
        made = invoice(asked, created_at=NOW, basetime=NOW - 1)
        told.append(refused(f"a period beyond 64 bits of seconds, unit {unit}",
                            given(asked, made, NOW, NOW - 1, counter), "T7"))  # fmt: skip
    late = request(Terms(base=U64), 1, start=0)
    made = invoice(late, created_at=NOW, basetime=U64)
    return [*told, refused("the period after the last second", given(late, made, NOW, U64, 1), "T7")]
