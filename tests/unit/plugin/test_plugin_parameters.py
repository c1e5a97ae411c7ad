"""Parameters by name or in order, in Core Lightning's way, as our own commands take them."""

from __future__ import annotations

from typing import Any

import pytest

from lnrecur.cli.amounts import Price
from lnrecur.cli.offer import create, offer_body
from lnrecur.cli.subscribe import subscribe
from lnrecur.errors import UsageError
from lnrecur.plugin.catalogue import COMMANDS
from lnrecur.plugin.parameters import by_name, is_true, read_options

OFFER, *_ = COMMANDS
GIVEN = {"amount": "10sat", "description": "a thing"}


def test_parameters_in_order_get_their_names_and_null_is_not_given() -> None:
    assert by_name(OFFER, ["10sat", "a thing", None, 4]) == {**GIVEN, "payments": 4}
    assert by_name(OFFER, {**GIVEN, "every": None}) == GIVEN


@pytest.mark.parametrize(
    ("params", "told", "field"),
    [
        ([], "missing required parameter: amount", "amount"),
        ({"description": "a thing"}, "missing required parameter: amount", "amount"),
        ({**GIVEN, "colour": "red"}, "unknown parameter: colour", "colour"),
        (list(range(50)), "too many parameters: got 50, expected", None),
        ("text", "an object or an array", None),
        (5, "an object or an array", None),
    ],
)
def test_what_is_missing_unknown_or_too_much_is_told_with_the_usage(params: Any, told: str, field: str | None) -> None:
    with pytest.raises(UsageError, match=told) as refused:
        by_name(OFFER, params)
    assert "(recur-offer amount description [every]" in str(refused.value)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("amount", "price"),
    [
        (1500, Price(1500)), ("1500", Price(1500)), ("1500msat", Price(1500)), ("10sat", Price(10_000)),
        ("0.001btc", Price(100_000_000)), ("1BTC", Price(10**11)), ("0.00000000001btc", Price(1)),
        ("9.99EUR", Price(999, "EUR")), (" 5 ", Price(5)),
    ],
)  # fmt: skip
def test_a_bare_number_is_msat_and_units_are_heeded(amount: Any, price: Price) -> None:
    assert read_options(create, {**GIVEN, "amount": amount})["amount"] == price


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("amount", "ten", "amount: 'ten' is no amount"),
        ("amount", 1.5, "amount: should be a text or a whole number"),
        ("amount", True, "amount: should be a text or a whole number"),
        ("amount", "0.000000000001btc", "is no amount"),
        ("every", "5 parsecs", "every: '5 parsecs' is no period"),
        ("payments", 0, "payments: 0 is not in the range"),
        ("lenient", "perhaps", "lenient: should be true or false"),
        ("expires", -5, "expires: '-5' is no moment"),
        ("after_window", "keep", "after_window: 'keep' is not one of"),
    ],
)
def test_a_value_that_is_none_names_its_parameter_and_no_flag(name: str, value: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told) as refused:
        read_options(create, {**GIVEN, name: value})
    assert "--" not in str(refused.value)
    assert refused.value.field == name


@pytest.mark.parametrize("sly", ["--help", "-h", "--", "--lenient", "--home=/x", "a\nb"])
def test_a_text_is_never_taken_for_a_flag(sly: str) -> None:
    read = read_options(create, {**GIVEN, "description": sly, "label": sly, "issuer": sly})
    assert (read["description"], read["label"], read["issuer"], read["lenient"]) == (sly, sly, sly, False)


@pytest.mark.parametrize("via", [["02aa", "03bb"], "02aa,03bb", "02aa 03bb"])
def test_several_values_are_an_array_or_a_list_in_a_text(via: Any) -> None:
    assert read_options(create, {**GIVEN, "via_peer": via})["via_peer"] == ("02aa", "03bb")


def test_what_is_not_given_is_as_the_command_line_has_it() -> None:
    told = {**GIVEN, "every": "10min", "lenient": True, "give_state": False}
    body = offer_body(read_options(create, told))
    assert (body["amount_msat"], body["description"], body["windows"]) == (10_000, "a thing", "lenient")
    assert (body["invoice_expiry_s"], body["after_cancel"], body["give_state"]) == (3600, "return", False)
    assert body["recurrence"]["unit"] == "seconds"
    assert body["recurrence"]["period"] == 600
    limits = read_options(subscribe, {"offer_text": "lno1", "max_total": 5000, "ask_each_time": "true"})
    assert (limits["max_total"], limits["ask_each_time"], limits["catch_up"]) == (Price(5000), True, False)


@pytest.mark.parametrize(("value", "truth"), [(True, True), ("true", True), (1, True), (False, False), ("no", False)])
def test_yes_and_no_are_said_in_several_ways(value: Any, truth: bool) -> None:
    assert is_true("x", value) is truth
