"""The text form: what a person may do to it, and where it goes wrong."""

import pytest

from lnrecur.wire.errors import WireError
from lnrecur.wire.text import TEXT_MAX, decode_text, encode_text, without_uri

# 0x0102030405 in base 32 is 00000 00100 00001 00000 00110 00001 00000 00101
TEXT = "lno1qypqxpq9"
DATA = bytes.fromhex("0102030405")


def test_bytes_become_bech32_characters_without_a_checksum() -> None:
    assert encode_text("lno", DATA) == TEXT
    assert decode_text(TEXT) == ("lno", DATA)


@pytest.mark.parametrize("size", range(12))
def test_every_length_comes_back(size: int) -> None:
    data = bytes(range(0xF0, 0xF0 + size))
    assert decode_text(encode_text("lnr", data)) == ("lnr", data)


def test_no_bytes_are_a_prefix_and_a_one() -> None:
    assert encode_text("lno", b"") == "lno1"
    assert decode_text("lno1") == ("lno", b"")


def test_upper_case_and_joints_change_nothing() -> None:
    for text in (TEXT.upper(), "lno1qy+pqxpq9", "lno1qy+ pqx+\t\r\n\v\f pq9", "l+no1qypqxpq9"):
        assert decode_text(text) == ("lno", DATA)


@pytest.mark.parametrize(
    ("text", "told", "offset"),
    [
        ("", "begins with letters and a 1", None),
        ("lno", "begins with letters and a 1", None),
        ("1qqqq", "begins with letters and a 1", None),
        ("l2o1qqqq", "begins with letters and a 1", None),
        ("lno1Qypqxpq9", "not both", None),
        ("LNO1qypqxpq9", "not both", None),
        ("lno1qypqbpq9", "'b' is not a bech32 character", 8),
        ("lno1qy1qxpq9", "'1' is not a bech32 character", 6),
        ("lno1qy zqxpq9", "' ' is not a bech32 character", 6),
        ("lno1qy+\n zq+bpq9", "'b' is not a bech32 character", 12),
        ("lno1q+byzqxpq9", "'b' is not a bech32 character", 6),
        ("lno1bq+pq", "'b' is not a bech32 character", 4),
        ("lno1qypqxpq9+", "a + stands only between", 12),
        ("lno1qyp++qxpq9", "a + stands only between", 7),
        ("+lno1qypqxpq9", "a + stands only between", 0),
        ("lno1q", "5 bits of padding", 5),
        ("lno1qqq", "7 bits of padding", 7),
        ("lno1qp", "the bits of padding are not zero", 6),
        ("lno1q\N{KELVIN SIGN}", "is not a bech32 character", 5),
        ("LNO1Q\N{KELVIN SIGN}", "is not a bech32 character", 5),
        ("\N{CYRILLIC SMALL LETTER O}no1qypq", "is not a bech32 character", 0),
        ("lno1q\N{ARABIC-INDIC DIGIT TWO}", "is not a bech32 character", 5),
        ("lno1qy+\N{NO-BREAK SPACE}zqxpq9", "is not a bech32 character", 7),
    ],
)
def test_a_broken_text_says_what_and_where(text: str, told: str, offset: int | None) -> None:
    with pytest.raises(WireError) as failure:
        decode_text(text)
    assert told in failure.value.reason
    assert failure.value.offset == offset


def test_a_kelvin_sign_is_no_k_although_its_lower_case_is_one() -> None:
    assert "\N{KELVIN SIGN}".lower() == "k"
    with pytest.raises(WireError):
        decode_text("LNO1" + "\N{KELVIN SIGN}" + "Q" * 7)


def test_a_text_longer_than_any_message_is_not_looked_at() -> None:
    assert len(decode_text("lno1" + "q" * (TEXT_MAX - 4))[1]) == (TEXT_MAX - 4) * 5 // 8
    with pytest.raises(WireError, match="longer than the 400000 we read"):
        decode_text("lno1" + "q" * (TEXT_MAX - 3))


def test_a_text_of_joints_alone_is_read_in_one_pass() -> None:
    """Quadratic work here would take seconds: half of the longest text are joints."""
    text = "lno1q" + "+q" * ((TEXT_MAX - 8) // 2)
    assert decode_text(text + "q" * (-(text.count("q")) % 8))[0] == "lno"


@pytest.mark.parametrize(
    "text",
    ["lno1pg", " lno1pg\r\n", "lightning:lno1pg", "LIGHTNING:lno1pg", "\tlightning: lno1pg ", "lightning://lno1pg"],
)
def test_a_text_is_read_as_people_copy_it(text: str) -> None:
    assert without_uri(text) == "lno1pg"


@pytest.mark.parametrize("text", ["bitcoin:lno1pg", "lightninglno1pg", "lightning:lightning:lno1pg"])
def test_another_beginning_stays_and_is_refused_later(text: str) -> None:
    assert without_uri(text) != "lno1pg"
