"""lnrecur subscriptions approve: what waits is shown in words, and a yes is to that only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from helpers.cli_daemon import MONTHLY, NOBODY, Commands, an_offer, commands

pytestmark = pytest.mark.slow
OFFER = an_offer(MONTHLY)


@pytest.fixture(scope="module")
def lnrecur(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with commands(tmp_path_factory.mktemp("approve")) as served:
        yield served


def waiting(lnrecur: Commands, *flags: str) -> str:
    """A subscription whose first payment waits for a yes."""
    told = lnrecur.ask("subscribe", OFFER, "--via", NOBODY, "--yes", *flags)
    name: str = told["id"]
    lnrecur.daemon.wait_for_phase(name, "needs_approval", 10)
    return name


def rows(text: str) -> dict[str, str]:
    """Names and values as they are printed."""
    pairs = (line.strip().split("  ", 1) for line in text.splitlines() if line.startswith("  "))
    return {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}


def test_what_would_be_paid_is_shown_and_a_no_changes_nothing(lnrecur: Commands) -> None:
    name = waiting(lnrecur, "--max-per-period", "500sat")
    result = lnrecur.run("subscriptions", "approve", name[:12], answer="n\n")
    assert (result.exit_code, result.stdout) == (1, "")
    told = rows(result.stderr)
    assert told["for"] == "coffee club"
    assert told["you pay"] == "1,000 sat, and at most 20 sat of routing fees"
    assert told["because"] == "1,000 sat asked, at most 500 sat per period allowed"
    assert told["mandate"] == "at most 500 sat per period, routing fees up to 10 sat and 1 % of each"
    assert told["from now on"] == "the same: this yes is for this once"
    assert told["so far"] == "0 sat in 0 payments"
    assert "Nothing is paid; it still waits" in result.stderr
    assert lnrecur.ask("subscriptions", "show", name)["phase"] == "needs_approval"


def test_a_yes_pays_once_and_a_second_one_is_told_that_nothing_waits(lnrecur: Commands) -> None:
    name = waiting(lnrecur, "--ask-each-time")
    result = lnrecur.run("subscriptions", "approve", name, answer="y\n")
    assert (result.exit_code, result.stdout) == (0, f"{name[:12]}: awaiting_first_invoice\n")
    assert rows(result.stderr)["you pay"] == "1,000 sat, within your limits"
    again = lnrecur.run("subscriptions", "approve", name, "--yes")
    assert (again.exit_code, again.stderr) == (
        2,
        "lnrecur: nothing waits for approval: this subscription is awaiting_first_invoice\n",
    )


def test_what_changed_while_somebody_was_reading_is_not_agreed_to(
    lnrecur: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = waiting(lnrecur, "--ask-each-time")

    def amended_meanwhile(*_: Any, **__: Any) -> bool:
        lnrecur.ask("subscriptions", "amend", name, "--max-per-period", "5000sat")
        return True

    monkeypatch.setattr("click.confirm", amended_meanwhile)
    result = lnrecur.run("subscriptions", "approve", name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.endswith("something else is asked now than what this answers: look at it again\n")
    assert lnrecur.ask("subscriptions", "show", name)["phase"] == "needs_approval"


def test_an_approval_can_carry_new_limits_and_leaves_the_others_as_they_are(lnrecur: Commands) -> None:
    name = waiting(lnrecur, "--max-per-period", "1sat", "--max-total", "7000sat")
    flags = ("--max-per-period", "2000", "--until", "2999-01-01T00:00:00Z")
    shown = lnrecur.run("subscriptions", "approve", name, *flags, answer="n\n")
    assert rows(shown.stderr)["from now on"].startswith("at most 2,000 sat per period, 7,000 sat in all, until 2999-")
    told = lnrecur.ask("subscriptions", "approve", name, "--yes", *flags)
    assert told["phase"] == "awaiting_first_invoice"
    assert told["mandate"]["max_per_period_msat"] == 2_000_000
    assert told["mandate"]["max_total_msat"] == 7_000_000
    assert told["mandate"]["ends_at"] == "2999-01-01T00:00:00Z"
    changes = [e["data"]["field"] for e in lnrecur.ask("subscriptions", "show", name)["events"]
               if e["name"] == "subscription.amended"]  # fmt: skip
    assert changes == ["mandate.max_per_period_msat", "mandate.ends_at"]


def test_without_a_terminal_nobody_agrees_by_accident(lnrecur: Commands) -> None:
    name = waiting(lnrecur, "--ask-each-time")
    result = lnrecur.run("subscriptions", "approve", name, "--json", answer="")
    assert (result.exit_code, result.stdout) == (1, "")
    assert lnrecur.ask("subscriptions", "show", name)["phase"] == "needs_approval"
