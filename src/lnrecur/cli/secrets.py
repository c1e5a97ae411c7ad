"""Asking for secrets without showing them, and the seed as words."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click
from mnemonic import Mnemonic

from lnrecur.daemon.files import SEED_SIZE
from lnrecur.errors import UsageError

WORDS: Final = 24
_PASSPHRASE_MIN: Final = 8
_LANGUAGE: Final = "english"


def words_of(seed: bytes) -> list[str]:
    """A seed of 32 bytes as 24 words (BIP 39; the entropy itself, no passphrase)."""
    text: str = Mnemonic(_LANGUAGE).to_mnemonic(seed)
    return text.split()


def seed_of(text: str) -> bytes:
    """The seed that 24 words stand for. The words are not repeated in errors.

    Raises:
        UsageError: they are not 24, one is none of the list, or they do not belong together.
    """
    words, known = text.lower().split(), Mnemonic(_LANGUAGE)
    if len(words) != WORDS:
        raise UsageError(f"a seed has {WORDS} words, and these are {len(words)}", field="seed")
    for place, word in enumerate(words, 1):
        if word not in known.wordlist:
            raise UsageError(f"word {place} is none of the 2,048 words of BIP 39", field="seed")
    if not known.check(" ".join(words)):
        raise UsageError("these words do not belong together: one is another, or two are exchanged", field="seed")
    seed = bytes(known.to_entropy(words))
    assert len(seed) == SEED_SIZE
    return seed


def ask_for_words() -> bytes:
    """Ask for the words of a seed.

    Raises:
        UsageError: they are none.
    """
    return seed_of(click.prompt(f"The {WORDS} words", hide_input=True, err=True))


def passphrase(file: Path | None, *, new: bool) -> str:
    """The first line of a file, or what a person types; twice, and long enough, where it is a new one.

    Raises:
        UsageError: the file cannot be read, or the passphrase is too short.
    """
    if file is None:
        told: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=new, err=True)
    else:
        try:
            told = file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{file} cannot be read: {error}", field="passphrase_file") from error
    if new and len(told) < _PASSPHRASE_MIN:
        raise UsageError(f"a passphrase has at least {_PASSPHRASE_MIN} characters", field="passphrase")
    return told
