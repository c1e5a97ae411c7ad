"""Pausing, amending, declining over the API, and paying an offer once."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from helpers.api import NOW, Api, services_in_memory, serving
from lnrecur.adapters.rates import StaticRates
from lnrecur.bolt12 import OfferTerms, Recurrence, TimeUnit
from lnrecur.bolt12.offer import write_offer
from lnrecur.crypto.keys import PrivateKey
from lnrecur.ports import Change
from lnrecur.recurrence.outbound_model import PendingRequest, Phase
from lnrecur.service.assembly import Services
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import REGTEST, RecurrenceId, UnixSeconds

DAY = 86_400
MERCHANT = PrivateKey(bytes([0x61]) * 32).point


def an_offer(recurrence: Recurrence | None, **changes: Any) -> str:
    terms: dict[str, Any] = {"amount": 1000, "description": "coffee", "chains": (REGTEST,), "issuer_id": MERCHANT}
    return write_offer(OfferTerms(**{**terms, "recurrence": recurrence, **changes})).to_text()


DAILY = Recurrence(TimeUnit.DAYS, 1)
OFFER, PLAIN = an_offer(DAILY), an_offer(None)
OPTIONAL = an_offer(replace(DAILY, optional=True))


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    clock = VirtualClock(NOW)
    with serving(services_in_memory(clock), clock) as running:
        yield running


def paid_once(api: Api, **changes: Any) -> dict[str, Any]:
    """A subscription whose first period is paid; the next is due in a day."""
    told = api.subscribe(OFFER)
    manager = api.services.parts.manager
    stored = manager.outbound(RecurrenceId(bytes.fromhex(told["id"])))
    assert stored is not None
    now = UnixSeconds(NOW)
    state = replace(
        stored.state,
        phase=Phase.IDLE,
        next_counter=1,
        payments=1,
        basetime=now,
        wake_at=UnixSeconds(NOW + DAY),
        **changes,
    )
    manager.commit_outbound(Change(state=state, version=stored.version, at=now))
    return told


def do(api: Api, told: dict[str, Any], what: str, body: Any = None, status: int = 200) -> dict[str, Any]:
    answer = api.post(f"/v1/subscriptions/{told['id']}/{what}", body)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found if status == 200 else found["error"]


def events(api: Api, told: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    shown = api.get(f"/v1/subscriptions/{told['id']}").json()
    return [(event["name"], event["data"]) for event in shown["events"]]


# --- pausing ---------------------------------------------------------------------------------------------------------


def test_a_pause_tells_until_when_to_resume_and_a_resume_goes_on(api: Api) -> None:
    told = paid_once(api)
    paused = do(api, told, "pause")
    assert (paused["phase"], paused["next_at"]) == ("paused", "2027-01-17T08:00:00Z")
    assert paused["next_window"] == {"opens": "2027-01-15T08:00:00Z", "closes": "2027-01-17T08:00:00Z"}
    assert "nothing to pause" in do(api, told, "pause", status=400)["message"]
    resumed = do(api, told, "resume")
    assert resumed["phase"] == "idle"
    assert "nothing to resume" in do(api, told, "resume", status=400)["message"]
    assert [name for name, _ in events(api, told)] == ["subscription.paused", "subscription.resumed"]


def test_a_no_to_what_waits_ends_the_subscription(api: Api) -> None:
    told = api.subscribe(OFFER, trigger="on_approval")
    assert "nothing waits" in do(api, told, "decline", status=409)["message"]
    api.wake(told)
    assert do(api, told, "decline")["phase"] == "cancelled"
    assert [name for name, _ in events(api, told)][1:] == ["subscription.declined", "subscription.cancelled"]


# --- amending --------------------------------------------------------------------------------------------------------


def test_an_amendment_changes_what_it_names_and_tells_old_and_new(api: Api) -> None:
    told = paid_once(api)
    changes = {"max_per_period_msat": 2_000_000, "max_payments": 12}
    answer = do(api, told, "amend", {"mandate": changes, "missed": "catch_up", "payment_retry": {"tries_max": 4}})
    assert {name: answer["mandate"][name] for name in changes} == changes
    assert (answer["missed"], answer["payment_retry"]["tries_max"], answer["trigger"]) == ("catch_up", 4, "automatic")
    found = {data["field"]: (data["old"], data["new"]) for _, data in events(api, told)}
    assert found["mandate.max_per_period_msat"] == (1_000_000, 2_000_000)
    assert found["mandate.max_payments"] == (None, 12)
    assert found["terms.missed"] == ("stop", "catch_up")
    assert found["terms.payment_retry"][1].endswith("at most 4 tries")
    assert set(found) == {*(f"mandate.{name}" for name in changes), "terms.missed", "terms.payment_retry"}


def test_null_takes_a_limit_away_and_the_same_value_is_no_event(api: Api) -> None:
    told = api.subscribe(OFFER, mandate={"max_per_period_msat": 1000, "max_total_msat": 5000})
    answer = do(api, told, "amend", {"mandate": {"max_total_msat": None, "max_per_period_msat": 1000}})
    assert answer["mandate"]["max_total_msat"] is None
    assert [data for _, data in events(api, told)] == [{"field": "mandate.max_total_msat", "old": 5000, "new": None}]


def test_another_moment_in_the_window_plans_the_next_request_anew(api: Api) -> None:
    told = paid_once(api)
    answer = do(api, told, "amend", {"pay_at": "before_end", "margin_s": 3600, "jitter_s": 0})
    assert answer["next_at"] == "2027-01-17T06:59:59Z"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"quantity": 2}, "quantity"),
        ({"mandate": {"max_per_period_msat": -1}}, "mandate.max_per_period_msat"),
        ({"mandate": {"max_per_period_msat": None}}, "max_per_period_msat"),
        ({"mandate": {"fiat": {"currency": "EUR", "max_per_period_minor": 1}}}, "fiat"),
        ({"via": ["nonsense"]}, "via[0]"),
        ({"pay_at": "noon"}, "pay_at"),
    ],
)
def test_what_cannot_be_amended_is_refused_and_changes_nothing(api: Api, body: Any, field: str) -> None:
    told = paid_once(api)
    before = api.get(f"/v1/subscriptions/{told['id']}").json()
    assert do(api, told, "amend", body, status=400)["field"] == field
    assert api.get(f"/v1/subscriptions/{told['id']}").json() == before


def test_moments_in_events_are_rfc_3339(api: Api) -> None:
    told = paid_once(api)
    do(api, told, "amend", {"mandate": {"ends_at": NOW + DAY}})
    assert events(api, told)[-1] == (
        "subscription.amended",
        {"field": "mandate.ends_at", "old": None, "new": "2027-01-16T08:00:00Z"},
    )


def test_a_limit_in_a_currency_whose_rate_nobody_knows_is_refused_and_others_can_still_be_changed() -> None:
    clock = VirtualClock(NOW)
    services = services_in_memory(clock)
    parts = replace(services.parts, rates=StaticRates({"EUR": Decimal(50_000)}, clock))
    with serving(Services(services.keyring, parts), clock) as api:
        francs = {"fiat": {"currency": "CHF", "max_per_period_minor": 500}}
        for path, body in (
            ("/v1/subscriptions", {"offer": OFFER, "mandate": francs}),
            ("/v1/payments", {"offer": PLAIN, **francs}),
        ):
            refused = api.post(path, body)
            assert (refused.status_code, refused.json()["error"]["message"]) == (
                503,
                "the settings name no rate for CHF",
            )
        assert (api.get("/v1/subscriptions").json(), api.services.parts.manager.outbounds()) == (
            {"subscriptions": []},
            [],
        )
        told = api.subscribe(OFFER, mandate={"fiat": {"currency": "EUR", "max_per_period_minor": 500}})
        do(api, told, "amend", {"mandate": francs}, status=503)
        api.services.payer._rates = StaticRates({}, clock)  # the source knows nothing any more
        assert do(api, told, "amend", {"mandate": {"max_payments": 1}})["mandate"]["max_payments"] == 1


def test_what_is_over_cannot_be_amended(api: Api) -> None:
    told = api.subscribe(OFFER)
    do(api, told, "cancel")
    assert "nothing can be amended" in do(api, told, "amend", {"missed": "stop"}, status=400)["message"]


def test_the_next_try_is_told_with_its_number(api: Api) -> None:
    told = paid_once(api, request=PendingRequest(1, b"", tries=3))
    assert api.get(f"/v1/subscriptions/{told['id']}").json()["next_try"] == {
        "what": "request",
        "try": 4,
        "at": "2027-01-16T08:00:00Z",
        "gives_up_at": "2027-01-17T08:00:00Z",
    }


# --- paying once -----------------------------------------------------------------------------------------------------


def pay(api: Api, offer: str, status: int = 201, **body: Any) -> dict[str, Any]:
    answer = api.post("/v1/payments", {"offer": offer, "amount_msat": 1000, **body})
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found if status == 201 else found["error"]


@pytest.mark.parametrize("offer", [PLAIN, OPTIONAL], ids=["plain", "optional"])
def test_a_payment_is_ordered_and_is_no_subscription(api: Api, offer: str) -> None:
    told = pay(api, offer, payer_note="thanks", max_fee_msat=5)
    assert (told["state"], told["payer_note"], told["max_amount_msat"]) == ("requesting", "thanks", 1000)
    api.wake(told)
    shown = api.get(f"/v1/payments/{told['id'][:20]}").json()
    assert shown["next_try"]["what"] == "request"
    assert [event["name"] for event in shown["events"]] == ["payment.requested"]
    listed = [one["id"] for one in api.get("/v1/subscriptions").json()["subscriptions"]]
    assert told["id"] not in listed
    for what in ("", "/cancel", "/pause", "/amend"):
        path = f"/v1/subscriptions/{told['id']}{what}"
        assert (api.post(path) if what else api.get(path)).status_code == 404
    assert told["id"] in [one["id"] for one in api.get("/v1/payments").json()["ordered"]]
    cancelled = api.post(f"/v1/payments/{told['id']}/cancel").json()
    assert cancelled["state"] == "cancelled"


@pytest.mark.parametrize(
    ("offer", "body", "field", "told"),
    [
        (OFFER, {}, "offer", "by subscription only"),
        (an_offer(None, chains=None), {}, "offer", "another chain"),
        (an_offer(None, absolute_expiry=NOW - 1), {}, "offer", "[O7]"),
        (PLAIN, {"quantity": 2}, "quantity", "single items"),
        (PLAIN, {"amount_msat": None}, "amount_msat", "missing"),
        (PLAIN, {"start": 1}, "start", "unknown field"),
        (PLAIN, {"via": ["x"]}, "via[0]", "write ID@HOST:PORT"),
    ],
)
def test_what_cannot_be_paid_once_is_refused(api: Api, offer: str, body: Any, field: str, told: str) -> None:
    error = pay(api, offer, 400, **body)
    assert error["field"] == field
    assert told in error["message"]


def test_a_subscription_is_no_payment_that_was_ordered(api: Api) -> None:
    told = api.subscribe(OFFER)
    assert api.get(f"/v1/payments/{told['id']}").status_code == 404
