"""The event log, the books and the facts about the node over the HTTP API."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from helpers.api import NOW, PEER, Api, services_in_memory, serving
from helpers.engine import hash_of, preimage_of
from lnrecur import __version__
from lnrecur.bolt12 import OfferTerms, Recurrence, TimeUnit
from lnrecur.bolt12.offer import write_offer
from lnrecur.crypto.keys import PrivateKey
from lnrecur.messaging.relay import RelayVerdict
from lnrecur.ports import Change
from lnrecur.recurrence.effects import Book, Emit
from lnrecur.recurrence.event_objects import EventObject, ObjectType
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import REGTEST, Msat, RecurrenceId, UnixSeconds

OFFER = write_offer(
    OfferTerms(
        description="coffee",
        amount=1000,
        chains=(REGTEST,),
        issuer_id=PrivateKey(b"\x61" * 32).point,
        recurrence=Recurrence(TimeUnit.DAYS, 1),
    )
).to_text()


@pytest.fixture
def api() -> Iterator[Api]:
    clock = VirtualClock(NOW)
    with serving(services_in_memory(clock), clock) as served:
        yield served


def commit(api: Api, subscription: dict[str, Any], *events: Emit, bookings: tuple[Book, ...] = ()) -> None:
    manager = api.services.parts.manager
    stored = manager.outbound(RecurrenceId(bytes.fromhex(subscription["id"])))
    assert stored is not None
    state = replace(stored.state, payments=stored.state.payments + len(bookings))
    change = Change(state=state, version=stored.version, at=UnixSeconds(NOW + 7), events=events, bookings=bookings)
    manager.commit_outbound(change)


def test_the_node_says_who_it_is_and_that_its_money_is_play_money(api: Api) -> None:
    keyring = api.services.keyring
    assert api.get("/v1/info").json() == {
        "version": __version__,
        "node_id": keyring.node_id.hex(),
        "peer_address": PEER,
        "chain": "regtest",
        "relay": {"on": False, **dict.fromkeys(RelayVerdict, 0)},
        "peers": [],
        "money_node": {
            "kind": "play money in memory",
            "node_id": keyring.money.point.hex(),
            "play_money": True,
            "can_hold": True,
            "problem": None,
        },
    }


def test_events_come_in_order_and_behind_an_id(api: Api) -> None:
    first, second = api.subscribe(OFFER), api.subscribe(OFFER)
    commit(api, first, Emit("subscription.requested", {"counter": 0}))
    commit(api, second, Emit("subscription.requested", {"counter": 0}))
    commit(api, first, Emit("subscription.unreachable", {"why": "nobody home"}))
    events = api.get("/v1/events").json()["events"]
    assert [event["id"] for event in events] == [1, 2, 3]
    assert events[2] == {
        "id": 3,
        "sequence": 2,
        "at": "2027-01-15T08:00:07Z",
        "name": "subscription.unreachable",
        "role": "payer",
        "subscription": first["id"],
        "offer_id": None,
        "object": {
            "type": "subscription",
            "id": first["id"],
            "state": {
                "offer_id": first["offer_id"], "phase": "awaiting_first_invoice", "next_counter": 0,
                "next_at": first["next_at"], "payments": 0, "total_msat": 0, "fees_msat": 0, "adopted": 0, "waived": 0,
                "waits_for": None, "awaiting_msat": None, "problem": None,
            },
        },
        "data": {"why": "nobody home"},
    }  # fmt: skip
    assert api.get("/v1/events", after=2).json()["events"] == events[2:]
    assert api.get("/v1/events", after=1, limit=1).json()["events"] == events[1:2]
    assert api.get("/v1/events", after=3).json()["events"] == []
    assert api.get(f"/v1/subscriptions/{first['id']}").json()["events"] == [events[0], events[2]]


def test_an_event_of_the_money_node_belongs_to_nobodys_subscription(api: Api) -> None:
    about = EventObject(ObjectType.NODE, "02" * 33)
    told = Emit("node.unavailable", {"trouble": "locked", "why": "wallet locked"})
    api.services.parts.manager.tell(told, about, UnixSeconds(NOW))
    assert api.get("/v1/events").json()["events"] == [
        {
            "id": 1,
            "sequence": 1,
            "at": "2027-01-15T08:00:00Z",
            "name": "node.unavailable",
            "role": None,
            "subscription": None,
            "offer_id": None,
            "object": {"type": "node", "id": "02" * 33, "state": {}},
            "data": {"trouble": "locked", "why": "wallet locked"},
        }
    ]


def test_who_waits_for_events_is_answered_when_they_come(api: Api) -> None:
    told = api.subscribe(OFFER)
    later = threading.Timer(0.3, commit, (api, told, Emit("subscription.requested", {"counter": 0})))
    later.start()
    begun = time.monotonic()
    events = api.get("/v1/events", wait=15).json()["events"]
    waited = time.monotonic() - begun
    later.join()
    assert [event["name"] for event in events] == ["subscription.requested"]
    assert 0.25 < waited < 5


def test_who_waits_in_vain_is_answered_in_time(api: Api) -> None:
    begun = time.monotonic()
    assert api.get("/v1/events", wait=1).json() == {"events": []}
    assert 0.9 < time.monotonic() - begun < 5


def test_nobody_is_kept_waiting_by_a_daemon_that_stops(api: Api) -> None:
    later = threading.Timer(0.2, api.stopping.set)
    later.start()
    begun = time.monotonic()
    assert api.get("/v1/events", wait=15).json() == {"events": []}
    later.join()
    assert 0.15 < time.monotonic() - begun < 5


def test_who_does_not_ask_to_wait_does_not(api: Api) -> None:
    begun = time.monotonic()
    assert api.get("/v1/events").json() == {"events": []}
    assert time.monotonic() - begun < 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("after", "-1"), ("after", "x"), ("after", ""), ("after", str(2**63)), ("after", "9" * 5000),
        ("after", "\u0663"), ("limit", "0"), ("limit", "1001"), ("limit", "1.5"), ("wait", "3601"), ("wait", "-1"),
    ],
)  # fmt: skip
def test_a_number_that_is_none_names_its_parameter(api: Api, name: str, value: str) -> None:
    answer = api.get("/v1/events", **{name: value})
    error = answer.json()["error"]
    assert (answer.status_code, error["field"]) == (400, name)
    assert len(error["message"]) < 200


def test_the_books_are_those_of_all_or_of_one_subscription(api: Api) -> None:
    told, other = api.subscribe(OFFER), api.subscribe(OFFER)
    book = Book(
        counter=0,
        payment_hash=hash_of(preimage_of(1)),
        preimage=preimage_of(1),
        amount_msat=Msat(1000),
        fee_msat=Msat(3),
        settled_at=UnixSeconds(NOW + 5),
        period_start=UnixSeconds(NOW),
    )
    commit(api, told, bookings=(book,))
    payments = api.get("/v1/payments").json()["payments"]
    assert payments == [
        {
            "subscription": told["id"],
            "role": "payer",
            "counter": 0,
            "amount_msat": 1000,
            "fee_msat": 3,
            "payment_hash": hash_of(preimage_of(1)).hex(),
            "preimage": preimage_of(1).hex(),
            "period_start": "2027-01-15T08:00:00Z",
            "settled_at": "2027-01-15T08:00:05Z",
            "surplus": False,
            "conversion": None,
            "description": "coffee",
            "one_off": False,
        }
    ]
    more = {"description", "one_off"}
    mine = [{name: value for name, value in paid.items() if name not in more} for paid in payments]
    assert api.get(f"/v1/subscriptions/{told['id']}").json()["book"] == mine
    assert api.get(f"/v1/subscriptions/{other['id']}").json()["book"] == []
