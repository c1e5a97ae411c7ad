"""lnrecur subscribe: what is authorised is shown in words first, and nothing happens without a yes."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import click
import pytest

from helpers.cli_daemon import MONTHLY, NOBODY, Commands, an_offer, commands
from lnrecur.bolt12 import Dialect, Offer, Recurrence, TimeUnit
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.cli.amounts import Price
from lnrecur.cli.authorisation import Authorisation
from lnrecur.cli.output import local_moment
from lnrecur.cli.payer_options import NOTHING, limit_changes
from lnrecur.recurrence.mandate import FiatLimit, Mandate
from lnrecur.recurrence.outbound_model import Missed, Terms, Trigger
from lnrecur.values import Msat, UnixSeconds
from lnrecur.wire.integers import U64_MAX

NOW = 1_800_000_000
DAY = 86_400
PRICE = Msat(1_000_000)
OFFER = an_offer(MONTHLY)

# --- the authorisation -----------------------------------------------------------------------------------------------


def authorisation(recurrence: Recurrence = MONTHLY, *, terms: Terms | None = None, **limits: Any) -> Authorisation:
    offer = Offer.from_text(an_offer(recurrence))
    found = offer.recurrence
    assert found is not None
    return Authorisation(offer, found, Mandate(**{"max_per_period_msat": PRICE, **limits}), terms or Terms(), NOW)


def facts(told: Authorisation) -> dict[str, str]:
    return dict(told.facts())


def daily(**changes: Any) -> Recurrence:
    return Recurrence(TimeUnit.DAYS, 1, **changes)


def in_euro(**limits: Any) -> Authorisation:
    offer = Offer.from_text(an_offer(daily(limit=2), currency="EUR", amount=999))
    found = offer.recurrence
    assert found is not None
    return Authorisation(offer, found, Mandate(None, fiat=FiatLimit("EUR", 999), **limits), Terms(), NOW)


def test_a_limit_in_a_currency_is_told_in_it() -> None:
    told = facts(in_euro())
    assert told["each time"] == "at most 9.99 EUR plus 5 %, and at most 10 sat and 1 % of it of routing fees"
    assert told["in all"] == ("at most 31.44 EUR in 3 payments, and at most 10 sat and 1 % of it of routing fees each")
    both = facts(in_euro(max_total_msat=Msat(9_000_000)))
    assert both["in all"].startswith("at most 31.44 EUR and 9,000 sat in 3 payments")


def test_a_total_in_a_currency_is_told_in_it() -> None:
    offer = Offer.from_text(an_offer(daily(), currency="EUR", amount=999))
    found = offer.recurrence
    assert found is not None
    told = facts(Authorisation(offer, found, Mandate(None, fiat=FiatLimit("EUR", 999, 0, 5000)), Terms(), NOW))
    assert told["in all"] == "at most 50.00 EUR plus 0 %, and routing fees of each payment"
    bound = Mandate(None, fiat=FiatLimit("EUR", 999, 0, 1500), max_payments=9)
    told = facts(Authorisation(offer, found, bound, Terms(), NOW))
    assert told["in all"].startswith("at most 15.00 EUR in 9 payments")


SAID = {
    "max_per_period": None, "slippage": None, "max_total": None, "max_payments": None, "until": None, "max_fee": None,
    "fee_ppm": None, "catch_up_max": None,
}  # fmt: skip
EUROS = {"currency": "EUR", "max_per_period_minor": 999, "slippage_ppm": 0, "max_total_minor": None}


@pytest.mark.parametrize(
    ("said", "before", "changes"),
    [
        ({"max_total": Price(5000, "EUR")}, EUROS, {"fiat": {**EUROS, "max_total_minor": 5000}}),
        ({"max_total": Price(7_000)}, EUROS, {"max_total_msat": 7000}),
        ({"max_total": NOTHING}, {**EUROS, "max_total_minor": 9}, {"max_total_msat": None, "fiat": EUROS}),
        ({"max_total": NOTHING}, None, {"max_total_msat": None}),
        (
            {"max_per_period": Price(5, "EUR"), "slippage": 1},
            {**EUROS, "max_total_minor": 9},
            {
                "max_per_period_msat": None,
                "fiat": {**EUROS, "max_per_period_minor": 5, "slippage_ppm": 1, "max_total_minor": 9},
            },
        ),
        (
            {"max_per_period": Price(5, "USD"), "max_total": Price(50, "USD"), "slippage": 0},
            {**EUROS, "max_total_minor": 9},
            {
                "max_per_period_msat": None,
                "fiat": {"currency": "USD", "max_per_period_minor": 5, "slippage_ppm": 0, "max_total_minor": 50},
            },
        ),
    ],
    ids=str,
)
def test_a_total_is_changed_in_what_it_is_said_in(said: dict[str, Any], before: Any, changes: dict[str, Any]) -> None:
    assert limit_changes({**SAID, **said}, {"fiat": before}) == changes


@pytest.mark.parametrize("before", [None, EUROS])
def test_a_total_in_another_currency_than_the_limit_is_refused(before: Any) -> None:
    with pytest.raises(click.UsageError, match="--max-total is in USD, and the limit per period in"):
        limit_changes({**SAID, "max_total": Price(50, "USD")}, {"fiat": before})


def test_the_payee_is_named_by_the_key_that_signs() -> None:
    offer = Offer.from_text(OFFER)
    assert offer.issuer_id is not None
    assert facts(authorisation())["payee"] == f"(the offer does not say), key {offer.issuer_id.hex()[:16]}..."


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        (Terms(), "a period that cannot be paid in its window ends the subscription"),
        (
            Terms(missed=Missed.CATCH_UP),
            "periods that could not be paid in their window are paid late and in order, at most 10 at once without "
            "asking",
        ),
    ],
)
def test_what_happens_to_missed_periods_is_told(terms: Terms, told: str) -> None:
    assert facts(authorisation(terms=terms))["missed"] == told


def test_without_a_limit_it_says_that_it_goes_on() -> None:
    told = facts(authorisation())
    assert told["each time"] == "at most 1,000 sat, and at most 20 sat of routing fees"
    assert told["in all"] == "NO UPPER BOUND: it goes on until you cancel"
    assert told[""] == "and so on"


@pytest.mark.parametrize(
    ("recurrence", "limits", "payments", "most"),
    [
        (daily(limit=2), {}, 3, "3,000 sat in 3 payments, and at most 60 sat"),
        (daily(), {"max_payments": 1}, 1, "1,000 sat in 1 payment, and at most 20 sat"),
        (daily(limit=2), {"max_payments": 2}, 2, "2,000 sat in 2 payments, and at most 40 sat"),
        (daily(), {"max_total_msat": 3_500_000}, 3, "3,000 sat in 3 payments, and at most 60 sat"),
        (daily(), {"ends_at": NOW + 3 * DAY}, 3, "3,000 sat in 3 payments, and at most 60 sat"),
        (daily(), {"ends_at": NOW + 3 * DAY + 1}, 4, "4,000 sat in 4 payments, and at most 80 sat"),
        (
            daily(),
            {"max_payments": 3, "fee_base_msat": 0, "fee_ppm": 0},
            3,
            "3,000 sat in 3 payments, and at most 0 sat",
        ),
        (daily(base=RecurrenceBase(0, NOW - 10 * DAY), limit=11), {}, 2, "2,000 sat in 2 payments, and at most 40 sat"),
    ],
)
def test_the_most_it_can_ever_cost_is_told(
    recurrence: Recurrence, limits: dict[str, Any], payments: int, most: str
) -> None:
    told = authorisation(recurrence, **limits)
    assert (told.payments, facts(told)["in all"]) == (payments, f"at most {most} of routing fees")
    assert len(told.dates()) == payments


@pytest.mark.parametrize("limits", [{"ends_at": NOW}, {"max_total_msat": 999_999}, {"max_payments": 0}])
def test_limits_that_allow_nothing_are_told_as_such(limits: dict[str, Any]) -> None:
    told = authorisation(daily(), **limits)
    assert (told.dates(), facts(told)["in all"]) == ([], "nothing: these limits allow no payment at all")


def test_a_total_alone_bounds_a_price_that_the_payee_scales() -> None:
    told = authorisation(daily(base=RecurrenceBase(1, NOW)), max_total_msat=5_000_000)
    assert facts(told)["in all"] == "at most 5,000 sat, and routing fees of each payment"


def test_the_first_five_dates_are_those_of_the_calendar() -> None:
    january = RecurrenceBase(0, 1_801_396_800)  # 2027-01-31 12:00:00 UTC
    told = authorisation(replace(MONTHLY, base=january))
    expected = [NOW, 1_803_816_000, 1_806_494_400, 1_809_086_400, 1_811_764_800]  # the last days of the months
    assert told.dates() == expected
    shown = facts(told)
    assert shown["payment 1"] == "now"
    assert [shown[f"payment {number}"] for number in range(2, 6)] == [local_moment(moment) for moment in expected[1:]]


def test_who_joins_later_pays_the_running_period_first() -> None:
    told = authorisation(daily(base=RecurrenceBase(0, NOW - 10 * DAY - 5)))
    assert (told.start, told.dates()[:3]) == (10, [NOW, NOW + DAY - 5, NOW + 2 * DAY - 5])
    chosen = authorisation(daily(base=RecurrenceBase(0, NOW - 10 * DAY - 5)), terms=Terms(start=12))
    assert (chosen.start, chosen.dates()[:2]) == (12, [NOW, NOW + 3 * DAY - 5])


def test_a_window_that_ends_before_the_period_brings_the_payment_forward() -> None:
    told = authorisation(daily(paywindow=Paywindow(3600, 0)))
    assert told.dates()[:2] == [NOW, NOW + DAY - 1]


def test_dates_end_where_time_does() -> None:
    told = authorisation(replace(MONTHLY, base=RecurrenceBase(0, U64_MAX - 5)), terms=Terms(start=0))
    assert told.dates() == [NOW]
    assert authorisation(daily(), ends_at=UnixSeconds(U64_MAX)).payments == 2**32


OF_CORE_LIGHTNING = replace(MONTHLY, dialect=Dialect.CLN)


def test_the_habits_of_core_lightning_are_told_before_anything_is_authorised() -> None:
    told = authorisation(OF_CORE_LIGHTNING, terms=Terms(missed=Missed.CATCH_UP)).facts()
    mind = [words for name, words in told if name == "mind"]
    assert "a missed period ends this subscription for good" in mind[0]
    assert "not paid in time ends it too" in mind[1]
    assert dict(told)["missed"] == "a period that cannot be paid in its window ends the subscription"


def test_a_first_payment_that_waits_for_its_window_has_a_date() -> None:
    base = RecurrenceBase(0, NOW - DAY // 2)
    terms = daily(base=base, paywindow=Paywindow(60, 60), dialect=Dialect.CLN)
    assert authorisation(terms).dates()[:2] == [NOW + DAY // 2 - 60, NOW + 3 * DAY // 2]
    assert facts(authorisation(terms))["payment 1"] == local_moment(NOW + DAY // 2 - 60)
    assert facts(authorisation(replace(terms, dialect=Dialect.DRAFT)))["payment 1"] == "now"


def test_what_will_wait_for_a_person_is_told() -> None:
    assert facts(authorisation(terms=Terms(trigger=Trigger.ON_APPROVAL)))["asked"] == "before every payment"
    low = facts(authorisation(max_per_period_msat=Msat(5)))
    assert low["mind"] == "the price is 1,000 sat: every payment will wait for your approval"


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lnrecur(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with commands(tmp_path_factory.mktemp("subscribe")) as running:
        yield running


def stored(lnrecur: Commands) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lnrecur.ask("subscriptions", "list")["subscriptions"]
    return found


@pytest.mark.slow
def test_it_asks_in_words_and_subscribes_on_a_yes(lnrecur: Commands) -> None:
    flags = ("--via", NOBODY, "--max-payments", "3", "--until", "2999-01-01")
    result = lnrecur.run("subscribe", OFFER, *flags, answer="y\n")
    assert result.exit_code == 0
    for told in (
        "coffee club",
        "1,000 sat every month",
        "3,000 sat in 3 payments",
        local_moment(32_472_144_000),
        "[y/N]:",
    ):
        assert told in result.stderr
    first, second = result.stdout.splitlines()
    name = first.removeprefix("Subscribed: ")
    assert second == f"See `lnrecur subscriptions show {name}`."
    shown = lnrecur.ask("subscriptions", "show", name)
    assert (shown["mandate"]["max_payments"], shown["mandate"]["purpose"]) == (3, "coffee club")


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["n\n", "\n"])
def test_without_a_yes_nothing_is_stored(lnrecur: Commands, answer: str) -> None:
    before = stored(lnrecur)
    result = lnrecur.run("subscribe", OFFER, answer=answer)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.endswith("Nothing was authorised, and nothing will be paid.\n")
    assert stored(lnrecur) == before


@pytest.mark.slow
def test_an_input_that_ends_is_no_yes(lnrecur: Commands) -> None:
    before = stored(lnrecur)
    result = lnrecur.run("subscribe", OFFER, answer="")
    assert (result.exit_code, result.stdout) == (1, "")
    assert stored(lnrecur) == before


@pytest.mark.slow
def test_with_yes_nobody_is_asked_and_json_is_one_document(lnrecur: Commands) -> None:
    result = lnrecur.run(
        "subscribe", f"lightning:{OFFER}", "--yes", "--json", "--max-per-period", "2000sat", "--max-total", "9000sat",
        "--note", "hi", "--ask-each-time", "--catch-up", "--catch-up-max", "4", "--fee-ppm", "500", "--max-fee",
        "20sat", "--pay-at", "before-end", "--margin", "1h", "--jitter", "0", "--payment-retry", "first=9s,tries=3",
    )  # fmt: skip
    assert (result.exit_code, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    assert (told["trigger"], told["missed"]) == ("on_approval", "catch_up")
    assert (told["pay_at"], told["margin_s"], told["jitter_s"]) == ("before_end", 3600, 0)
    assert (told["payment_retry"]["first_delay_s"], told["payment_retry"]["tries_max"]) == (9, 3)
    assert told["mandate"] == {
        "max_per_period_msat": 2_000_000,
        "max_total_msat": 9_000_000,
        "max_payments": None,
        "ends_at": None,
        "fee_base_msat": 10_000,
        "fee_ppm": 500,
        "fee_max_msat": 20_000,
        "catch_up_max": 4,
        "fiat": None,
        "purpose": "coffee club",
    }


@pytest.mark.slow
def test_the_habits_of_core_lightning_are_told_after_a_yes_too(lnrecur: Commands) -> None:
    offer = an_offer(OF_CORE_LIGHTNING)
    result = lnrecur.run("subscribe", offer, "--yes", "--ask-if-price-differs")
    assert result.exit_code == 0, result.stderr
    assert "Mind: a missed period ends this subscription for good" in result.stdout
    name = result.stdout.splitlines()[0].removeprefix("Subscribed: ")
    shown = lnrecur.ask("subscriptions", "show", name)
    assert shown["ask_if_price_differs"] is True
    assert len(shown["mind"]) == 2


@pytest.mark.slow
def test_the_offer_may_come_from_standard_input(lnrecur: Commands) -> None:
    result = lnrecur.run("subscribe", "-", "--yes", "--json", answer=f"{OFFER}\n")
    assert json.loads(result.stdout)["offer_id"] == Offer.from_text(OFFER).offer_id.hex()


@pytest.mark.slow
def test_the_limit_per_period_is_the_price_of_all_items(lnrecur: Commands) -> None:
    told = lnrecur.ask("subscribe", an_offer(MONTHLY, quantity_max=5), "--quantity", "3", "--yes")
    assert told["mandate"]["max_per_period_msat"] == 3_000_000


REFUSED = [
    (("nonsense",), "begins with letters and a 1"),
    ((OFFER[:-3],), ""),
    ((an_offer(None),), "has no recurrence"),
    ((an_offer(MONTHLY, currency="EUR", amount=500),), "no exchange rates"),
    ((OFFER, "--max-per-period", "9.999EUR"), "no smaller unit than 0.01 EUR"),
    ((OFFER, "--request-retry", "often"), "says nothing about tries"),
    ((OFFER, "--slippage", "101"), "is no percentage"),
    ((an_offer(MONTHLY, amount=None),), "say --max-per-period"),
    ((an_offer(MONTHLY, absolute_expiry=1),), "[O7]"),
    ((OFFER, "--start", "1"), "[Q3]"),
    ((OFFER, "--quantity", "1"), "single items"),
    ((OFFER, "--via", "alice"), "write ID@HOST:PORT"),
    ((OFFER, "--max-payments", "0"), "not in the range"),
    ((OFFER, "--until", "never"), "is no moment"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("args", "told"), REFUSED)
def test_what_cannot_be_subscribed_to_is_one_line_and_exit_code_2(
    lnrecur: Commands, args: tuple[str, ...], told: str
) -> None:
    result = lnrecur.run("subscribe", *args, "--yes")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert told in result.stderr


@pytest.mark.slow
def test_an_offer_nobody_can_subscribe_to_is_not_asked_about(lnrecur: Commands) -> None:
    result = lnrecur.run("subscribe", an_offer(None), answer="y\n")
    assert result.exit_code == 2
    assert "Authorise" not in result.stderr


@pytest.mark.slow
def test_a_text_of_a_stranger_cannot_reach_the_terminal(lnrecur: Commands) -> None:
    offer = an_offer(MONTHLY, description="free\x1b[2K\r\nmoney\u202e", issuer="[bold]bank[/bold]")
    shown = lnrecur.run("subscribe", offer, answer="n\n").stderr
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "[bold]bank[/bold]" in shown


@pytest.mark.slow
def test_a_command_that_is_given_twice_under_one_key_is_one_order(lnrecur: Commands) -> None:
    order = ("subscribe", OFFER, "--via", NOBODY, "--yes", "--idempotency-key", "mine")
    assert lnrecur.ask(*order)["id"] == lnrecur.ask(*order)["id"]
    assert lnrecur.ask(*order[:-2])["id"] != lnrecur.ask(*order)["id"], "without a key it is another order"
    result = lnrecur.run(*order, "--note", "another")
    assert (result.exit_code, result.stderr) == (
        2,
        "lnrecur: this key was used for another order: give each order a key of its own\n",
    )
