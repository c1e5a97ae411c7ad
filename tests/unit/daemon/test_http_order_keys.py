"""An order that is given twice under one key (`Idempotency-Key`) is one order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers.api import NOW, Api, services_in_memory, serving
from helpers.engine import a_mandate, an_offer
from lnrecur.adapters.store import SqlRecurrenceManager, open_postgresql_manager, open_sqlite_manager
from lnrecur.bolt12 import OfferTerms
from lnrecur.bolt12.offer import write_offer
from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.keys import PrivateKey
from lnrecur.ports import Change, OrderKey, StoreUnavailable
from lnrecur.recurrence.outbound_model import Outbound, Phase, Terms
from lnrecur.service.authorising import KeyReused
from lnrecur.testing.virtual_clock import VirtualClock
from lnrecur.values import REGTEST

OFFER = an_offer(chains=(REGTEST,))
PLAIN = write_offer(
    OfferTerms(description="tea", amount=5000, chains=(REGTEST,), issuer_id=PrivateKey(b"\x61" * 32).point)
)
ORDERS: dict[str, dict[str, Any]] = {
    "/v1/subscriptions": {"offer": OFFER.to_text(), "mandate": {"max_per_period_msat": 1_000_000}},
    "/v1/payments": {"offer": PLAIN.to_text(), "amount_msat": 5000},
}
BOTH = pytest.mark.parametrize("path", ORDERS)


@pytest.fixture
def api() -> Iterator[Api]:
    clock = VirtualClock(NOW)
    with serving(services_in_memory(clock), clock) as served:
        yield served


def give(api: Api, path: str, key: str, **changes: Any) -> httpx.Response:
    return api.http.post(path, json={**ORDERS[path], **changes}, headers={"Idempotency-Key": key})


@BOTH
def test_the_same_order_again_answers_what_it_made_the_first_time(api: Api, path: str) -> None:
    first, again = give(api, path, "one"), give(api, path, "one")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert len(api.services.parts.manager.outbounds()) == 1
    other = give(api, path, "two")
    assert (other.status_code, other.json()["id"] == first.json()["id"]) == (201, False)


@BOTH
def test_what_it_made_is_answered_as_it_stands_now(api: Api, path: str) -> None:
    made = give(api, path, "one").json()
    assert api.post(f"{path}/{made['id']}/cancel").status_code == 200
    again = give(api, path, "one").json()
    assert again.get("phase", again.get("state")) == "cancelled"


@BOTH
def test_what_was_said_counts_and_not_how_it_was_written(api: Api, path: str) -> None:
    made = give(api, path, "one").json()
    spread = ",\n ".join(f'"{name}": {_json(value)}' for name, value in reversed(ORDERS[path].items()))
    headers = {"Idempotency-Key": "one", "Content-Type": "application/json"}
    again = api.http.post(path, content=f"{{ {spread} }}", headers=headers)
    assert (again.status_code, again.json()["id"]) == (200, made["id"])


def _json(value: Any) -> str:
    return f'{{"max_per_period_msat" : {value["max_per_period_msat"]}}}' if isinstance(value, dict) else (
        str(value) if isinstance(value, int) else f'"{value}"'
    )  # fmt: skip


@BOTH
def test_another_order_under_a_used_key_is_refused(api: Api, path: str) -> None:
    give(api, path, "one")
    answer = give(api, path, "one", payer_note="another one")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["field"]) == (422, "KeyReused", "Idempotency-Key")
    [elsewhere] = [other for other in ORDERS if other != path]
    assert give(api, elsewhere, "one").status_code == 422
    assert len(api.services.parts.manager.outbounds()) == 1


@BOTH
@pytest.mark.parametrize("key", ["", "a b", "x" * 201, "é".encode(), b"a\tb"])
def test_a_key_that_is_none_is_refused_and_nothing_is_ordered(api: Api, path: str, key: str | bytes) -> None:
    answer = api.http.post(path, json=ORDERS[path], headers={"Idempotency-Key": key})  # type: ignore[dict-item]
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "Idempotency-Key")
    twice = api.http.post(path, json=ORDERS[path], headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "a")])
    assert twice.status_code == 400
    assert not api.services.parts.manager.outbounds()


@BOTH
def test_without_a_key_every_order_is_one_of_its_own(api: Api, path: str) -> None:
    assert [api.post(path, ORDERS[path]).status_code for _ in range(2)] == [201, 201]
    assert len(api.services.parts.manager.outbounds()) == 2


@BOTH
def test_an_order_that_was_refused_leaves_its_key_free(api: Api, path: str) -> None:
    assert give(api, path, "one", offer="lno1pgx").status_code == 400
    assert give(api, path, "one").status_code == 201


@BOTH
def test_an_order_whose_answer_was_lost_in_the_store_is_found_again(
    api: Api, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection to the database breaks during COMMIT: it was stored, and the daemon cannot know."""
    manager = api.services.parts.manager
    commit = manager.commit_outbound

    def lost(change: Change[Outbound]) -> Any:
        commit(change)
        raise StoreUnavailable("the connection was lost")

    monkeypatch.setattr(manager, "commit_outbound", lost)
    failed = give(api, path, "one")
    assert (failed.status_code, failed.json()["error"]["retry"]) == (503, True)
    monkeypatch.undo()
    again = give(api, path, "one")
    [made] = manager.outbounds()
    assert (again.status_code, again.json()["id"]) == (200, made.recurrence_id.hex())


# --- several processes on one store ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_an_order_that_is_given_to_several_processes_at_once_is_one_order(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    url: str = request.getfixturevalue("postgres_store") if kind == "postgresql" else ""

    def manager() -> SqlRecurrenceManager:
        return open_postgresql_manager(url) if url else open_sqlite_manager(tmp_path / "a.sqlite")

    with closing(manager()) as one, closing(manager()) as two, closing(manager()) as three:
        payers = [services_in_memory(VirtualClock(NOW), each).payer for each in (one, two, three)]
        for number, payer in enumerate(payers):  # the stand-ins for entropy are alike; real processes have their own
            payer._entropy.take(number + 1)
        for name in ("first", "second", "third"):
            order, ready = OrderKey(name, sha256(name.encode())), threading.Barrier(len(payers))
            made: list[Outbound] = []

            def work(number: int, order: OrderKey = order, ready: threading.Barrier = ready,
                     made: list[Outbound] = made) -> None:  # fmt: skip
                ready.wait()
                made.append(payers[number].subscribe(OFFER, a_mandate(), Terms(), order))

            threads = [threading.Thread(target=work, args=(number,)) for number in range(len(payers))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(made) == len(payers)
            assert len({state.recurrence_id for state in made}) == 1
            with pytest.raises(KeyReused):
                payers[0].subscribe(OFFER, a_mandate(), Terms(), OrderKey(name, sha256(b"another")))
        assert [state.phase for state in one.outbounds()] == [Phase.AWAITING_FIRST_INVOICE] * 3
