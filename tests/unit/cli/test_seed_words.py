"""The seed as words: BIP 39's own vectors, and what is refused."""

import pytest

from lnrecur.cli.secrets import seed_of, words_of
from lnrecur.errors import UsageError

LEGAL = "legal winner thank year wave sausage worth useful "
VECTORS = {
    "00" * 32: "abandon " * 23 + "art",
    "7f" * 32: LEGAL * 2 + "legal winner thank year wave sausage worth title",
    "80" * 32: "letter advice cage absurd amount doctor acoustic avoid " * 2
    + "letter advice cage absurd amount doctor acoustic bless",
    "ff" * 32: "zoo " * 23 + "vote",
    "68a79eaca2324873eacc50cb9c6eca8cc68ea5d936f98787c60c7ebc74e6ce7c": "hamster diagram private dutch cause delay "
    "private meat slide toddler razor book happy fancy gospel tennis maple dilemma loan word shrug inflict delay "
    "length",
}
"""Of https://github.com/trezor/python-mnemonic/blob/master/vectors.json, which BIP 39 names."""


@pytest.mark.parametrize("seed", VECTORS)
def test_a_seed_and_its_words_are_one(seed: str) -> None:
    assert " ".join(words_of(bytes.fromhex(seed))) == VECTORS[seed].strip()
    assert seed_of(VECTORS[seed].upper().replace(" ", "\n  ")) == bytes.fromhex(seed)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "these are 0"),
        ("abandon " * 23, "these are 23"),
        ("abandon " * 11 + "about", "these are 12"),
        ("abandon " * 24, "do not belong together"),
        ("abandon " * 22 + "art abandon", "do not belong together"),
        ("abandon " * 23 + "bitcoins", "word 24 is none"),
    ],
)
def test_words_that_are_no_seed_are_refused_and_not_repeated(words: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as raised:
        seed_of(words)
    assert raised.value.field == "seed"
    assert "bitcoins" not in str(raised.value)
