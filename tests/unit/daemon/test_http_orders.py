"""A merchant's orders over the HTTP API: how an offer stands, and what becomes of one subscription."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from helpers.api import NOW, Api, services_in_memory, serving
from lnrecur.adapters.rates import StaticRates
from lnrecur.ports import Change
from lnrecur.recurrence.inbound_model import Inbound, Phase
from lnrecur.service.assembly import Services
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import OfferId, Point, UnixSeconds

PAYER = 0


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    clock = VirtualClock(NOW)
    with serving(services_in_memory(clock), clock) as served:
        yield served


def _subscriber(api: Api, offer_id: str, **changes: Any) -> str:
    """Somebody who has paid the first period of this offer."""
    global PAYER
    PAYER += 1
    state = Inbound(
        OfferId(bytes.fromhex(offer_id)),
        Point(b"\2" + PAYER.to_bytes(32, "big")),
        **{"phase": Phase.ACTIVE, "next_counter": 1, "payments": 1, "basetime": UnixSeconds(NOW), **changes},
    )
    api.services.parts.manager.commit_inbound(Change(state, None, UnixSeconds(NOW)))
    return state.subscription_id.hex()


def _offer_events(api: Api, offer_id: str) -> list[str]:
    return [event["name"] for event in api.get("/v1/events").json()["events"] if event["offer_id"] == offer_id]


def test_an_offer_is_retired_paused_and_resumed_each_with_an_event_of_the_offer(api: Api) -> None:
    offer_id = api.offer()["offer_id"]
    for verb, status in [("retire", "retired"), ("resume", "open"), ("pause", "paused"), ("resume", "open")]:
        answer = api.post(f"/v1/offers/{offer_id}/{verb}")
        assert (answer.status_code, answer.json()["status"]) == (200, status)
        assert api.get(f"/v1/offers/{offer_id}").json() == answer.json()
    assert _offer_events(api, offer_id) == [
        "offer.created", "offer.retired", "offer.resumed", "offer.paused", "offer.resumed",
    ]  # fmt: skip


def test_an_offer_event_names_the_offer_and_no_subscription(api: Api) -> None:
    offer_id = api.offer(label="a label")["offer_id"]
    [created] = [event for event in api.get("/v1/events").json()["events"] if event["offer_id"] == offer_id]
    assert (created["subscription"], created["role"], created["sequence"]) == (None, "payee", 1)
    assert created["data"]["label"] == "a label"


def test_ending_an_offer_ends_its_subscriptions_and_no_others(api: Api) -> None:
    offer_id, other_id = api.offer()["offer_id"], api.offer()["offer_id"]
    mine, another, theirs = (_subscriber(api, one) for one in (offer_id, offer_id, other_id))
    done = _subscriber(api, offer_id, phase=Phase.COMPLETED)
    assert api.post(f"/v1/offers/{offer_id}/end").json()["status"] == "ended"
    phases = [api.get(f"/v1/subscriptions/{one}").json()["phase"] for one in (mine, another, theirs, done)]
    assert phases == ["ended", "ended", "active", "completed"]
    [event] = api.get(f"/v1/subscriptions/{mine}").json()["events"]
    assert (event["name"], event["data"]["why"]) == ("subscription.ended", "the offer is ended")


def test_a_replaced_offer_names_its_successor(api: Api) -> None:
    offer_id, successor = api.offer()["offer_id"], api.offer(description="better coffee")
    answer = api.post(f"/v1/offers/{offer_id}/replace", {"successor": successor["offer_id"][:16]})
    assert (answer.json()["status"], answer.json()["successor"]) == ("replaced", successor["offer"])


@pytest.mark.parametrize("verb", ["retire", "pause", "resume", "end"])
def test_what_an_offer_is_already_it_cannot_become_again(api: Api, verb: str) -> None:
    offer_id = api.offer()["offer_id"]
    if verb != "resume":
        assert api.post(f"/v1/offers/{offer_id}/{verb}").status_code == 200
    answer = api.post(f"/v1/offers/{offer_id}/{verb}")
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "id")
    assert "cannot become" in answer.json()["error"]["message"]


def test_an_ended_offer_stays_ended(api: Api) -> None:
    offer_id, other = api.offer()["offer_id"], api.offer()["offer_id"]
    api.post(f"/v1/offers/{offer_id}/end")
    for verb in ("retire", "pause", "resume", "end"):
        assert api.post(f"/v1/offers/{offer_id}/{verb}").status_code == 400
    assert api.post(f"/v1/offers/{offer_id}/replace", {"successor": other}).status_code == 400


def test_a_successor_is_another_offer_of_ours_that_is_open(api: Api) -> None:
    offer_id, retired = api.offer()["offer_id"], api.offer()["offer_id"]
    api.post(f"/v1/offers/{retired}/retire")
    for successor in (offer_id, retired, "", "ffffffff"):
        answer = api.post(f"/v1/offers/{offer_id}/replace", {"successor": successor})
        assert (answer.status_code, answer.json()["error"]["field"]) == (400, "successor")
    long = api.offer(description="x" * 900)["offer_id"]
    answer = api.post(f"/v1/offers/{offer_id}/replace", {"successor": long})
    assert "shorten its texts" in answer.json()["error"]["message"]
    assert api.get(f"/v1/offers/{offer_id}").json()["status"] == "open"


def test_a_subscriber_is_paused_and_resumed(api: Api) -> None:
    mine = _subscriber(api, api.offer()["offer_id"])
    paused = api.post(f"/v1/subscriptions/{mine}/pause").json()
    assert (paused["phase"], paused["paused_at"]) == ("active", "2027-01-15T08:00:00Z")
    again = api.post(f"/v1/subscriptions/{mine}/pause")
    assert (again.status_code, "and paused" in again.json()["error"]["message"]) == (400, True)
    assert api.post(f"/v1/subscriptions/{mine}/resume").json()["paused_at"] is None
    assert api.post(f"/v1/subscriptions/{mine}/resume").status_code == 400


def test_periods_are_waived_and_a_subscription_is_ended(api: Api) -> None:
    mine = _subscriber(api, api.offer()["offer_id"])
    waived = api.post(f"/v1/subscriptions/{mine}/waive", {"periods": 2}).json()
    assert (waived["next_counter"], waived["waived_periods"], waived["payments"]) == (3, 2, 1)
    ended = api.post(f"/v1/subscriptions/{mine}/end", {"why": "moved"}).json()
    assert (ended["phase"], ended["next_at"]) == ("ended", None)
    names = [event["name"] for event in api.get(f"/v1/subscriptions/{mine}").json()["events"]]
    assert names == ["subscription.waived", "subscription.waived", "subscription.ended"]
    for verb in ("waive", "end", "pause", "resume"):
        answer = api.post(f"/v1/subscriptions/{mine}/{verb}")
        assert (answer.status_code, answer.json()["error"]["field"]) == (400, "id")


@pytest.mark.parametrize("periods", [0, 101, -1, "1"])
def test_a_number_of_periods_is_checked(api: Api, periods: Any) -> None:
    mine = _subscriber(api, api.offer()["offer_id"])
    answer = api.post(f"/v1/subscriptions/{mine}/waive", {"periods": periods})
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "periods")


def test_nobody_is_found_under_an_unknown_id(api: Api) -> None:
    for verb in ("waive", "end", "pause", "resume"):
        assert api.post(f"/v1/subscriptions/{'f' * 64}/{verb}").status_code == 404
    for verb in ("retire", "pause", "resume", "end"):
        assert api.post(f"/v1/offers/{'f' * 64}/{verb}").status_code == 404


def test_one_that_we_pay_is_paused_by_the_same_route(api: Api) -> None:
    paying = api.subscribe(api.offer()["offer"])
    assert api.post(f"/v1/subscriptions/{paying['id']}/pause").json()["phase"] == "paused"
    assert api.post(f"/v1/subscriptions/{paying['id']}/resume").json()["phase"] != "paused"
    answer = api.post(f"/v1/subscriptions/{paying['id']}/waive")
    assert "subscription that we are paid" in answer.json()["error"]["message"]


def test_the_policies_of_an_offer_are_kept_and_shown(api: Api) -> None:
    policy = {
        "windows": "lenient", "invoice_expiry_s": 60, "first_in_window": True, "payments_max": None, "early_s": 5,
        "grace_s": 0, "arrears_max": 3, "fiat_expiry_s": 7, "amount_min_msat": None, "overask_max": 2,
        "after_window": "return", "after_cancel": "take", "after_end": "take", "give_state": True,
    }  # fmt: skip
    asked = {name: value for name, value in policy.items() if name not in ("payments_max", "amount_min_msat")}
    assert api.offer(**asked)["policy"] == policy


def test_an_offer_is_priced_in_a_currency_that_there_is_a_rate_for(api: Api) -> None:
    answer = api.post("/v1/offers", {"currency": "EUR", "amount_minor": 999, "description": "x"})
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "currency")
    assert "set rates or rate_source" in answer.json()["error"]["message"]
    clock = VirtualClock(NOW)
    without = services_in_memory(clock)
    rates = StaticRates({"EUR": Decimal("58123.45")}, clock)
    with serving(Services(without.keyring, replace(without.parts, rates=rates)), clock) as rated:
        offer = rated.offer(amount_msat=None, currency="EUR", amount_minor=999)
        assert (offer["amount_msat"], offer["currency"], offer["amount_minor"]) == (None, "EUR", 999)
        assert offer["terms"].startswith("9.99 EUR every day")
        refused = rated.post("/v1/offers", {"currency": "USD", "amount_minor": 999, "description": "x"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "RateUnavailable")
        assert refused.json()["error"]["retry"] is True


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"grace_s": 5, "windows": "lenient"}, "grace_s"),
        ({"arrears_max": 5}, "arrears_max"),
        ({"amount_min_msat": 5}, "amount_min_msat"),
        ({"after_window": "burn"}, "after_window"),
        ({"overask_max": 0}, "overask_max"),
        ({"currency": "EUR"}, "amount_minor"),
        ({"amount_minor": 5}, "currency"),
        ({"currency": "EUR", "amount_minor": 5}, "amount_msat"),
        ({"currency": "euro", "amount_minor": 5}, "currency"),
        ({"currency": "EUR", "amount_minor": 5, "amount_msat": None}, "currency"),
    ],
)
def test_policies_that_mean_nothing_are_refused(api: Api, changes: dict[str, Any], field: str) -> None:
    body = {"amount_msat": 1000, "description": "x", "recurrence": {"unit": "days", "period": 1}}
    answer = api.post("/v1/offers", {**body, **changes})
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)
