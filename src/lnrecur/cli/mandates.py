"""A mandate as the API tells it: read, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from lnrecur.cli.moments import local_time
from lnrecur.cli.output import local_moment
from lnrecur.recurrence.mandate import FiatLimit, Mandate
from lnrecur.recurrence.words import amount_in_words, share_in_words
from lnrecur.values import Msat, UnixSeconds

_FAR: Final = 2**63 - 1
"""For moments beyond the year 9999, which no calendar of this machine knows: as good as never."""


def mandate_of(told: Mapping[str, Any]) -> Mandate:
    """The mandate that the API tells of; its end may be in unix seconds, as the API takes it."""
    fiat, total = told["fiat"], told["max_total_msat"]
    return Mandate(
        max_per_period_msat=_msat(told["max_per_period_msat"]),
        max_total_msat=_msat(total),
        max_payments=told["max_payments"],
        ends_at=None if told["ends_at"] is None else _moment(told["ends_at"]),
        fee_base_msat=Msat(told["fee_base_msat"]),
        fee_ppm=told["fee_ppm"],
        purpose=told["purpose"],
        fiat=None if fiat is None else _fiat(fiat),
        fee_max_msat=_msat(told["fee_max_msat"]),
        catch_up_max=told["catch_up_max"],
    )


def mandate_in_words(told: Mapping[str, Any]) -> str:
    """Such as "at most 1,000 sat per period, 5,000 sat in all, 7 payments, routing fees up to 10 sat and 1 % each"."""
    mandate = mandate_of(told)
    limits = [f"at most {mandate.per_period_in_words()} per period"]
    if mandate.fiat is not None and mandate.fiat.total_minor is not None:
        limits.append(f"{mandate.fiat.total_in_words()} in all")
    if mandate.max_total_msat is not None:
        limits.append(f"{amount_in_words(mandate.max_total_msat)} in all")
    if mandate.max_payments is not None:
        limits.append(times(mandate.max_payments))
    if told["ends_at"] is not None:
        said = told["ends_at"]
        limits.append(f"until {local_moment(said) if isinstance(said, int) else local_time(said)}")
    fees = f"{amount_in_words(mandate.fee_base_msat)} and {share_in_words(mandate.fee_ppm)}"
    most = "" if mandate.fee_max_msat is None else f", never more than {amount_in_words(mandate.fee_max_msat)}"
    return ", ".join([*limits, f"routing fees up to {fees} of each{most}"])


def times(count: int) -> str:
    """Such as "1 payment" or "1,200 payments"."""
    return "1 payment" if count == 1 else f"{count:,} payments"


def _fiat(told: Mapping[str, Any]) -> FiatLimit:
    return FiatLimit(told["currency"], told["max_per_period_minor"], told["slippage_ppm"], told["max_total_minor"])


def _msat(amount: int | None) -> Msat | None:
    return None if amount is None else Msat(amount)


def _moment(said: str | int) -> UnixSeconds:
    if isinstance(said, int):
        return UnixSeconds(said)
    try:
        return UnixSeconds(int(datetime.fromisoformat(said).timestamp()))
    except ValueError:
        return UnixSeconds(_FAR)
