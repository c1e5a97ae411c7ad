"""The model of Core Lightning's issuer, held to every recorded request: its verdict is the recorded one, to a word."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from helpers.cln_issuer import ClnIssuer, Label, Refused, Stored
from lnrecur.bolt12 import Invoice, InvoiceRequest, Offer
from lnrecur.crypto.hashes import sha256
from lnrecur.values import Msat
from vectors.recorded import FILES, RATES, Exchange, Paid, Verdict, events, recorded_verdict, steps


def replayed(file: str) -> Iterator[tuple[Exchange, Verdict]]:
    """Every request that reached Core Lightning, with the verdict of the model, whose past is the recorded one."""
    issuer, labels = ClnIssuer(rates=RATES), {}
    told = [(number, event) for number, event in _numbered(file)]
    for number, step in enumerate(steps(file)):
        _own(issuer, step)
        for event in (event for at, event in told if at == number):
            if isinstance(event, Paid):
                if (label := labels.get(sha256(event.preimage))) is not None:
                    issuer.paid(label)
                continue
            if event.by == "script":
                continue
            yield event, _verdict(issuer, event)
            if event.invoice is not None:
                invoice = Invoice.from_bytes(event.invoice)
                labels[invoice.payment_hash] = Label(invoice.offer_id, invoice.payer_id, invoice.counter or 0)


def _numbered(file: str) -> Iterator[tuple[int, Exchange | Paid]]:
    """Events with the number of their step. A payment has none of its own: it is the next step that paid."""
    paying = (number for number, step in enumerate(steps(file))
              if step.get("method") in ("pay", "xpay") and "result" in step)  # fmt: skip
    for event in events(file):
        yield (next(paying) if isinstance(event, Paid) else event.step), event


def _own(issuer: ClnIssuer, step: dict[str, Any]) -> None:
    """What the issuer's owner did, and offers that were only noted down."""
    if step.get("method") in ("offer", "createoffer") and "result" in step:
        offer = Offer.from_text(step["result"]["bolt12"])
        issuer.publish(offer.offer_id, single_use=bool(step["params"].get("single_use")))
    elif step.get("method") == "disableoffer":
        issuer.disable(bytes.fromhex(step["params"]["offer_id"]))
    elif "method" not in step and "offer" in step:
        issuer.publish(bytes.fromhex(step["offer"]["offer_id"]))


def _verdict(issuer: ClnIssuer, event: Exchange) -> Verdict:
    answer = issuer.asked(event.request, event.at)
    if answer is None:
        return Verdict("silence")
    if isinstance(answer, Refused):
        return Verdict("refusal", answer.text)
    asked = InvoiceRequest.from_bytes(event.request).request_records()
    mirrored = "this request" if answer.request.request_records() == asked else "another request"
    return Verdict("invoice", "", mirrored, Msat(answer.amount_msat), answer.basetime, answer.expires_at)


REPLAYED = [pair for file in FILES for pair in replayed(file)]


@pytest.mark.parametrize("pair", REPLAYED, ids=lambda pair: f"{pair[0].file.removesuffix('.json')}-{pair[0].step}")
def test_the_model_decides_as_the_recorded_node(pair: tuple[Exchange, Verdict]) -> None:
    exchange, verdict = pair
    assert verdict == recorded_verdict(exchange)


def test_every_request_that_reached_a_node_was_judged() -> None:
    kinds = Counter(verdict.kind for _, verdict in REPLAYED)
    assert kinds == {"invoice": 86, "refusal": 39, "silence": 6}
    assert {exchange.file for exchange, _ in REPLAYED} == set(FILES) - {"external_issuer_recurring.json"}


def test_an_invoice_of_the_model_has_a_status_as_long_as_it_is_known() -> None:
    stored = Stored(Label(b"o", b"p", 0), REPLAYED[0][0], 1, 10, 20, None)  # type: ignore[arg-type]
    assert [stored.status(now) for now in (10, 20, 21)] == ["unpaid", "unpaid", "expired"]
