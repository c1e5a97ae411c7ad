"""How a line of the books is shown."""

from lnrecur.cli.receipts import paid_in_words


def test_a_payment_shows_its_price_in_a_currency_where_it_had_one() -> None:
    euro = {"currency": "EUR", "amount_minor": 50}
    assert paid_in_words({"amount_msat": 860_238, "conversion": None}) == "860.238 sat"
    assert paid_in_words({"amount_msat": 860_238, "conversion": euro}) == "860.238 sat (0.50 EUR)"
