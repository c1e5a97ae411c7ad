"""Subscriptions over the HTTP API: what can be subscribed to, cancelled and approved, and what cannot."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from helpers.api import NOW, PEER, Api, services_in_memory, serving
from helpers.engine import RECURRENCE_ID
from lnrecur.bolt12 import Offer, OfferTerms, Recurrence, TimeUnit
from lnrecur.bolt12.codecs import RecurrenceBase
from lnrecur.bolt12.offer import write_offer
from lnrecur.crypto.keys import PrivateKey
from lnrecur.ports import Change
from lnrecur.recurrence.inbound_model import Inbound
from lnrecur.recurrence.inbound_model import Phase as InboundPhase
from lnrecur.recurrence.outbound_model import Phase
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import BITCOIN, REGTEST, Msat, OfferId, UnixSeconds

MERCHANT = PrivateKey(b"\x61" * 32).point
DAY = 86_400
MANDATE = {"max_per_period_msat": 1_000_000}


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    clock = VirtualClock(NOW)
    with serving(services_in_memory(clock), clock) as served:
        yield served


def an_offer(recurrence: Recurrence | None, **changes: Any) -> str:
    terms: dict[str, Any] = {
        "description": "coffee",
        "amount": 1000,
        "chains": (REGTEST,),
        "issuer_id": MERCHANT,
        "recurrence": recurrence,
    }
    return write_offer(OfferTerms(**{**terms, **changes})).to_text()


def daily(**changes: Any) -> Recurrence:
    return Recurrence(**{"unit": TimeUnit.DAYS, "period": 1, **changes})


OFFER = an_offer(daily())


def retry(**changes: Any) -> dict[str, Any]:
    usual = {"first_delay_s": 5, "factor": 2, "jitter_percent": 25, "tries_max": None, "tries_max_unbounded": None}
    return {**usual, **changes}


def test_a_subscription_says_what_was_authorised(api: Api) -> None:
    mandate = {
        "max_per_period_msat": 5000,
        "max_total_msat": 50_000,
        "max_payments": 9,
        "ends_at": NOW + 90 * DAY,
        "fee_base_msat": 7,
        "fee_ppm": 8,
        "fee_max_msat": 9,
        "catch_up_max": 3,
        "fiat": None,
        "purpose": "breakfast",
    }
    told = api.subscribe(
        OFFER,
        mandate=mandate,
        via=[PEER],
        payer_note="hello",
        trigger="on_approval",
        missed="catch_up",
        pay_at="before_end",
        margin_s=60,
        jitter_s=0,
        give_up_after_s=7200,
        request_retry={"first_delay_s": 9},
        payment_retry={"tries_max": 3},
    )
    assert told == {
        "id": told["id"],
        "role": "payer",
        "phase": "awaiting_first_invoice",
        "offer_id": Offer.from_text(OFFER).offer_id.hex(),
        "payer_id": told["payer_id"],
        "description": "coffee",
        "terms": "1 sat every day, from the first payment, paid in order",
        "offer": OFFER,
        "quantity": None,
        "next_counter": 0,
        "next_at": "2027-01-15T08:00:00Z",
        "next_window": None,
        "next_try": None,
        "payments": 0,
        "paid_elsewhere": 0,
        "waived": 0,
        "missed_periods": 0,
        "total_msat": 0,
        "total_worth": None,
        "fees_msat": 0,
        "waits_for": None,
        "awaiting_msat": None,
        "new_offer": None,
        "new_terms": None,
        "new_mandate": None,
        "question": None,
        "problem": None,
        "invoice_expires_at": None,
        "mind": [],
        "pause_asked": False,
        "cancel_asked": False,
        "trigger": "on_approval",
        "missed": "catch_up",
        "pay_at": "before_end",
        "margin_s": 60,
        "jitter_s": 0,
        "give_up_after_s": 7200,
        "ask_if_price_differs": False,
        "request_retry": retry(cap_s=900, first_delay_s=9),
        "payment_retry": retry(cap_s=600, tries_max=3, tries_max_unbounded=10),
        "via": [PEER],
        "start": None,
        "basetime": None,
        "mandate": {**mandate, "ends_at": "2027-04-15T08:00:00Z"},
        "created_at": "2027-01-15T08:00:00Z",
    }
    assert api.get(f"/v1/subscriptions/{told['id']}").json() == {**told, "book": [], "events": []}
    stored = next(state for state in api.services.parts.manager.outbounds() if state.recurrence_id.hex() == told["id"])
    assert (stored.terms.via, stored.terms.payer_note) == ((PEER,), "hello")


def test_two_subscriptions_to_one_offer_have_nothing_in_common(api: Api) -> None:
    first, second = api.subscribe(OFFER), api.subscribe(OFFER)
    assert first["id"] != second["id"]
    assert first["payer_id"] != second["payer_id"]


@pytest.mark.parametrize("text", [OFFER.upper(), f"  {OFFER}\n", f"lightning:{OFFER}", f"LIGHTNING:{OFFER.upper()}"])
def test_an_offer_is_taken_as_people_copy_it(api: Api, text: str) -> None:
    assert api.subscribe(text)["offer_id"] == Offer.from_text(OFFER).offer_id.hex()


def test_with_a_base_the_running_period_is_the_first(api: Api) -> None:
    offer = an_offer(daily(base=RecurrenceBase(0, NOW - 10 * DAY - 5), limit=20))
    assert api.subscribe(offer)["start"] == 10
    assert api.subscribe(offer, start=12)["start"] == 12


BASE = RecurrenceBase(0, NOW)
FIAT = {"currency": "EUR", "max_per_period_minor": 999}
REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    (an_offer(None), {}, "offer", "no recurrence"),
    (an_offer(daily(), chains=(BITCOIN,)), {}, "offer", "another chain"),
    (an_offer(daily(), chains=None), {}, "offer", "another chain"),
    (an_offer(daily(), absolute_expiry=NOW - 1), {}, "offer", "[O7]"),
    (OFFER, {"quantity": 1}, "quantity", "single items"),
    (an_offer(daily(), quantity_max=3), {}, "quantity", "from 1 to 3"),
    (an_offer(daily(), quantity_max=3), {"quantity": 4}, "quantity", "from 1 to 3"),
    (an_offer(daily(), quantity_max=0), {"quantity": 0}, "quantity", "from 1 to any number"),
    (OFFER, {"start": 0}, "start", "[Q3]"),
    (an_offer(daily(base=BASE, limit=3)), {"start": 4}, "start", "[Q4]"),
    (OFFER, {"start": -1}, "start", ">= 0"),
    (OFFER, {"start": 2**32}, "start", "<= 4294967295"),
    (OFFER, {"quantity": 2**64}, "quantity", "<="),
    (OFFER, {"via": ["nonsense"]}, "via[0]", "write ID@HOST:PORT"),
    (OFFER, {"via": [PEER, "02" * 32 + "@h"]}, "via[1]", "no node id"),
    (OFFER, {"via": [PEER.replace("9737", "99999")]}, "via[0]", "no host and port"),
    (OFFER, {"via": PEER}, "via", "Expected `array`"),
    (OFFER, {"via": [7]}, "via[0]", "Expected `str`"),
    (OFFER, {"via": [PEER] * 17}, "via", "length <= 16"),
    (OFFER, {"trigger": "monthly"}, "trigger", "one of automatic, on_approval, not 'monthly'"),
    (OFFER, {"missed": "retry"}, "missed", "one of stop, catch_up, not 'retry'"),
    (OFFER, {"payer_note": "x" * 2001}, "payer_note", "length <= 2000"),
    (OFFER, {"mandate": None}, "mandate", "Expected `object`"),
    (OFFER, {"mandate": {}}, "mandate.max_per_period_msat", "missing"),
    (OFFER, {"mandate": {"fiat": FIAT}}, "fiat", "no exchange rates"),
    (OFFER, {"mandate": {"fiat": {**FIAT, "currency": "eur"}}}, "mandate.fiat.currency", "regex"),
    (an_offer(daily(), currency="EUR"), {"mandate": {"fiat": FIAT}}, "fiat", "no exchange rates"),
    (an_offer(daily(), amount=None), {"mandate": {"fiat": FIAT}}, "max_per_period_msat", "leaves the amount to you"),
    (OFFER, {"pay_at": "noon"}, "pay_at", "one of start, earliest, before_end"),
    (OFFER, {"margin_s": -1}, "margin_s", ">= 0"),
    (OFFER, {"request_retry": {"first_delay_s": 0}}, "request_retry.first_delay_s", ">= 1"),
    (OFFER, {"payment_retry": {"factor": 101}}, "payment_retry.factor", "<= 100"),
    (OFFER, {"payment_retry": {"tries": 1}}, "payment_retry.tries", "unknown field"),
    (OFFER, {"mandate": {**MANDATE, "max_total_msat": -1}}, "mandate.max_total_msat", ">= 0"),
    (OFFER, {"mandate": {**MANDATE, "fee_ppm": 2**32}}, "mandate.fee_ppm", "<= 4294967295"),
    (OFFER, {"mandate": {**MANDATE, "ends_at": "2027-01-01"}}, "mandate.ends_at", "got `str`"),
    (OFFER, {"mandate": {**MANDATE, "max_period": 1}}, "mandate.max_period", "unknown field"),
]


@pytest.mark.parametrize(("offer", "changes", "field", "told"), REFUSED)
def test_what_cannot_be_subscribed_to_is_refused_with_its_field(
    api: Api, offer: str, changes: dict[str, Any], field: str, told: str
) -> None:
    before = len(api.services.parts.manager.outbounds())
    answer = api.post("/v1/subscriptions", {"offer": offer, "mandate": MANDATE, **changes})
    error = answer.json()["error"]
    assert (answer.status_code, error["field"], error["fault"]) == (400, field, "caller"), error
    assert told in error["message"]
    assert len(api.services.parts.manager.outbounds()) == before


@pytest.mark.parametrize(
    ("offer", "fault"),
    [
        ("", "peer"), ("hello", "peer"), ("lno1", "peer"), (OFFER[:-1], "peer"), (OFFER + "b", "peer"),
        (OFFER[:20] + "Q" + OFFER[21:], "peer"), ("lni1" + OFFER[4:], "peer"), ("lno1" + "q" * 29_000, "peer"),
        ("q" * 30_001, "caller"), ("\u212a" + OFFER, "peer"),
    ],
)  # fmt: skip
def test_a_text_that_is_no_offer_is_a_clear_400(api: Api, offer: str, fault: str) -> None:
    answer = api.post("/v1/subscriptions", {"offer": offer, "mandate": MANDATE})
    error = answer.json()["error"]
    assert (answer.status_code, error["fault"]) == (400, fault), error
    assert error["message"]


# --- cancel and approve ----------------------------------------------------------------------------------------------


def waiting(api: Api) -> dict[str, Any]:
    """A subscription whose first payment waits for a yes, as it is shown."""
    told = api.subscribe(OFFER, trigger="on_approval", mandate={"max_per_period_msat": 5000, "max_payments": 9})
    api.wake(told)
    shown: dict[str, Any] = api.get(f"/v1/subscriptions/{told['id']}").json()
    assert shown["phase"] == "needs_approval"
    return shown


def test_a_waiting_payment_is_approved_once(api: Api) -> None:
    told = waiting(api)
    body = {"question": told["question"]}
    answer = api.post(f"/v1/subscriptions/{told['id'][:16]}/approve", body)
    assert (answer.status_code, answer.json()["phase"]) == (200, "awaiting_first_invoice")
    assert answer.json()["question"] is None
    for what in ("approve", "decline"):
        again = api.post(f"/v1/subscriptions/{told['id']}/{what}", body)
        assert (again.status_code, again.json()["error"]["code"]) == (409, "NothingWaits")
        assert again.json()["error"]["message"] == (
            "nothing waits for approval: this subscription is awaiting_first_invoice"
        )


@pytest.mark.parametrize("what", ["approve", "decline"])
def test_an_answer_to_another_question_is_refused_and_changes_nothing(api: Api, what: str) -> None:
    told = waiting(api)
    amended = api.post(f"/v1/subscriptions/{told['id']}/amend", {"mandate": {"max_payments": 8}}).json()
    assert amended["question"] not in (None, told["question"])
    answer = api.post(f"/v1/subscriptions/{told['id']}/{what}", {"question": told["question"]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "OtherQuestion")
    assert answer.json()["error"]["field"] == "question"
    assert api.get(f"/v1/subscriptions/{told['id']}").json()["phase"] == "needs_approval"
    assert api.post(f"/v1/subscriptions/{told['id']}/{what}", {"question": amended["question"]}).status_code == 200


def test_an_approval_may_carry_a_new_mandate_or_change_limits_of_the_one_there_is(api: Api) -> None:
    told = waiting(api)
    body = {"question": told["question"], "mandate": {"max_per_period_msat": 77}}
    answer = api.post(f"/v1/subscriptions/{told['id']}/approve", body).json()
    assert (answer["mandate"]["max_per_period_msat"], answer["mandate"]["max_payments"]) == (77, None)
    told = waiting(api)
    body = {"question": told["question"], "limits": {"max_per_period_msat": 77}}
    answer = api.post(f"/v1/subscriptions/{told['id']}/approve", body).json()
    assert (answer["mandate"]["max_per_period_msat"], answer["mandate"]["max_payments"]) == (77, 9)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"mandate": 5}, "mandate"),
        ({"mandate": {}}, "mandate.max_per_period_msat"),
        ({"limits": {"max_per_period_msat": None}}, "max_per_period_msat"),
        ({"limits": {}, "mandate": {"max_per_period_msat": 1}}, "limits"),
        ({"x": 1}, "x"),
        ({"question": None}, "question"),
        ({"question": "yes"}, "question"),
        ({"paid_elsewhere": True}, "paid_elsewhere"),
    ],
    ids=str,
)
def test_a_wrong_approval_changes_nothing(api: Api, body: Any, field: str) -> None:
    told = waiting(api)
    answer = api.post(f"/v1/subscriptions/{told['id']}/approve", {"question": told["question"], **body})
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)
    assert api.get(f"/v1/subscriptions/{told['id']}").json()["phase"] == "needs_approval"


def test_a_price_outside_the_mandate_is_told_while_it_waits(api: Api) -> None:
    told = api.subscribe(OFFER, mandate={"max_per_period_msat": 999})
    api.wake(told)
    shown = api.get(f"/v1/subscriptions/{told['id']}").json()
    assert (shown["phase"], shown["awaiting_msat"]) == ("needs_approval", 1000)
    assert shown["problem"] == "1 sat asked, at most 0.999 sat per period allowed"
    assert [event["name"] for event in shown["events"]] == ["subscription.needs_approval"]


def test_a_subscription_is_cancelled_once_and_for_all(api: Api) -> None:
    told = api.subscribe(OFFER)
    answer = api.http.post(f"/v1/subscriptions/{told['id']}/cancel")  # without any body
    assert (answer.status_code, answer.json()["phase"]) == (200, "cancelled")
    again = api.post(f"/v1/subscriptions/{told['id']}/cancel")
    assert again.status_code == 400
    assert again.json()["error"]["message"] == "there is nothing to cancel: this subscription is cancelled"
    late = api.post(f"/v1/subscriptions/{told['id']}/approve")
    assert (late.status_code, late.json()["error"]["field"]) == (409, "id")


def test_cancelling_twice_while_it_is_under_way_is_as_good_as_once() -> None:
    clock = VirtualClock(NOW)
    with serving(services_in_memory(clock), clock) as api:
        told = api.subscribe(OFFER)
        manager = api.services.parts.manager
        stored = manager.outbound(manager.outbounds()[0].recurrence_id)
        assert stored is not None
        paid_once = replace(stored.state, phase=Phase.IDLE, next_counter=1, basetime=UnixSeconds(NOW))
        manager.commit_outbound(Change(state=paid_once, version=stored.version, at=UnixSeconds(NOW)))
        for _ in range(2):
            answer = api.post(f"/v1/subscriptions/{told['id']}/cancel")
            assert (answer.status_code, answer.json()["phase"]) == (200, "cancelling")


@pytest.mark.parametrize("what", ["cancel", "approve", "decline", "pause", "resume", "amend"])
@pytest.mark.parametrize("wanted", ["00" * 32, "zz", "%20"])
def test_nothing_is_done_to_a_subscription_that_is_not_there(api: Api, what: str, wanted: str) -> None:
    answer = api.post(f"/v1/subscriptions/{wanted}/{what}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NotFound")


@pytest.fixture
def sold(api: Api) -> Inbound:
    """A subscription of somebody else to an offer of ours."""
    offer = api.offer()
    state = Inbound(
        offer_id=OfferId(bytes.fromhex(offer["offer_id"])),
        payer_id=MERCHANT,
        phase=InboundPhase.ACTIVE,
        next_counter=1,
        payments=1,
        received_msat=Msat(1_000_000),
        payer_note="for Bob",
        basetime=UnixSeconds(NOW),
        created_at=UnixSeconds(NOW),
        last_paid_at=UnixSeconds(NOW),
    )
    api.services.parts.manager.commit_inbound(Change(state=state, version=None, at=UnixSeconds(NOW)))
    return state


@pytest.mark.parametrize("what", ["cancel", "approve", "decline", "amend"])
def test_what_others_pay_us_is_not_ours_to_cancel_or_approve(api: Api, sold: Inbound, what: str) -> None:
    answer = api.post(f"/v1/subscriptions/{sold.subscription_id.hex()}/{what}")
    assert answer.status_code == 404
    assert "subscription that we pay" in answer.json()["error"]["message"]


def test_both_roles_are_listed_and_can_be_told_apart(api: Api, sold: Inbound) -> None:
    api.subscribe(OFFER)
    listed = api.get("/v1/subscriptions").json()["subscriptions"]
    paid, received = (api.get("/v1/subscriptions", role=role).json()["subscriptions"] for role in ("payer", "payee"))
    assert paid + received == listed
    assert {shape["role"] for shape in paid} == {"payer"}
    assert {shape["role"] for shape in received} == {"payee"}
    shown = api.get(f"/v1/subscriptions/{sold.subscription_id.hex()}").json()
    assert shown == {
        "id": sold.subscription_id.hex(),
        "role": "payee",
        "phase": "active",
        "offer_id": sold.offer_id.hex(),
        "description": "coffee",
        "terms": "1,000 sat every day, from the first payment, paid in order",
        "payer_id": MERCHANT.hex(),
        "payer_note": "for Bob",
        "quantity": None,
        "next_counter": 1,
        "payments": 1,
        "total_msat": 1_000_000,
        "surplus_msat": 0,
        "missed_periods": 0,
        "waived_periods": 0,
        "paused_at": None,
        "next_at": None,
        "start": None,
        "basetime": "2027-01-15T08:00:00Z",
        "created_at": "2027-01-15T08:00:00Z",
        "last_paid_at": "2027-01-15T08:00:00Z",
        "ended_at": None,
        "book": [],
        "events": [],
    }


def test_one_is_found_by_the_beginning_of_its_id_without_reading_the_others(
    api: Api, sold: Inbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = api.subscribe(OFFER)

    def all_of_them(*_: Any, **__: Any) -> Any:
        raise AssertionError("all subscriptions are read")

    for name in ("outbounds", "inbounds"):
        monkeypatch.setattr(api.services.parts.manager, name, all_of_them)
    for beginning in (told["id"], told["id"][:12].upper()):
        assert api.get(f"/v1/subscriptions/{beginning}").json()["id"] == told["id"]
        assert api.post(f"/v1/subscriptions/{beginning}/pause").status_code == 200
        assert api.post(f"/v1/subscriptions/{beginning}/resume").status_code == 200
    assert api.get(f"/v1/subscriptions/{sold.subscription_id.hex()[:12]}").json()["role"] == "payee"
    assert api.post(f"/v1/subscriptions/{sold.subscription_id.hex()[:12]}/end", {}).status_code == 200


def test_a_beginning_of_several_ids_asks_for_more_of_it(api: Api) -> None:
    ids = [api.subscribe(OFFER)["id"] for _ in range(17)]
    several = next(one[0] for one in ids if sum(other[0] == one[0] for other in ids) > 1)
    answer = api.get(f"/v1/subscriptions/{several}")
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "id")
    assert "write more of it" in answer.json()["error"]["message"]


@pytest.mark.parametrize("role", ["", "merchant", "PAYER"])
def test_an_unknown_role_is_refused(api: Api, role: str) -> None:
    answer = api.get("/v1/subscriptions", role=role)
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "role")


def test_an_unknown_subscription_is_not_found(api: Api) -> None:
    assert api.get(f"/v1/subscriptions/{RECURRENCE_ID.hex()}").status_code == 404
