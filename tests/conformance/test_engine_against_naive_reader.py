"""Random subscriptions, asked of the engine and of the naive reader: both must say the same, whatever comes.

The vectors are chosen, these are not: what nobody thought of turns up here. A failure names its seed.
"""

import random
from typing import Any

import pytest
from cases import build, payee, payer
from cases.build import NOW, Terms
from naive import rules

from lnrecur.cli.conformance import offer_warnings
from lnrecur.testing.conformance_judge import complaint
from lnrecur.testing.conformance_self import Ourselves

ROUNDS = 400
OURSELVES = Ourselves(offer_warnings)
SMALL = (0, 1, 2, 3, 4)
TIMES = (0, 1, 99, 100, 199, 200, 500, 999, 1000, 1001)


def _terms(chance: random.Random) -> Terms:
    based = chance.random() < 0.5
    return Terms(
        dialect=chance.choice((build.DRAFT, build.CLN)),
        unit=chance.choice((0, 0, 0, 1, 2)),
        period=chance.choice((1, 3, 1000, 1000)),
        recurring=chance.random() < 0.9,
        optional=not based and chance.random() < 0.3,
        base=NOW - chance.choice((0, 1000, 2500)) if based else None,
        proportional=chance.choice((0, 1)),
        window=chance.choice((None, (100, 200), (0, 0), (5000, 5000))),
        limit=chance.choice((None, None, 1, 3)),
        amount=chance.choice((None, 1, 10_000)),
        quantity_max=chance.choice((None, None, 0, 5)),
        expiry=chance.choice((None, None, NOW + 500)),
    )


def _payee_question(chance: random.Random) -> dict[str, Any]:
    offer = _terms(chance)
    counter = chance.choice((None, 0, 1, 2, 3)) if chance.random() < 0.9 else chance.choice((9, 2**32 - 1))
    start = chance.choice(SMALL) if (offer.base is not None) == (chance.random() < 0.9) else None
    payments = counter if counter in SMALL and counter is not None and chance.random() < 0.8 else chance.choice(SMALL)
    once = payments == 1 and counter is None
    asked = build.request(
        offer,
        counter,
        start=start,
        cancel=chance.random() < 0.2,
        quantity=chance.choice((None, 1, 6)) if offer.quantity_max is None else chance.choice((1, 2, 5)),
        amount=chance.choice((None, 0, 1, 9_999, 10_000, 60_000)),
        prev_state=chance.choice((None, None, b"state")),
    )
    history = payee.paid(
        payments,
        None if once else offer.base if offer.base is not None else NOW - chance.choice((0, 1000)),
        start if chance.random() < 0.9 else chance.choice((None, 0, 1)),
        one_off=once,
        cancelled=payments > 0 and chance.random() < 0.1,
    )
    policy = {**chance.choice((payee.STRICT, payee.LENIENT)), "payments_max": chance.choice((None, None, 2, 4))}
    return payee.given(offer, asked, NOW + 1000 * chance.choice((0, 0, 1, 2)) + chance.choice(TIMES), history, policy)


def _price_question(chance: random.Random) -> dict[str, Any]:
    return {
        "amount_msat": chance.choice((1, 7, 10_000, chance.randrange(2**60))),
        "proportional_amount": chance.choice((0, 1, 1)),
        "basetime": chance.randrange(2**33),
        "time_unit": chance.choice((0, 1, 2)),
        "period": chance.randint(1, 10_000),
        "n": chance.randrange(200),
        "now": chance.randrange(2**34),
    }


def _window_question(chance: random.Random) -> dict[str, Any]:
    told = {"seconds_before": chance.randrange(2**32), "seconds_after": chance.randrange(2**32)}
    return {
        "basetime": chance.choice((chance.randrange(2**33), chance.randrange(2**64))),
        "time_unit": chance.choice((0, 1, 2)),
        "period": chance.choice((1, 12, chance.randint(1, 2**32 - 1))),
        "n": chance.choice((0, 1, 13, chance.randrange(2**33))),
        "paywindow": chance.choice((None, told)),
    }


def _payer_question(chance: random.Random) -> dict[str, Any]:
    base = chance.choice((None, NOW - 1500))
    offer = Terms(dialect=chance.choice((build.DRAFT, build.CLN)), base=base, amount=chance.choice((None, 10_000)))
    counter = chance.choice((0, 0, 1, 2))
    asked = build.request(offer, counter, start=None if base is None else chance.choice((0, 1)),
                          amount=chance.choice((None, 10_000)))  # fmt: skip
    created_at = NOW - chance.choice((0, 5, 3600, 3601))
    basetime = base if base is not None else NOW - 1000 if counter else created_at
    signer = build.MERCHANT if chance.random() < 0.9 else build.STRANGER
    answer = build.invoice(
        asked,
        created_at=created_at,
        basetime=chance.choice((basetime, basetime, basetime, None, created_at, NOW)),
        amount=chance.choice((10_000, 10_000, 9_999)),
        dialect=offer.dialect,
        node=signer,
        key=chance.choice((signer, signer, signer, build.PAYER)),
        extra=chance.choice(({}, {}, {}, {10: b"changed"}, {101: b"added"}, {174: b"\x01"}, {170: b""})),
        drop=chance.choice(((), (), (), (168,), (8,), (0,))),
    )
    paid = basetime if counter else None
    return payer.given(asked, answer, NOW, paid, counter) | {"asked_at": NOW - 3600}


def test_the_payer_pays_what_the_naive_reader_would() -> None:
    seen: set[str] = set()
    for at in range(ROUNDS):
        question = _payer_question(random.Random(f"payer {at}"))
        broken, wanted = rules.payer(question)
        answer = OURSELVES.answer({"id": str(at), "op": "payer", **question})
        seen |= broken or {"paid"}
        if broken:
            assert answer.get("refused") in broken, (at, question, broken, answer)
        elif not wanted["pay"]["amount_msat"]:  # no rule forbids an invoice for nothing, and no node can pay one
            assert answer["refused"] is True
        else:
            assert complaint(question, wanted, answer) is None, (at, question, wanted, answer)
    assert seen >= {"paid", "V1", "V4", "V5", "V6", "V7", "BI3", "BI5", "BI11", "BI13", "BOLT 12 signature"}


@pytest.mark.parametrize("seed", range(3))
def test_the_payee_answers_as_the_naive_reader_would(seed: int) -> None:
    seen: set[str] = set()
    for at in range(ROUNDS):
        question = _payee_question(random.Random(f"payee {seed} {at}"))
        broken, wanted = rules.payee(question)
        answer = OURSELVES.answer({"id": str(at), "op": "payee", **question})
        seen |= broken or {"answered"}
        if not broken:
            assert complaint(question, wanted, answer) is None, (seed, at, question, wanted, answer)
        elif "silent" in wanted:
            assert answer.get("silent") == {"recorded": False}, (seed, at, question, broken, answer)
        else:
            assert answer.get("refused") in broken, (seed, at, question, broken, answer)
    assert seen >= {"answered", "Q8", "Q10", "Q11", "Q12", "Q13", "Q14", "Q15", "Q16", "Q17", "Q20", "T10", "BR7"}


@pytest.mark.parametrize(("op", "make"), [("price", _price_question), ("pay_window", _window_question)])
def test_windows_and_prices_are_those_of_the_naive_reader(op: str, make: Any) -> None:
    naive = {"price": rules.price, "pay_window": rules.pay_window}[op]
    answered = 0
    for at in range(ROUNDS):
        question = make(random.Random(f"{op} {at}"))
        broken, wanted = naive(question)
        answer = OURSELVES.answer({"id": str(at), "op": op, **question})
        if broken:
            assert answer.get("refused") in broken, (at, question, broken, answer)
        else:
            answered += 1
            assert complaint(question, wanted, answer) is None, (at, question, wanted, answer)
    assert answered > ROUNDS // 4
