"""Offers that a reader must take and offers it must not respond to (O1 to O10, BOLT 12's own rules, dialects)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cases.build import CLN, DAY, DRAFT, NOW, U32, U64, Case, Fields, Terms, case, encode, number, path, refused, tu
from cases.build import MERCHANT as NODE
from cases.periods import DAYS, MONTHS

UNDERSTOOD = (
    ("compulsory", Terms(), ("O1",)),
    ("optional", Terms(optional=True), ("O1",)),
    ("the smallest period", Terms(period=1), ("O3", "O4")),
    ("the largest period", Terms(period=U32), ("O4",)),
    ("days", Terms(unit=DAYS, period=7), ("O3",)),
    ("months", Terms(unit=MONTHS, period=1), ("O3",)),
    ("a base", Terms(base=NOW), ("O2", "O10")),
    ("a base at the beginning of time", Terms(base=0), ("O2", "O10")),
    ("the latest base there is", Terms(base=U64), ("O10",)),
    ("a proportional base", Terms(base=NOW, proportional=1), ("O10",)),
    ("a paywindow", Terms(window=(100, 200)), ("O6",)),
    ("a paywindow without seconds after", Terms(window=(100, 0)), ("O6",)),
    ("the widest paywindow that is not too long", Terms(period=U32, window=(U32, U32)), ("O8",)),
    ("a paywindow as long as the period", Terms(window=(0, 1000)), ("O8",)),
    ("the smallest limit", Terms(limit=1), ("O5", "O11")),
    ("the largest limit", Terms(limit=U32), ("O5", "O11")),
    ("optional with paywindow and limit", Terms(optional=True, window=(9, 9), limit=12), ("O2", "O5", "O6")),
    ("everything at once", Terms(unit=DAYS, period=30, base=NOW, proportional=1, window=(DAY, DAY), limit=11), ()),
)
WARNED = (
    ("seconds_after is longer than the period: a writer should not, a reader accepts", Terms(window=(0, 1001))),
    ("a paywindow of more than a day after each day", Terms(unit=DAYS, period=1, window=(0, DAY + 1))),
    ("a paywindow longer than the longest month", Terms(unit=MONTHS, period=1, window=(0, 31 * DAY + 1))),
)
ONCE = (
    ("an offer without recurrence", Terms(recurring=False)),
    ("one of any amount", Terms(recurring=False, amount=None, drop=(10,))),
    ("one with a path instead of a node id", Terms(recurring=False, extra={16: path(NODE)}, drop=(22,))),
    ("an unknown odd field is kept", Terms(recurring=False, extra={77: b"kept"})),
    ("an unknown odd field of the experimental range is kept", Terms(recurring=False, extra={1_000_000_001: b"kept"})),
    ("an unknown odd feature", Terms(recurring=False, extra={12: b"\x02"})),
    ("a currency", Terms(recurring=False, extra={6: b"EUR"})),
    ("an offer that has expired can be read", Terms(recurring=False, expiry=1)),
)
BASE, WINDOW, LIMIT = 26, 27, 29
RECURRENCE_BROKEN: tuple[tuple[str, Terms, Fields, str], ...] = (
    ("compulsory and optional", Terms(), {25: b"\x00" + tu(1000)}, "O1"),
    ("compulsory and optional, with a limit", Terms(limit=5), {25: b"\x01" + tu(1)}, "O1"),
    ("optional with a base", Terms(optional=True), {BASE: b"\x00" + tu(NOW)}, "O2"),
    ("optional with a base and a paywindow", Terms(optional=True, window=(5, 5)), {BASE: b"\x01" + tu(NOW)}, "O2"),
    ("time_unit 3", Terms(unit=3), {}, "O3"),
    ("time_unit 255, optional", Terms(unit=255, optional=True), {}, "O3"),
    ("a period of 0 seconds", Terms(period=0), {}, "O4"),
    ("a period of 0 months, optional", Terms(unit=MONTHS, period=0, optional=True), {}, "O4"),
    ("a limit of 0", Terms(limit=0), {}, "O5"),
    ("a limit of 0 with a base", Terms(limit=0, base=NOW), {}, "O5"),
    ("a base without a recurrence", Terms(recurring=False), {BASE: b"\x00" + tu(NOW)}, "O6"),
    ("a paywindow without a recurrence", Terms(recurring=False), {WINDOW: bytes(4)}, "O6"),
    ("a limit without a recurrence", Terms(recurring=False), {LIMIT: tu(12)}, "O6"),
    ("proportional_amount 2", Terms(base=NOW, proportional=2), {}, "O10"),
    ("proportional_amount 255", Terms(base=NOW, proportional=255), {}, "O10"),
)
MALFORMED = (
    ("a recurrence without time_unit", {24: b""}),
    ("a period with a leading zero byte", {24: b"\x00\x00\x01"}),
    ("a period of five bytes", {24: b"\x00\x01\x00\x00\x00\x00"}),
    ("a base without proportional_amount", {26: b""}),
    ("a basetime with a leading zero byte", {26: b"\x00\x00\x01"}),
    ("a basetime of nine bytes", {26: b"\x00" + b"\x01" * 9}),
    ("a paywindow of three bytes", {27: bytes(3)}),
    ("seconds_after as a u32 with a leading zero byte (LDK's deviation)", {27: bytes(4) + b"\x00\x00\x02\x58"}),
    ("seconds_after of five bytes", {27: bytes(4) + b"\x01" * 5}),
    ("a limit with a leading zero byte", {29: b"\x00\x05"}),
    ("a limit of five bytes", {29: b"\x01" * 5}),
)
PLAIN_BROKEN: tuple[tuple[str, Fields, tuple[int, ...], str], ...] = (
    ("a field beyond the ranges of an offer", {81: b"far"}, (), "BO1"),
    ("a field of the invoice request's billion", {2_000_000_001: b"far"}, (), "BO1"),
    ("an unknown even feature", {12: b"\x01"}, (), "BO2"),
    ("an unknown even feature behind an odd one", {12: b"\x04\x02"}, (), "BO2"),
    ("no chain in offer_chains", {2: b""}, (), "BO3"),
    ("an amount without a description", {}, (10,), "BO4"),
    ("a currency without an amount", {6: b"EUR"}, (8,), "BO5"),
    ("nobody to ask", {}, (22,), "BO6"),
    ("a path without hops", {16: path()}, (), "BO7"),
    ("an amount of 0", {8: b""}, (), "BO8"),
    ("a currency in small letters", {6: b"eur"}, (), "BO9"),
    ("a currency of four letters", {6: b"EURO"}, (), "BO9"),
    ("no path in offer_paths", {16: b""}, (), "BO10"),
    ("an unknown even field", {78: b"?"}, (), "BOLT 1"),
    ("an unknown even field of the experimental range", {1_500_000_000: b"?"}, (), "BOLT 1"),
    ("an issuer id that is no point", {22: b"\x02" + b"\xff" * 32}, (), "BOLT 1"),
    ("a description that is no UTF-8", {10: b"\xff\xfe"}, (), "BOLT 1"),
)


def offer_cases() -> list[Case]:
    """Both dialects, their mixtures, and offers that do not recur."""
    found = []
    for dialect in (DRAFT, CLN):
        for comment, terms, shows in UNDERSTOOD:
            found.append(_understood(f"{comment} ({dialect})", replace(terms, dialect=dialect), shows))
        for comment, terms in WARNED:
            found.append(_understood(f"{comment} ({dialect})", replace(terms, dialect=dialect), ("O8",), ["O8"]))
        for comment, terms, extra, rule in RECURRENCE_BROKEN:
            numbered = {number(at, dialect): value for at, value in extra.items()}
            given = {"offer": replace(terms, dialect=dialect, extra=numbered).hex()}
            found.append(refused(f"{comment} ({dialect})", given, rule, "O9"))
        for comment, extra in MALFORMED:
            numbered = {number(at, dialect): value for at, value in extra.items()}
            given = {"offer": Terms(dialect=dialect, extra=numbered).hex()}
            found.append(refused(f"{comment} ({dialect})", given, "BOLT 1", "O9"))
    found += [_understood(comment, terms, ()) for comment, terms in ONCE]
    for comment, extra, drop, rule in PLAIN_BROKEN:
        found.append(refused(comment, {"offer": Terms(recurring=False, extra=extra, drop=drop).hex()}, rule))
    return found + _mixtures() + _streams()


def _understood(comment: str, terms: Terms, shows: tuple[str, ...], warnings: list[str] | None = None) -> Case:
    told: dict[str, Any] = {
        "dialect": terms.dialect if terms.recurring else None,
        "recurrence": _recurrence(terms) if terms.recurring else None,
        "warnings": warnings or [],
    }
    return case(comment, {"offer": terms.hex()}, {"accepted": told}, *shows)


def _recurrence(terms: Terms) -> dict[str, Any]:
    window = terms.window
    return {
        "optional": terms.optional,
        "time_unit": terms.unit,
        "period": terms.period,
        "basetime": terms.base,
        "proportional_amount": None if terms.base is None else terms.proportional,
        "paywindow": None if window is None else {"seconds_before": window[0], "seconds_after": window[1]},
        "limit": terms.limit,
    }


def _mixtures() -> list[Case]:
    pieces = {BASE: b"\x00" + tu(NOW), WINDOW: bytes(4) + tu(60), LIMIT: tu(5)}
    found = []
    for dialect, other in ((DRAFT, CLN), (CLN, DRAFT)):
        for at, value in pieces.items():
            terms = Terms(dialect=dialect, extra={number(at, other): value})
            given = {"offer": terms.hex()}
            found.append(refused(f"a {dialect} recurrence with field {at} in the {other} dialect", given, "D1"))
    return found


def _streams() -> list[Case]:
    fields = Terms().fields()
    data = bytes.fromhex(encode(fields))
    swapped = encode({24: fields[24]}) + encode({22: fields[22]})
    told = (
        ("a stream that ends within a value", data[:-1].hex()),
        ("a stream that ends behind a type", data.hex() + "4d"),
        ("fields out of order", encode({at: v for at, v in fields.items() if at < 22}) + swapped),
        ("a field twice", data.hex() + encode({24: fields[24]})),
        ("a type that is not in its shortest form", data.hex() + "fd004d0161"),
    )
    return [refused(comment, {"offer": offer}, "BOLT 1") for comment, offer in told]
