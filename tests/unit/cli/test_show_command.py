"""lnrecur subscriptions show: troubles that want different things done look different."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from helpers.cli_daemon import run
from helpers.engine import ENTROPY, KEYS, NOW, PRICE, PayerSide, an_offer, every
from lnrecur.bolt12.codecs import Paywindow
from lnrecur.bolt12.invoice_error import write_invoice_error
from lnrecur.cli import subscriptions
from lnrecur.cli.moments import local_time
from lnrecur.daemon.http.payer_shapes import outbound_shape
from lnrecur.recurrence.outbound_model import NodeSilent, PaymentFailed, RefusalArrived, Unreachable
from lnrecur.recurrence.words import rfc3339

WINDOW = every(100_000, paywindow=Paywindow(50_000, 50_000))
Trouble = Callable[[PayerSide], object]


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Callable[[PayerSide], dict[str, str]]:
    """What the command prints of a subscription, as name and value."""

    def shown(payer: PayerSide) -> dict[str, str]:
        told: dict[str, Any] = {**outbound_shape(payer.state, KEYS.payer_id), "book": [], "events": []}

        class Daemon:
            def __init__(self, _home: object) -> None: ...

            def get(self, _path: str) -> dict[str, Any]:
                return told

        monkeypatch.setattr(subscriptions, "Client", Daemon)
        result = run("subscriptions", "show", "00")
        assert result.exit_code == 0
        lines = (line.strip().partition("  ") for line in result.stdout.splitlines() if line.startswith("  "))
        return {name: value.strip() for name, _, value in lines}

    return shown


def requesting(periods: int) -> PayerSide:
    payer = PayerSide.paid(periods, an_offer(WINDOW))
    payer.wake()
    return payer


def failing(periods: int, reason: str) -> PayerSide:
    payer = requesting(periods)
    payer.receive(expiry=10**5)
    payer.step(PaymentFailed(payer.payment_hash, reason, True, ENTROPY))
    return payer


@pytest.mark.parametrize("periods", [0, 1])
def test_each_trouble_is_told_in_words_of_its_own(show: Callable[[PayerSide], dict[str, str]], periods: int) -> None:
    unreachable, silent, refused = requesting(periods), requesting(periods), requesting(periods)
    unreachable.step(Unreachable("no way to it: shop.example:9735: connection refused"))
    silent.receive()
    silent.step(NodeSilent(silent.payment_hash, "wallet locked"))
    refused.step(RefusalArrived(write_invoice_error("come back later").to_bytes(), ENTROPY))
    in_time = " before the pay window closes" if periods else ""
    told = {
        failing(periods, "insufficient_funds"): (
            f"payment failed (insufficient_funds): your node has less than 10 sat to send: put in funds{in_time}"
        ),
        failing(periods, "no_route"): (
            "payment failed (no_route): your node finds no route with enough capacity to the payee's node"
        ),
        failing(periods, "payee_unreachable"): (
            "payment failed (payee_unreachable): the payee's node did not take the payment: it may be offline"
        ),
        unreachable: "the payee cannot be reached: no way to it: shop.example:9735: connection refused",
        silent: "the money node cannot be asked: wallet locked",
        refused: "the payee refuses: come back later",
    }
    assert PRICE == 10_000
    assert {payer: show(payer)["problem"] for payer in told} == told


@pytest.mark.parametrize("reason", ["insufficient_funds", "no_route"])
def test_the_next_try_is_told_with_the_moment_at_which_it_is_given_up(
    show: Callable[[PayerSide], dict[str, str]], reason: str
) -> None:
    payer = failing(1, reason)
    told = show(payer)["next try"]
    assert payer.state.wake_at is not None
    again, closes = (local_time(rfc3339(moment)) for moment in (payer.state.wake_at, NOW + 150_000))
    assert told == f"payment no. 2 at {again}, given up at {closes}"


def test_what_waits_is_told_with_the_command_that_answers_it(show: Callable[[PayerSide], dict[str, str]]) -> None:
    payer = requesting(1)
    assert "answer" not in show(payer)
    payer.receive(amount=PRICE + 1)
    told = show(payer)
    assert told["waits for"] == "your approval of 10.001 sat"
    assert (
        told["answer"]
        == f"`lnrecur subscriptions approve {payer.state.recurrence_id.hex()[:12]}` shows all of it and asks"
    )


def test_a_first_request_is_told_with_the_moment_at_which_it_is_given_up(
    show: Callable[[PayerSide], dict[str, str]],
) -> None:
    told = show(requesting(0))["next try"]
    assert told.startswith("request no. 2 at ")
    assert told.endswith(f", given up at {local_time(rfc3339(NOW + 86_400))}")
