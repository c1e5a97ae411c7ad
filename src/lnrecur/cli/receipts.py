"""What a line of the books says was paid."""

from __future__ import annotations

from typing import Any

from lnrecur.recurrence.words import amount_in_words, price_in_words


def paid_in_words(paid: dict[str, Any]) -> str:
    """A booked amount, with the price it was converted from where it was priced in a currency."""
    amount, conversion = amount_in_words(paid["amount_msat"]), paid["conversion"]
    if conversion is None:
        return amount
    return f"{amount} ({price_in_words(conversion['amount_minor'], conversion['currency'])})"
