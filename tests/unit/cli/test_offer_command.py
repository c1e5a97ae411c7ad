"""lnrecur offer: creating, listing and showing offers of a real daemon."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from helpers.cli_daemon import Commands, commands, run
from lnrecur.bolt12 import Dialect, Offer, TimeUnit
from lnrecur.bolt12.codecs import Paywindow, RecurrenceBase
from lnrecur.cli.offer import _introduced, _print_qr
from lnrecur.errors import UsageError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lnrecur(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with commands(tmp_path_factory.mktemp("offer")) as running:
        yield running


def test_an_offer_is_printed_ready_to_publish(lnrecur: Commands) -> None:
    result = lnrecur.run("offer", "create", "Coffee [club]", "--amount", "1,000sat", "--every", "month")
    assert (result.exit_code, result.stderr) == (0, "")
    text, *rest = result.stdout.splitlines()
    assert Offer.from_text(text).description == "Coffee [club]"
    shown = "\n".join(rest)
    assert "Coffee [club]" in shown
    assert "1,000 sat every month, from the first payment, paid in order" in shown
    assert Offer.from_text(text).offer_id.hex() in shown
    assert f"--via {lnrecur.daemon.address}" in shown


def test_a_blinded_offer_that_begins_at_this_node_says_what_that_does_not_hide(lnrecur: Commands) -> None:
    result = lnrecur.run("offer", "create", "gym", "--blinded")
    assert "so the node id is not hidden: no kept peer is connected" in result.stdout
    assert "asked over" not in lnrecur.run("offer", "create", "gym").stdout


def test_a_plain_offer_of_a_node_that_listens_nowhere_says_that_only_its_peers_can_ask(lnrecur: Commands) -> None:
    told = {**lnrecur.ask("offer", "create", "gym"), "via": [], "peer_address": None}
    assert "only its peers can ask" in _introduced(told)[0]


def test_with_json_it_is_one_document(lnrecur: Commands) -> None:
    told = lnrecur.ask("offer", "create", "gym", "--label", "mine")
    assert Offer.from_text(told["offer"]).recurrence is None
    assert (told["label"], told["terms"]) == ("mine", "an amount of the payer's choice, paid once")
    assert lnrecur.ask("offer", "show", told["offer_id"][:12]) == told
    assert told["offer_id"] in [one["offer_id"] for one in lnrecur.ask("offer", "list")["offers"]]


def test_every_option_reaches_the_offer(lnrecur: Commands) -> None:
    told = lnrecur.ask(
        "offer", "create", "all of it", "--amount", "1500msat", "--every", "2 weeks", "--payments", "12", "--base",
        "2027-01-01", "--proportional", "--pay-before", "1d", "--pay-after", "12h", "--lenient", "--expires",
        "2028-01-01T00:00:00Z", "--issuer", "alice@example.com", "--quantity-max", "0", "--blinded", "--dialect", "cln",
        "--invoice-expiry", "10min", "--label", "x",
    )  # fmt: skip
    offer = Offer.from_text(told["offer"])
    assert (offer.amount, offer.issuer, offer.quantity_max) == (1500, "alice@example.com", 0)
    assert (offer.absolute_expiry, offer.issuer_id, told["windows"]) == (1_830_297_600, None, "lenient")
    recurrence = offer.recurrence
    assert recurrence is not None
    assert (recurrence.unit, recurrence.period, recurrence.limit) == (TimeUnit.DAYS, 14, 11)
    assert (recurrence.base, recurrence.paywindow) == (RecurrenceBase(1, 1_798_761_600), Paywindow(86_400, 43_200))
    assert recurrence.dialect is Dialect.CLN


@pytest.mark.parametrize(
    ("flags", "window"),
    [
        (("--pay-after", "1h"), Paywindow(0, 3600)),
        (("--pay-before", "0", "--pay-after", "1h"), Paywindow(0, 3600)),
        (("--pay-before", "1h", "--pay-after", "0"), Paywindow(3600, 0)),
        ((), None),
    ],
)
def test_a_pay_window_may_begin_or_end_with_its_period(lnrecur: Commands, flags: tuple[str, ...], window: Any) -> None:
    told = lnrecur.ask("offer", "create", "gym", "--amount", "1", "--every", "1d", *flags)
    recurrence = Offer.from_text(told["offer"]).recurrence
    assert recurrence is not None
    assert recurrence.paywindow == window


NOT_A_PEER = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
REFUSED = [
    ((), "Missing argument 'DESCRIPTION'"),
    (("x", "--amount", "0,5"), "'0,5' is no amount"),
    (("x", "--every", "1m"), "'1m' is no period"),
    (("x", "--payments", "0"), "0 is not in the range"),
    (("x", "--expires", "soon"), "'soon' is no moment"),
    (("x", "--payments", "5"), "--payments is about subscriptions: say with --every"),
    (("x", "--optional"), "--optional is about subscriptions"),
    (("x", "--base", "0"), "--base is about subscriptions"),
    (("x", "--pay-before", "0"), "--pay-before is about subscriptions"),
    (("x", "--every", "1d", "--pay-before", "1h"), "--pay-before needs --pay-after too"),
    (("x", "--every", "1d", "--pay-before", "0", "--pay-after", "0"), "a pay window of no length"),
    (("x", "--every", "1d", "--payments", "1"), "for a single payment leave the recurrence out"),
    (("x", "--every", "1d", "--proportional"), "proportional prices need a basetime"),
    (("x", "--every", "1d", "--optional", "--base", "0"), "[O2]"),
    (("x", "--amount", "0"), "must be greater than 0"),
    (("x", "--via-peer", "bob"), "via_peers[0]: a node id is 66 hexadecimal digits"),
    (("x", "--via-peer", NOT_A_PEER), "no connected peer that takes onion messages"),
    (("x" * 2001,), "length <= 2000"),
]


@pytest.mark.parametrize(("flags", "told"), REFUSED)
def test_what_cannot_be_offered_is_one_line_and_exit_code_2(
    lnrecur: Commands, flags: tuple[str, ...], told: str
) -> None:
    result = lnrecur.run("offer", "create", *flags)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("lnrecur: ")
    assert told in result.stderr


def test_with_json_a_refusal_is_a_document_that_names_the_field(lnrecur: Commands) -> None:
    result = lnrecur.run("offer", "create", "x", "--amount", "0", "--json")
    assert (result.exit_code, result.stderr) == (2, "")
    error = json.loads(result.stdout)["error"]
    assert (error["field"], error["daemon_code"], error["fault"]) == ("offer_amount", "WritingError", "caller")


def test_the_list_shows_what_a_person_wants_to_know(lnrecur: Commands) -> None:
    told = lnrecur.ask("offer", "create", "\x1b[31mred\u202e", "--amount", "7", "--every", "day")
    result = lnrecur.run("offer", "list")
    assert result.exit_code == 0
    row = next(line for line in result.stdout.splitlines() if line.startswith(told["offer_id"][:12]))
    assert "7 sat every day, from the first payment, paid in order" in row
    assert "open" in row
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout


def test_an_empty_list_says_what_to_do(tmp_path_factory: pytest.TempPathFactory) -> None:
    with commands(tmp_path_factory.mktemp("empty")) as fresh:
        assert fresh.run("offer", "list").stdout == "No offers yet: create one with `lnrecur offer create`.\n"
        assert fresh.run("subscriptions", "list").stdout == "No subscriptions yet.\n"
        assert fresh.ask("offer", "list") == {"offers": []}


@pytest.mark.parametrize(("wanted", "told"), [("0" * 64, "no offer with an id"), ("zz", "is no id"), ("", "is no id")])
def test_an_offer_that_is_not_there_is_one_line(lnrecur: Commands, wanted: str, told: str) -> None:
    result = lnrecur.run("offer", "show", wanted)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert told in result.stderr


def test_a_qr_code_is_shown_when_asked_for(lnrecur: Commands) -> None:
    made = lnrecur.run("offer", "create", "gym", "--qr")
    assert "\u2588" in made.stdout
    offer_id = Offer.from_text(made.stdout.split()[0]).offer_id.hex()
    assert lnrecur.run("offer", "show", offer_id, "--qr").stdout == made.stdout
    assert "\u2588" not in lnrecur.run("offer", "show", offer_id).stdout


def test_an_offer_too_long_for_a_qr_code_is_told() -> None:
    with pytest.raises(UsageError, match="too long for a QR code"):
        _print_qr("lno1" + "q" * 5000)


@pytest.mark.parametrize(
    "command",
    [(), ("init",), ("run",), ("offer",), ("offer", "create"), ("offer", "list"), ("offer", "show"), ("subscribe",),
     ("subscriptions",), ("subscriptions", "list"), ("subscriptions", "show"), ("subscriptions", "cancel"),
     ("subscriptions", "approve")],
)  # fmt: skip
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Usage: lnrecur {' '.join(command)}".rstrip())
    listed = [line for line in result.stdout.splitlines() if line.startswith("  --")]
    assert all(len(line.split(maxsplit=1)) == 2 for line in listed)
    if command:
        above = run(*command[:-1], "--help").stdout
        assert f"\n  {command[-1]} " in above
