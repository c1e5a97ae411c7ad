"""Mutations that know TLV records and the text form, so that deep code is reached: lengths and base 32 stay right.

A third of the time, and for whatever is no stream, libFuzzer mutates bytes as it likes.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from lnrecur.bolt12 import Invoice
from lnrecur.bolt12.invoice_error import InvoiceError
from lnrecur.errors import LnrecurError
from lnrecur.wire.text import decode_text, encode_text
from lnrecur.wire.tlv import TlvRecord, TlvStream

Mutate = Callable[[bytes, int], bytes]

NUMBERS = sorted({*Invoice.TABLE, *InvoiceError.TABLE, 7, 79, 81, 161, 239, 241, 1000, 1001, 1_999_999_999, 2**64 - 1})


def mutated(data: bytes, size_max: int, seed: int, mutate: Mutate) -> bytes:
    """Another input made of `data`, at most `size_max` bytes; `mutate` is libFuzzer's own mutation."""
    chance = random.Random(seed)  # noqa: S311 - the same seed is the same mutation
    if chance.random() < 0.33:
        return mutate(data, size_max)
    if data[:2] in (b"ln", b"LN"):
        try:
            prefix, message = decode_text(data.decode())
        except (LnrecurError, UnicodeDecodeError):
            return mutate(data, size_max)
        text = encode_text(prefix, mutated(message, size_max * 5 // 8 - 8, chance.getrandbits(32), mutate))
        if chance.random() < 0.2:
            place = chance.randrange(1, len(text))
            text = text[:place] + "+" + chance.choice(["", " ", "\r\n"]) + text[place:]
        return text.encode()[:size_max]
    try:
        records = list(TlvStream.from_bytes(data))
    except LnrecurError:
        return mutate(data, size_max)
    _change(records, size_max, chance, mutate)
    return b"".join(record.raw for record in records)[:size_max]


def _change(records: list[TlvRecord], size_max: int, chance: random.Random, mutate: Mutate) -> None:
    what = chance.random()
    if not records or what < 0.2:
        value = chance.choice(records).value if records and chance.random() < 0.5 else mutate(b"\0", 40)
        records.append(TlvRecord.of(chance.choice(NUMBERS), value))
    else:
        at = chance.randrange(len(records))
        if what < 0.3:
            del records[at]
        elif what < 0.45:
            records[at] = TlvRecord.of(chance.choice(NUMBERS), records[at].value)
        else:
            records[at] = TlvRecord.of(records[at].type, mutate(records[at].value, min(size_max, 400)))
    if chance.random() < 0.95:  # else the order, or a double, is part of the test
        kept = {record.type: record for record in records}
        records[:] = [kept[number] for number in sorted(kept)]
