"""lnrecur offer retire, pause, resume, end, replace; lnrecur subscriptions pause, resume, waive, end."""

from collections.abc import Iterator

import pytest

from helpers.cli_daemon import MONTHLY, NOBODY, Commands, an_offer, commands

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lnrecur(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with commands(tmp_path_factory.mktemp("orders")) as running:
        yield running


def _offer(lnrecur: Commands) -> str:
    told = lnrecur.ask("offer", "create", "coffee", "--amount", "10sat", "--every", "month")
    return str(told["offer_id"])


def test_an_offer_is_retired_paused_and_resumed(lnrecur: Commands) -> None:
    offer_id = _offer(lnrecur)
    for verb, status in [("retire", "retired"), ("pause", "paused"), ("resume", "open")]:
        result = lnrecur.run("offer", verb, offer_id[:20])
        assert (result.exit_code, result.stdout) == (0, f"{offer_id[:12]}: {status}\n")
    assert lnrecur.ask("offer", "show", offer_id)["status"] == "open"
    result = lnrecur.run("offer", "resume", offer_id)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "cannot become open" in result.stderr


def test_what_cannot_be_undone_is_asked_first(lnrecur: Commands) -> None:
    offer_id, successor = _offer(lnrecur), _offer(lnrecur)
    declined = lnrecur.run("offer", "end", offer_id, answer="n\n")
    assert declined.exit_code != 0
    assert lnrecur.ask("offer", "show", offer_id)["status"] == "open"
    assert lnrecur.run("offer", "end", offer_id, answer="y\n").stdout == f"{offer_id[:12]}: ended\n"
    replaced = _offer(lnrecur)
    told = lnrecur.ask("offer", "replace", replaced, "--by", successor[:20], "--yes")
    assert (told["status"], told["successor"]) == ("replaced", lnrecur.ask("offer", "show", successor)["offer"])


def test_a_subscription_that_we_pay_is_paused_and_resumed(lnrecur: Commands) -> None:
    told = lnrecur.ask("subscribe", an_offer(MONTHLY), "--via", NOBODY, "--yes")
    assert lnrecur.run("subscriptions", "pause", told["id"]).stdout.startswith(f"{told['id'][:12]}: paused\n")
    assert lnrecur.ask("subscriptions", "resume", told["id"])["phase"] != "paused"


@pytest.mark.parametrize("verb", ["waive", "end"])
def test_only_a_seller_waives_and_ends(lnrecur: Commands, verb: str) -> None:
    told = lnrecur.ask("subscribe", an_offer(MONTHLY), "--via", NOBODY, "--yes")
    result = lnrecur.run("subscriptions", verb, told["id"], *(["--yes"] if verb == "end" else []))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no subscription that we are paid" in result.stderr


def test_a_price_in_a_currency_needs_exchange_rates(lnrecur: Commands) -> None:
    result = lnrecur.run("offer", "create", "coffee", "--amount", "9.99EUR", "--every", "month")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no exchange rate for EUR" in result.stderr


def test_every_policy_reaches_the_offer(lnrecur: Commands) -> None:
    told = lnrecur.ask(
        "offer", "create", "gift", "--amount-min", "5sat", "--every", "day", "--lenient", "--arrears-max", "2",
        "--early", "1h", "--after-window", "return", "--after-cancel", "take", "--after-end", "take", "--give-state",
        "--fiat-expiry", "2min",
    )  # fmt: skip
    assert told["policy"] == {
        "windows": "lenient", "invoice_expiry_s": 3600, "first_in_window": False, "payments_max": None,
        "early_s": 3600, "grace_s": 0, "arrears_max": 2, "fiat_expiry_s": 120, "amount_min_msat": 5000,
        "overask_max": 5, "after_window": "return", "after_cancel": "take", "after_end": "take", "give_state": True,
    }  # fmt: skip
    assert lnrecur.ask("offer", "create", "x", "--every", "day", "--grace", "90s")["policy"]["grace_s"] == 90
