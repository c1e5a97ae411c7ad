"""Offers over the HTTP API: every form of recurrence, and everything that cannot be one."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.api import NOW, PEER, Api, services_in_memory, serving
from lnrecur.bolt12 import Dialect, Offer, TimeUnit
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.recurrence.offering import OfferPolicy, Windows
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import REGTEST, OfferId

U32 = 2**32 - 1
I64 = 2**63 - 1
DAILY = {"unit": "days", "period": 1}


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    clock = VirtualClock(NOW)
    with serving(services_in_memory(clock), clock) as served:
        yield served


def test_an_offer_says_what_was_asked_for(api: Api) -> None:
    told = api.offer(
        amount_msat=1500,
        description="Kaffee \u2615",
        issuer="alice@example.com",
        absolute_expiry=NOW + 1000,
        quantity_max=0,
        label="mine",
        windows="lenient",
        invoice_expiry_s=60,
        recurrence={
            "unit": "months", "period": 3, "basetime": NOW, "proportional": True, "seconds_before": 60,
            "seconds_after": 3600, "payments": 12, "dialect": "cln",
        },
    )  # fmt: skip
    offer = Offer.from_text(told["offer"])
    assert (offer.amount, offer.description, offer.issuer) == (1500, "Kaffee \u2615", "alice@example.com")
    assert (offer.absolute_expiry, offer.quantity_max) == (NOW + 1000, 0)
    assert offer.chains == (REGTEST,)
    assert offer.issuer_id == api.services.keyring.node_id
    recurrence = offer.recurrence
    assert recurrence is not None
    assert (recurrence.unit, recurrence.period, recurrence.optional) == (TimeUnit.MONTHS, 3, False)
    assert (recurrence.base, recurrence.paywindow) == (RecurrenceBase(1, NOW), Paywindow(60, 3600))
    assert (recurrence.limit, recurrence.dialect) == (11, Dialect.CLN)
    record = api.services.parts.manager.offer(OfferId(bytes.fromhex(told["offer_id"])))
    assert record is not None
    assert (record.label, record.policy.windows) == ("mine", Windows.LENIENT)
    assert (record.policy.invoice_expiry_s, record.policy.payments_max) == (60, 12)


def test_the_answer_has_the_documented_shape(api: Api) -> None:
    told = api.offer()
    assert told == {
        "offer_id": Offer.from_text(told["offer"]).offer_id.hex(),
        "offer": told["offer"],
        "label": "",
        "description": "coffee",
        "amount_msat": 1_000_000,
        "currency": None,
        "amount_minor": None,
        "terms": "1,000 sat every day, from the first payment, paid in order",
        "introductions": [],
        "status": "open",
        "successor": None,
        "windows": "strict",
        "policy": asdict(OfferPolicy()),
        "created_at": "2027-01-15T08:00:00Z",
        "hides_node": False,
        "via": [PEER],
        "peer_address": PEER,
    }
    assert api.get(f"/v1/offers/{told['offer_id']}").json() == told
    listed = {key: value for key, value in told.items() if key not in ("peer_address", "via", "hides_node")}
    assert listed in api.get("/v1/offers").json()["offers"]


FORMS: list[tuple[Any, str]] = [
    (None, "1,000 sat, paid once"),
    ({"unit": "seconds", "period": 12}, "1,000 sat every 12 seconds, from the first payment, paid in order"),
    ({"unit": "months", "period": 12}, "1,000 sat every 12 months, from the first payment, paid in order"),
    ({**DAILY, "optional": True}, "1,000 sat every day, from the first payment, paid in order, may also be paid once "
     "(optional)"),
    ({**DAILY, "basetime": 0}, "1,000 sat every day from 1970-01-01 00:00:00 UTC, paid in order"),
    ({**DAILY, "payments": 2}, "1,000 sat every day, from the first payment, at most 2 payments, paid in order"),
    ({**DAILY, "seconds_before": 0, "seconds_after": 60}, "1,000 sat every day, from the first payment, each from its "
     "start to 1 minute after it"),
    ({**DAILY, "seconds_before": 60, "seconds_after": 0}, "1,000 sat every day, from the first payment, each from "
     "1 minute before its start until it starts"),
    ({"unit": "seconds", "period": U32, "payments": U32}, "1,000 sat every 4,294,967,295 seconds, from the first "
     "payment, at most 4,294,967,295 payments, paid in order"),
]  # fmt: skip


@pytest.mark.parametrize(("recurrence", "words"), FORMS)
def test_every_form_of_recurrence_can_be_offered(api: Api, recurrence: Any, words: str) -> None:
    assert api.offer(recurrence=recurrence)["terms"] == words


def test_a_blinded_offer_does_not_name_the_node(api: Api) -> None:
    offer = Offer.from_text(api.offer(blinded=True)["offer"])
    assert offer.issuer_id is None
    assert offer.paths is not None


def test_a_blinded_offer_without_a_kept_peer_begins_here_and_says_that_this_hides_nothing(api: Api) -> None:
    told = api.offer(blinded=True)
    assert (told["introductions"], told["hides_node"]) == ([api.services.keyring.node_id.hex()], False)
    assert told["via"] == [PEER]


def test_a_peer_that_is_not_connected_cannot_introduce_and_a_word_is_no_node_id(api: Api) -> None:
    stranger = "02" + "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    body = {"amount_msat": 1, "description": "x"}
    refused = api.post("/v1/offers", {**body, "via_peers": [stranger]})
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "via")
    assert "no connected peer" in refused.json()["error"]["message"]
    refused = api.post("/v1/offers", {**body, "via_peers": [stranger, "bob"]})
    assert (refused.status_code, refused.json()["error"]["field"]) == (400, "via_peers[1]")


def recurring(**changes: Any) -> dict[str, Any]:
    return {"recurrence": {**DAILY, **changes}}


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    (recurring(payments=1), "recurrence.payments", "for a single payment leave the recurrence out"),
    (recurring(payments=0), "recurrence.payments", "[O5, O11]"),
    (recurring(proportional=True), "recurrence.proportional", "need a basetime"),
    (recurring(seconds_before=5), "recurrence.seconds_after", "missing"),
    (recurring(seconds_after=5), "recurrence.seconds_before", "missing"),
    (recurring(seconds_before=0, seconds_after=0), "recurrence.seconds_after", "no length"),
    (recurring(period=0), "offer_recurrence_compulsory", "[O4]"),
    (recurring(optional=True, basetime=5), "offer_recurrence_base", "[O2]"),
    (recurring(unit="weeks"), "recurrence.unit", "one of seconds, days, months, not 'weeks'"),
    (recurring(dialect="ldk"), "recurrence.dialect", "one of draft, cln, not 'ldk'"),
    (recurring(limit=3), "recurrence.limit", "unknown"),
    ({"recurrence": {"period": 1}}, "recurrence.unit", "missing"),
    ({"recurrence": {"unit": "days"}}, "recurrence.period", "missing"),
    ({"recurrence": "monthly"}, "recurrence", "Expected `object"),
    ({"description": None}, "offer_description", "missing"),
    ({"amount_msat": 0}, "offer_amount", "must be greater than 0"),
    ({"amount_msat": "1000"}, "amount_msat", "got `str`"),
    ({"amount_msat": 1000.0}, "amount_msat", "got `float`"),
    ({"amount_msat": True}, "amount_msat", "got `bool`"),
    ({"blinded": 1}, "blinded", "got `int`"),
    ({"windows": "loose"}, "windows", "one of strict, lenient, not 'loose'"),
    ({"invoice_expiry_s": 0}, "invoice_expiry_s", ">= 1"),
    ({"description": "x" * 2001}, "description", "length <= 2000"),
    ({"currency": "USD"}, "amount_minor", "missing"),
]


@pytest.mark.parametrize(("changes", "field", "told"), REFUSED)
def test_what_cannot_be_offered_is_refused_with_its_field(
    api: Api, changes: dict[str, Any], field: str, told: str
) -> None:
    before = len(api.services.parts.manager.offers())
    answer = api.post("/v1/offers", {"amount_msat": 1000, "description": "x", **changes})
    error = answer.json()["error"]
    assert (answer.status_code, error["field"], error["fault"], error["retry"]) == (400, field, "caller", False)
    assert error["message"].startswith(field)
    assert told in error["message"]
    assert len(api.services.parts.manager.offers()) == before


NUMBERS = [
    (("amount_msat",), I64),
    (("absolute_expiry",), I64),
    (("quantity_max",), I64),
    (("invoice_expiry_s",), U32),
    (("recurrence", "period"), U32),
    (("recurrence", "basetime"), I64),
    (("recurrence", "seconds_before"), U32),
    (("recurrence", "seconds_after"), U32),
    (("recurrence", "payments"), U32),
]


@pytest.mark.parametrize(("path", "most"), NUMBERS)
@pytest.mark.parametrize("beyond", ["below", "above", "far above"])
def test_a_number_out_of_range_names_its_field(api: Api, path: tuple[str, ...], most: int, beyond: str) -> None:
    value = {"below": -1, "above": most + 1, "far above": 10**400}[beyond]
    body: dict[str, Any] = {"amount_msat": 1000, "description": "x", "recurrence": dict(DAILY)}
    inner = body
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    answer = api.post("/v1/offers", body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, ".".join(path))


NO_DOCUMENTS = [
    (b"{", "body"),
    (b"nonsense", "body"),
    (b"[]", "body"),
    (b"null", "body"),
    (b'"text"', "body"),
    (b'{"description": "\xff"}', "body"),
    (b'{"description": "\\ud800"}', "body"),
    (b"[" * 100_000, "body"),
    (b'{"recurrence":' * 1000, "recurrence.recurrence"),
    (b'{"amount_msat": 1' + b"0" * 5000 + b"}", "amount_msat"),
]


@pytest.mark.parametrize(("body", "field"), NO_DOCUMENTS)
def test_a_body_that_is_no_offer_is_a_clear_400(api: Api, body: bytes, field: str) -> None:
    answer = api.http.post("/v1/offers", content=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["field"]) == (400, "InvalidBody", field)


@settings(max_examples=60)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["amount_msat", "description", "recurrence", "unit", "period"]), inner)
        ),
        max_leaves=8,
    )
)
def test_no_body_whatever_is_a_bug(body: Any) -> None:
    answer = shared_api().post("/v1/offers", body)
    assert answer.status_code in (201, 400), answer.text


_SHARED: list[Api] = []


@pytest.fixture(scope="module", autouse=True)
def _share(api: Api) -> Iterator[None]:
    _SHARED.append(api)
    yield
    _SHARED.clear()


def shared_api() -> Api:
    """Hypothesis runs a test many times over one fixture, which is what we want here."""
    return _SHARED[0]


def test_an_offer_is_found_by_the_beginning_of_its_id(api: Api) -> None:
    told = api.offer(label="wanted")
    offer_id = told["offer_id"]
    assert api.get(f"/v1/offers/{offer_id[:20]}").json()["label"] == "wanted"
    assert api.get(f"/v1/offers/{offer_id.upper()}").json()["label"] == "wanted"


@pytest.mark.parametrize("wanted", ["zz", "0" * 64, "0" * 65, "..%2f", "%00", "'", "\u2603"])
def test_an_offer_that_is_not_there_is_not_found(api: Api, wanted: str) -> None:
    answer = api.get(f"/v1/offers/{wanted}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NotFound")


def test_a_beginning_that_fits_several_ids_is_refused(api: Api) -> None:
    ids = [api.offer()["offer_id"] for _ in range(17)]  # 17 ids over 16 digits: two begin alike
    first = next(digit for digit in "0123456789abcdef" if sum(name.startswith(digit) for name in ids) > 1)
    answer = api.get(f"/v1/offers/{first}")
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "id")
    assert "write more of it" in answer.json()["error"]["message"]
