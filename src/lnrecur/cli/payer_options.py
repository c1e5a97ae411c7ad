"""What a subscriber may say about limits and terms, in `subscribe` and again in `subscriptions amend`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click

from lnrecur.cli.amounts import AMOUNT, MOMENT, PERCENT, PRICE, RETRY, SECONDS, Price
from lnrecur.recurrence.mandate import SLIPPAGE_PPM, FiatLimit, Mandate

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])


class _Nothing:
    """What `none` says: no such limit any more."""


NOTHING: Final = _Nothing()


class OrNone(click.ParamType[Any]):
    """Another option type, or the word `none`."""

    def __init__(self, inner: click.ParamType[Any]) -> None:
        self._inner = inner
        self.name = f"{inner.name}|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """`NOTHING` for `none`, else what the other type makes of it."""
        if value is NOTHING or (isinstance(value, str) and value.strip().lower() == "none"):
            return NOTHING
        return self._inner.convert(value, param, ctx)


def limit_options(*, amending: bool) -> Callable[[AnyFunction], AnyFunction]:
    """The limits of a mandate; when amending, `none` takes one away."""

    def perhaps(kind: click.ParamType[Any]) -> click.ParamType[Any]:
        return OrNone(kind) if amending else kind

    count = click.IntRange(min=1)
    price = "" if amending else "  [default: the offer's price]"
    options = (
        click.option("--max-per-period", type=PRICE, metavar="AMOUNT",
                     help=f"Most to pay for one period: 1000sat, or 9.99EUR.{price}"),
        click.option("--slippage", type=PERCENT, metavar="PERCENT",
                     help="How much more than a limit in a currency may be paid, because rates differ.  [default: 5]"),
        click.option("--max-total", type=perhaps(PRICE), metavar="AMOUNT",
                     help="Most to pay in all: in sat, or in the currency of the limit per period."),
        click.option("--max-payments", type=perhaps(count), help="Most payments to make."),
        click.option("--until", type=perhaps(MOMENT), help="No payments from this moment on: RFC 3339 (in your own "
                     "zone where it names none), or unix seconds."),
        click.option("--max-fee", type=perhaps(AMOUNT), help="Most routing fees of a payment."),
        click.option("--fee-ppm", type=click.IntRange(min=0, max=2**32 - 1),
                     help="Routing fees of a payment: 10 sat and so many millionths of its amount.  [default: 10000]"),
        click.option("--catch-up-max", type=perhaps(click.IntRange(min=0)),
                     help="Most missed periods to catch up at once without asking.  [default: 10]"),
    )  # fmt: skip
    return _all(options)


def terms_options() -> Callable[[AnyFunction], AnyFunction]:
    """When to pay, and how often to try."""
    options = (
        click.option("--pay-at", type=click.Choice(["start", "earliest", "before-end"]),
                     help="Where in its pay window a period is paid.  [default: start]"),
        click.option("--margin", type=SECONDS, help="For --pay-at before-end: how long before the window closes."),
        click.option("--jitter", type=OrNone(SECONDS),
                     help="Ask up to this much later, so that not all payers knock at once; none: as usual.  "
                     "[default: up to 1h or a twentieth of the pay window]"),
        click.option("--ask-if-price-differs/--pay-if-price-differs", default=None,
                     help="About an invoice within the limits that asks for another amount than the price.  "
                     "[default: it is paid, and told]"),
        click.option("--give-up-after", type=OrNone(SECONDS),
                     help="How long to ask for the first invoice, before anything is paid; none: until the offer "
                     "expires.  [default: 1d]"),
        click.option("--request-retry", type=RETRY, metavar="POLICY",
                     help="How often to ask for an invoice, such as first=5s,factor=2,cap=15min,jitter=25,tries=10."),
        click.option("--payment-retry", type=RETRY, metavar="POLICY", help="How often to try a payment that failed."),
    )  # fmt: skip
    return _all(options)


def _all(options: tuple[Callable[[AnyFunction], AnyFunction], ...]) -> Callable[[AnyFunction], AnyFunction]:
    def decorate(command: AnyFunction) -> AnyFunction:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_TERMS: Final = {"margin": "margin_s", "jitter": "jitter_s", "request_retry": "request_retry",
                 "payment_retry": "payment_retry", "ask_if_price_differs": "ask_if_price_differs",
                 "give_up_after": "give_up_after_s"}  # fmt: skip


def terms_body(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What was said about terms, as the API wants it."""
    body = {field: _value(asked[name]) for name, field in _TERMS.items() if asked[name] is not None}
    if asked["pay_at"] is not None:
        body["pay_at"] = asked["pay_at"].replace("-", "_")
    return body


def mandate_body(mandate: Mandate) -> dict[str, Any]:
    """A whole mandate, as the API wants it."""
    return {
        "max_per_period_msat": mandate.max_per_period_msat,
        "fiat": None if mandate.fiat is None else fiat_body(mandate.fiat),
        "max_total_msat": mandate.max_total_msat,
        "max_payments": mandate.max_payments,
        "ends_at": mandate.ends_at,
        "fee_base_msat": mandate.fee_base_msat,
        "fee_ppm": mandate.fee_ppm,
        "fee_max_msat": mandate.fee_max_msat,
        "catch_up_max": mandate.catch_up_max,
        "purpose": mandate.purpose,
    }


def fiat_body(fiat: FiatLimit) -> dict[str, Any]:
    """A limit in a currency, as the API wants it."""
    return {
        "currency": fiat.currency,
        "max_per_period_minor": fiat.minor,
        "slippage_ppm": fiat.slippage_ppm,
        "max_total_minor": fiat.total_minor,
    }


def total_in(limit: Price, currency: str | None) -> int:
    """A total in the currency of the limit per period, in minor units.

    Raises:
        click.UsageError: it is in another one.
    """
    if limit.currency != currency:
        there = "in sat" if currency is None else f"in {currency}"
        raise click.UsageError(f"--max-total is in {limit.currency}, and the limit per period {there}: say both alike")
    return limit.amount


_LIMITS: Final = {"max_payments": "max_payments", "until": "ends_at",
                  "max_fee": "fee_max_msat", "fee_ppm": "fee_ppm", "catch_up_max": "catch_up_max"}  # fmt: skip


def limit_changes(asked: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """What was said about limits, as the API wants a change; `before` is the mandate as the API tells it.

    A limit per period takes the place of the one before, whatever that was in.
    """
    body = {field: _value(asked[name]) for name, field in _LIMITS.items() if asked[name] is not None}
    limit: Price | None = asked["max_per_period"]
    slippage = asked["slippage"]
    if limit is not None and limit.currency is None:
        body |= {"max_per_period_msat": limit.amount, "fiat": None}
    elif limit is not None:
        ppm = SLIPPAGE_PPM if slippage is None else slippage
        old = before["fiat"] or {}
        total = old.get("max_total_minor") if old.get("currency") == limit.currency else None
        fiat = FiatLimit(limit.currency or "", limit.amount, ppm, total)
        body |= {"max_per_period_msat": None, "fiat": fiat_body(fiat)}
    elif slippage is not None and before["fiat"] is not None:
        body["fiat"] = {**before["fiat"], "slippage_ppm": slippage}
    elif slippage is not None:
        raise click.UsageError("--slippage is for a limit in a currency, and this one is in sat")
    return {**body, **_total_changes(asked["max_total"], body.get("fiat", before["fiat"]))}


def _total_changes(total: Price | _Nothing | None, fiat: Mapping[str, Any] | None) -> dict[str, Any]:
    """What was said about the total; `fiat` is the limit in a currency that there will be."""
    if total is None:
        return {}
    if isinstance(total, _Nothing):
        gone = {} if fiat is None else {"fiat": {**fiat, "max_total_minor": None}}
        return {"max_total_msat": None, **gone}
    if total.currency is None:
        return {"max_total_msat": total.amount}
    minor = total_in(total, None if fiat is None else fiat["currency"])
    return {"fiat": {**(fiat or {}), "max_total_minor": minor}}


def _value(said: Any) -> Any:
    return None if said is NOTHING else said
