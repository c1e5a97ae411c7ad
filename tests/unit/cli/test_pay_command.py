"""lnrecur pay and lnrecur payments: an offer is paid once, and the receipt is printed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.cli_daemon import MONTHLY, NOBODY, Commands, an_offer, commands, run
from helpers.daemons import Daemon

pytestmark = pytest.mark.slow
PLAIN = an_offer(None)


@pytest.fixture(scope="module")
def lnrecur(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with commands(tmp_path_factory.mktemp("pay")) as running:
        yield running


@pytest.fixture(scope="module")
def shop(lnrecur: Commands) -> Iterator[dict[str, Any]]:
    """Another daemon over the same play money, and its offers."""
    folder = lnrecur.daemon.folder.parent / "shop"
    folder.mkdir()
    daemon = Daemon(folder / "home", lnrecur.daemon.folder.parent / "money.sqlite")
    daemon.start()
    selling = Commands(daemon)
    offers = {
        "plain": selling.ask("offer", "create", "A coffee", "--amount", "1000sat"),
        "open": selling.ask("offer", "create", "A tip"),
        "optional": selling.ask("offer", "create", "A paper", "--amount", "20sat", "--every", "1d", "--optional"),
    }
    yield offers
    daemon.terminate()


def paid(lnrecur: Commands, offer: dict[str, Any], *flags: str) -> dict[str, Any]:
    result = lnrecur.run("pay", offer["offer"], "--via", offer["peer_address"], "--yes", "--json", *flags)
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    assert told["state"] == "paid"
    return told


def test_an_offer_is_paid_once_and_its_receipt_printed(lnrecur: Commands, shop: dict[str, Any]) -> None:
    offer = shop["plain"]
    result = lnrecur.run("pay", offer["offer"], "--via", offer["peer_address"], answer="y\n")
    assert result.exit_code == 0, result.output
    for told in ("A coffee", "1,000 sat, paid once", "at most 1,000 sat, once", "Pay this?", "asking for an invoice"):
        assert told in result.stderr
    first, payment_hash, receipt = result.stdout.splitlines()
    assert first == "Paid 1,000 sat."
    assert len(payment_hash.split()[-1]) == len(receipt.split()[-1]) == 64
    listed = lnrecur.run("payments", "list").stdout
    assert [line for line in listed.splitlines() if "A coffee" in line and "once" in line and "settled" in line]
    assert "A coffee" not in lnrecur.run("subscriptions", "list").stdout


def test_the_payer_chooses_the_amount_where_the_offer_leaves_it_open(lnrecur: Commands, shop: dict[str, Any]) -> None:
    told = paid(lnrecur, shop["open"], "--amount", "7sat", "--note", "thanks")
    assert (told["amount_msat"], told["payer_note"]) == (7000, "thanks")
    shown = lnrecur.run("payments", "show", told["id"][:10]).stdout
    assert told["preimage"] in shown
    assert "next try" not in shown


def test_an_offer_with_optional_recurrence_is_paid_once(lnrecur: Commands, shop: dict[str, Any]) -> None:
    assert paid(lnrecur, shop["optional"])["amount_msat"] == 20_000


def test_who_does_not_say_yes_pays_nothing(lnrecur: Commands) -> None:
    result = lnrecur.run("pay", PLAIN, answer="n\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith("Nothing is paid.\n")


def test_a_payment_can_be_ordered_without_waiting_and_cancelled(lnrecur: Commands) -> None:
    result = lnrecur.run("pay", PLAIN, "--via", NOBODY, "--yes", "--no-wait")
    name = result.stdout.splitlines()[0].removeprefix("Ordered: ")
    assert lnrecur.run("payments", "cancel", name).stdout == f"{name}: cancelled\n"
    listed = next(line for line in lnrecur.run("payments", "list").stdout.splitlines() if line.startswith(name))
    assert "cancelled" in listed


REFUSED = [
    (("nonsense",), "begins with letters and a 1"),
    ((an_offer(MONTHLY),), "by subscription only"),
    ((an_offer(None, amount=None),), "say --amount, in sat"),
    ((an_offer(None, amount=None), "--amount", "5EUR"), "say --amount, in sat"),
    ((PLAIN, "--amount", "999sat"), "less than this offer costs: 1,000 sat"),
    ((PLAIN, "--quantity", "2"), "single items"),
    ((PLAIN, "--via", "alice"), "write ID@HOST:PORT"),
    ((an_offer(None, currency="EUR", amount=500),), "no exchange rates"),
]


@pytest.mark.parametrize(("args", "told"), REFUSED)
def test_what_cannot_be_paid_is_one_line_and_exit_code_2(lnrecur: Commands, args: tuple[str, ...], told: str) -> None:
    result = lnrecur.run("pay", *args, "--yes")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert told in result.stderr


def test_an_empty_list_says_so(tmp_path: Path) -> None:
    with commands(tmp_path) as fresh:
        assert fresh.run("payments", "list").stdout == "No payments yet.\n"
        assert json.loads(run("payments", "list", "--json", home=fresh.daemon.folder).stdout)["ordered"] == []
