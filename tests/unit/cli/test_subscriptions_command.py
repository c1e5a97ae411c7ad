"""lnrecur subscriptions: listing, showing, cancelling and approving, over a real daemon."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from helpers.cli_daemon import MONTHLY, NOBODY, Commands, an_offer, commands

pytestmark = pytest.mark.slow
OFFER = an_offer(MONTHLY)


@pytest.fixture(scope="module")
def lnrecur(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with commands(tmp_path_factory.mktemp("subscriptions")) as running:
        yield running


def subscribe(lnrecur: Commands, *flags: str) -> str:
    told: dict[str, Any] = lnrecur.ask("subscribe", OFFER, "--via", NOBODY, "--yes", *flags)
    name: str = told["id"]
    return name


def waiting(lnrecur: Commands, *flags: str) -> str:
    """A subscription whose first payment waits for a yes."""
    name = subscribe(lnrecur, *flags)
    until = time.monotonic() + 20
    while lnrecur.ask("subscriptions", "show", name)["phase"] != "needs_approval":
        assert time.monotonic() < until
        time.sleep(0.02)
    return name


def test_the_list_shows_phase_and_sums(lnrecur: Commands) -> None:
    name = waiting(lnrecur, "--ask-each-time")
    result = lnrecur.run("subscriptions", "list")
    assert (result.exit_code, result.stderr) == (0, "")
    row = next(line for line in result.stdout.splitlines() if line.startswith(name[:12]))
    for told in ("payer", "needs_approval", "coffee club", "0 sat"):
        assert told in row
    listed = lnrecur.ask("subscriptions", "list", "--role", "payer")["subscriptions"]
    assert name in [one["id"] for one in listed]
    assert lnrecur.ask("subscriptions", "list", "--role", "payee") == {"subscriptions": []}


def test_one_is_shown_with_what_it_waits_for_and_what_happened(lnrecur: Commands) -> None:
    name = waiting(lnrecur, "--max-per-period", "500sat", "--max-total", "5000sat", "--max-payments", "7")
    result = lnrecur.run("subscriptions", "show", name[:12])
    assert (result.exit_code, result.stderr) == (0, "")
    for told in (
        name,
        "0 sat in 0 payments",
        "1,000 sat asked, at most 500 sat per period allowed",
        "your approval of 1,000 sat",
        "at most 500 sat per period, 5,000 sat in all, 7 payments",
        "subscription.needs_approval",
    ):
        assert told in result.stdout
    assert lnrecur.ask("subscriptions", "show", name)["awaiting_msat"] == 1_000_000


def test_what_waits_is_declined_and_that_is_the_end(lnrecur: Commands) -> None:
    name = waiting(lnrecur, "--ask-each-time")
    assert lnrecur.run("subscriptions", "decline", name).stdout == f"{name[:12]}: cancelled\n"


def test_a_pause_says_what_it_means_and_a_resume_ends_it(lnrecur: Commands) -> None:
    name = subscribe(lnrecur)
    paused = lnrecur.run("subscriptions", "pause", name[:12])
    assert (paused.exit_code, paused.stdout) == (
        0,
        f"{name[:12]}: paused\nThe first payment waits until you resume.\n",
    )
    resumed = lnrecur.run("subscriptions", "resume", name[:12])
    assert (resumed.exit_code, resumed.stdout) == (0, f"{name[:12]}: awaiting_first_invoice\n")
    assert lnrecur.run("subscriptions", "resume", name).exit_code == 2


def test_an_amendment_shows_what_it_changed(lnrecur: Commands) -> None:
    name = subscribe(lnrecur, "--max-total", "5000sat")
    result = lnrecur.run(
        "subscriptions", "amend", name[:12], "--max-per-period", "1500sat", "--max-total", "none", "--catch-up",
        "--jitter", "none", "--request-retry", "first=7s",
    )  # fmt: skip
    assert (result.exit_code, result.stderr) == (0, "")
    rows = [" ".join(line.split()) for line in result.stdout.splitlines()]
    for row in ("max per period 1,000 sat 1,500 sat", "max total 5,000 sat none", "missed stop catch_up"):
        assert row in rows
    shown = lnrecur.run("subscriptions", "show", name).stdout
    for told in ("at most 1,500 sat per period", "after 7 s, then 2 times", "is paid late", "request no."):
        assert told in shown
    again = lnrecur.run("subscriptions", "amend", name, "--catch-up")
    assert again.stdout.endswith("Nothing changed: it was so before.\n")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ((), "nothing to amend was said"),
        (("--slippage", "3"), "for a limit in a currency"),
        (("--max-per-period", "9EUR"), "no exchange rates"),
        (("--max-per-period", "none"), "is no amount"),
        (("--fee-ppm", "none"), "integer"),
    ],
)
def test_what_cannot_be_amended_is_one_line(lnrecur: Commands, flags: tuple[str, ...], told: str) -> None:
    result = lnrecur.run("subscriptions", "amend", subscribe(lnrecur), *flags)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert told in result.stderr


def test_a_subscription_is_cancelled_once(lnrecur: Commands) -> None:
    name = subscribe(lnrecur)
    result = lnrecur.run("subscriptions", "cancel", name[:16])
    assert (result.exit_code, result.stdout) == (0, f"{name[:12]}: cancelled\n")
    again = lnrecur.run("subscriptions", "cancel", name, "--json")
    assert again.exit_code == 2
    error = json.loads(again.stdout)["error"]
    assert error["message"] == "there is nothing to cancel: this subscription is cancelled"
    assert error["field"] == "id"


@pytest.mark.parametrize("what", ["show", "cancel", "approve", "decline", "pause", "resume"])
@pytest.mark.parametrize(("wanted", "told"), [("00" * 32, "begins with"), ("../info", "is no id"), ("", "is no id")])
def test_what_is_not_there_is_one_line(lnrecur: Commands, what: str, wanted: str, told: str) -> None:
    result = lnrecur.run("subscriptions", what, wanted)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert told in result.stderr


@pytest.mark.parametrize("args", [("list", "--role", "merchant"), ("show",), ("cancel",), ("approve",), ("pay", "0")])
def test_wrong_usage_is_one_line_that_names_the_help(lnrecur: Commands, args: tuple[str, ...]) -> None:
    result = lnrecur.run("subscriptions", *args)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "--help)" in result.stderr
