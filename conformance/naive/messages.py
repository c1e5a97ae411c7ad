"""Messages: which field has which number and form, and what a message alone can break (O, BO, BR and BI)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lnrecur.crypto import schnorr
from lnrecur.crypto.errors import CryptoError
from naive import wire
from naive.wire import Malformed, Record, truncated

DRAFT_OFFER = {24: "compulsory", 25: "optional", 26: "base", 27: "paywindow", 29: "limit"}
DRAFT_REQUEST = {92: "counter", 93: "start", 94: "cancel"}
DRAFT_INVOICE = {177: "basetime"}
NAME_CHARACTERS = set(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


def _tu(size: int) -> Callable[[bytes], int]:
    return lambda data: truncated(data, size)


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(str(error)) from error


def _sized(size: int) -> Callable[[bytes], bytes]:
    def read(data: bytes) -> bytes:
        if len(data) != size:
            raise Malformed(f"{size} bytes")
        return data

    return read


def _chains(data: bytes) -> list[bytes]:
    if len(data) % 32:
        raise Malformed("32 bytes each")
    return [data[at : at + 32] for at in range(0, len(data), 32)]


def _recurrence(data: bytes) -> tuple[int, int]:
    return wire.take(data, 0, 1)[0], truncated(data[1:], 4)


def _base(data: bytes) -> tuple[int, int]:
    return wire.take(data, 0, 1)[0], truncated(data[1:], 8)


def _paywindow(data: bytes) -> tuple[int, int]:
    return int.from_bytes(wire.take(data, 0, 4), "big"), truncated(data[4:], 4)


def _bip353(data: bytes) -> bytes:
    first = wire.take(data, 0, 1)[0]
    name = wire.take(data, 1, first)
    second = wire.take(data, 1 + first, 1)[0]
    domain = wire.take(data, 2 + first, second)
    if len(data) != 2 + first + second:
        raise Malformed("too long")
    return name + domain


RECURRENCE_FORMS: dict[str, Callable[[bytes], Any]] = {
    "compulsory": _recurrence, "optional": _recurrence, "base": _base, "paywindow": _paywindow, "limit": _tu(4),
    "counter": _tu(4), "start": _tu(4), "cancel": _sized(0), "basetime": _tu(8),
}  # fmt: skip
OFFER: dict[int, tuple[str, Callable[[bytes], Any]]] = {
    2: ("chains", _chains), 4: ("metadata", bytes), 6: ("currency", _text), 8: ("amount", _tu(8)),
    10: ("description", _text), 12: ("offer_features", bytes), 14: ("expiry", _tu(8)), 16: ("offer_paths", wire.paths),
    18: ("issuer", _text), 20: ("quantity_max", _tu(8)), 22: ("issuer_id", wire.point),
}  # fmt: skip
REQUEST: dict[int, tuple[str, Callable[[bytes], Any]]] = {
    0: ("invreq_metadata", bytes), 80: ("invreq_chain", _sized(32)), 82: ("invreq_amount", _tu(8)),
    84: ("invreq_features", bytes), 86: ("quantity", _tu(8)), 88: ("payer_id", wire.point), 89: ("payer_note", _text),
    90: ("invreq_paths", wire.paths), 91: ("bip_353_name", _bip353), 95: ("prev_state", bytes),
    240: ("signature", _sized(64)),
}  # fmt: skip
INVOICE: dict[int, tuple[str, Callable[[bytes], Any]]] = {
    160: ("invoice_paths", wire.paths), 162: ("blindedpay", wire.payinfos), 164: ("created_at", _tu(8)),
    166: ("relative_expiry", _tu(4)), 168: ("payment_hash", _sized(32)), 170: ("invoice_amount", _tu(8)),
    172: ("fallbacks", bytes), 174: ("invoice_features", bytes), 176: ("node_id", wire.point),
    179: ("next_state", bytes),
}  # fmt: skip

OFFER_TYPES = ((1, 79), (1_000_000_000, 1_999_999_999))
REQUEST_TYPES = ((0, 159), (1_000_000_000, 2_999_999_999))


def within(number: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(low <= number <= high for low, high in ranges)


class Message:
    """What was read: records, values of fields that could be read, names of fields that are there, broken rules."""

    def __init__(self, kind: str, text: str) -> None:
        self.kind = kind
        self.records: list[Record] = []
        self.values: dict[str, Any] = {}
        self.present: set[str] = set()
        self.dialects: set[str] = set()
        self.broken: set[str] = set()
        try:
            self.records = wire.read_stream(bytes.fromhex(text))
        except Malformed:
            self.broken.add("BOLT 1")
            return
        for record in self.records:
            self._read(record)
        if len(self.dialects) > 1:
            self.broken.add("D1")

    def _read(self, record: Record) -> None:
        known = dict(OFFER)
        drafted = dict(DRAFT_OFFER)
        if self.kind != "offer":
            known |= REQUEST
            drafted |= DRAFT_REQUEST
        if self.kind == "invoice":
            known |= INVOICE
            drafted |= DRAFT_INVOICE
        name, form = known.get(record.type, (None, bytes))
        for number, field in drafted.items():
            billion = 1_000_000_000 if number < 80 else 2_000_000_000 if number < 160 else 3_000_000_000
            for dialect, numbered in (("draft", number), ("cln", billion + number)):
                if record.type == numbered:
                    name, form = field, RECURRENCE_FORMS[field]
                    self.dialects.add(dialect)
        if name is None:
            if record.type % 2 == 0:
                self.broken.add("BOLT 1")
            return
        self.present.add(name)
        try:
            self.values[name] = form(record.value)
        except Malformed:
            self.broken.add("BOLT 1")

    def get(self, name: str) -> Any:
        return self.values.get(name)

    def part(self, ranges: tuple[tuple[int, int], ...]) -> list[bytes]:
        """The records of some ranges, as they are."""
        return [record.raw for record in self.records if within(record.type, ranges)]

    def recurrence(self) -> tuple[int, int] | None:
        """time_unit and period."""
        found: tuple[int, int] | None = self.get("compulsory") or self.get("optional")
        return found

    def check_signature(self, key: bytes | None) -> None:
        """Broken unless `key` signed it; a message without that key cannot be asked."""
        if key is None or not self.records:
            return
        name = "invoice_request" if self.kind == "request" else "invoice"
        digest = wire.tagged(f"lightning{name}signature".encode(), wire.merkle_root(self.records))
        try:
            schnorr.verify(digest, key, self.get("signature") or b"")
        except CryptoError:
            self.broken.add("BOLT 12 signature")


def read_offer(text: str) -> Message:
    """O1 to O6, O10 and the MUSTs of a reader of offers."""
    offer = Message("offer", text)
    has, broken = offer.present, offer.broken
    check_recurrence(offer)
    if not offer.records:
        return offer
    if any(not within(record.type, OFFER_TYPES) for record in offer.records):
        broken.add("BO1")
    if wire.even_bit(offer.get("offer_features") or b""):
        broken.add("BO2")
    if offer.get("chains") == []:
        broken.add("BO3")
    if "amount" in has and "description" not in has:
        broken.add("BO4")
    if "currency" in has and "amount" not in has:
        broken.add("BO5")
    if "issuer_id" not in has and "offer_paths" not in has:
        broken.add("BO6")
    if any(not hops for hops in offer.get("offer_paths") or []):
        broken.add("BO7")
    if offer.get("amount") == 0:
        broken.add("BO8")
    currency = offer.get("currency")
    if currency is not None and not (len(currency) == 3 and all("A" <= letter <= "Z" for letter in currency)):
        broken.add("BO9")
    if offer.get("offer_paths") == []:
        broken.add("BO10")
    return offer


def check_recurrence(offer: Message) -> None:
    has, broken = offer.present, offer.broken
    if "compulsory" in has and "optional" in has:
        broken.add("O1")
    if "optional" in has and "base" in has:
        broken.add("O2")
    for name in ("compulsory", "optional"):
        if name in offer.values:
            unit, period = offer.values[name]
            if unit > 2:
                broken.add("O3")
            if period == 0:
                broken.add("O4")
    if offer.get("limit") == 0:
        broken.add("O5")
    if has & {"base", "paywindow", "limit"} and not has & {"compulsory", "optional"}:
        broken.add("O6")
    if offer.get("base") is not None and offer.get("base")[0] > 1:
        broken.add("O10")


def read_request(text: str) -> Message:
    """BR1 to BR6 and the signature."""
    request = Message("request", text)
    has, broken = request.present, request.broken
    if "invreq_metadata" not in has:
        broken.add("BR1")
    if "payer_id" not in has:
        broken.add("BR2")
    for record in request.records:
        if not within(record.type, (*REQUEST_TYPES, (240, 1000))):
            broken.add("BR3")
    if wire.even_bit(request.get("invreq_features") or b""):
        broken.add("BR4")
    if any(not hops for hops in request.get("invreq_paths") or []):
        broken.add("BR5")
    if set(request.get("bip_353_name") or b"") - NAME_CHARACTERS:
        broken.add("BR6")
    check_recurrence(request)
    request.check_signature(request.get("payer_id"))
    return request


def read_invoice(text: str) -> Message:
    """BI1 to BI10, BI12 and the signature."""
    invoice = Message("invoice", text)
    has, broken = invoice.present, invoice.broken
    needed = {"BI1": "invoice_amount", "BI2": "created_at", "BI3": "payment_hash", "BI4": "node_id",
              "BI6": "invoice_paths", "BI9": "blindedpay"}  # fmt: skip
    for rule, name in needed.items():
        if name not in has:
            broken.add(rule)
    if wire.even_bit(invoice.get("invoice_features") or b"", known=(16,)):
        broken.add("BI5")
    paths, infos = invoice.get("invoice_paths"), invoice.get("blindedpay")
    if paths == []:
        broken.add("BI7")
    if any(not hops for hops in paths or []):
        broken.add("BI8")
    if paths is not None and infos is not None:
        if len(paths) != len(infos):
            broken.add("BI10")
        if infos and all(wire.even_bit(features) for features in infos):
            broken.add("BI12")
    check_recurrence(invoice)
    invoice.check_signature(invoice.get("node_id"))
    return invoice
