"""What must hold whatever bytes arrive. Plain Python: the fuzz targets and tests/property/test_hardness.py share it.

    1. Every input is read, or refused with a LnrecurError; nothing else ever leaves a decoder.
    2. What was read writes the very same bytes (or characters) again.

Beyond the two lines: an error fits in one line that may be shown and logged, and can be told to the peer as an
invoice_error; all that can be asked of a message that was read answers, or raises a LnrecurError.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from lnrecur.bolt12 import Invoice, InvoiceError, InvoiceRequest, Offer
from lnrecur.bolt12.errors import Bolt12Error
from lnrecur.bolt12.invoice_error import error_for, read_invoice_error
from lnrecur.errors import LnrecurError

Message = Offer | InvoiceRequest | Invoice | InvoiceError

ERROR_LENGTH_MAX = 600
"""Characters: however long the input, its refusal is a line."""


def check_offer(data: bytes) -> None:
    """1. Offer.from_bytes and .from_text read `data`, or raise a LnrecurError.

    2. An offer that was read has the bytes and the characters of `data`.
    """
    _check(Offer, data)


def check_invoice_request(data: bytes) -> None:
    """1. InvoiceRequest.from_bytes, .from_text and .verify_signature answer, or raise a LnrecurError.

    2. A request that was read or verified has the bytes and the characters of `data`.
    """
    _check(InvoiceRequest, data)


def check_invoice(data: bytes) -> None:
    """1. Invoice.from_bytes, .from_text and .verify_signature answer, or raise a LnrecurError.

    2. An invoice that was read has the bytes and the characters of `data`.
    """
    _check(Invoice, data)


def check_invoice_error(data: bytes) -> None:
    """1. InvoiceError.from_bytes, .from_text and read_invoice_error answer, or raise a LnrecurError.

    2. An invoice_error that was read has the bytes of `data`, in the plain form or in LDK's.
    """
    _check(InvoiceError, data)
    either = _read(read_invoice_error, data)
    if either is not None:
        assert data in (either.to_bytes(), either.to_ldk_bytes())


CHECKS: dict[str, Callable[[bytes], None]] = {
    "offer": check_offer,
    "invoice_request": check_invoice_request,
    "invoice": check_invoice,
    "invoice_error": check_invoice_error,
}
"""The targets."""


def _check(kind: type[Message], data: bytes) -> None:
    read = _read(kind.from_bytes, data)
    if read is not None:
        assert read.to_bytes() == data
        assert kind.from_text(read.to_text()) == read
        _use(read)
    text = data.decode("utf-8", errors="surrogateescape")
    told = _read(kind.from_text, text)
    if told is not None:
        assert told.to_text() == "".join(text.lower().replace("+", " ").split())
        assert kind.from_bytes(told.to_bytes()) == told
        _use(told)


def _read(read: Callable[[Any], Any], data: bytes | str) -> Any:
    try:
        return read(data)
    except LnrecurError as error:
        _check_error(error)
        return None


def _check_error(error: LnrecurError) -> None:
    told = str(error)
    assert told.isprintable(), told
    assert len(told) <= ERROR_LENGTH_MAX, len(told)
    assert all(isinstance(value, str | int) for value in error.details().values())
    if isinstance(error, Bolt12Error):
        answer = error_for(error)
        assert InvoiceError.from_bytes(answer.to_bytes()).text == told[:1000]


def _use(message: Message) -> None:
    """Touch all that can be asked of a message that was read."""
    repr(message)
    hash(message)
    if isinstance(message, InvoiceError):
        assert message.text.isprintable()
        message.ends_subscription, message.erroneous_field, message.suggested_value  # noqa: B018
        return
    assert message.accepted_chains
    assert len(message.offer_id) == 32
    with suppress(LnrecurError):  # a request or an invoice may mirror recurrence fields that break their rules
        message.recurrence  # noqa: B018
    if isinstance(message, InvoiceRequest | Invoice):
        message.period_index, message.is_cancel, message.chain, message.request_records()
        with suppress(LnrecurError):  # an invoice may mirror no request
            message.payer_id  # noqa: B018
    if isinstance(message, Invoice):
        assert message.payment_paths
        assert message.expires_at >= message.created_at
    if isinstance(message, InvoiceRequest | Invoice):
        try:
            verified = message.verify_signature()
        except LnrecurError as error:
            _check_error(error)
        else:
            assert verified is None or verified.to_bytes() == message.to_bytes()
