from __future__ import annotations

from hashlib import sha256

from lnrecur.testing.seeded_entropy import SeededEntropy


def test_the_same_seed_gives_the_same_bytes_however_they_are_cut() -> None:
    whole, cut = SeededEntropy(7), SeededEntropy(7)
    assert whole.take(100) == b"".join(cut.take(size) for size in (1, 0, 31, 33, 35))


def test_the_stream_is_the_documented_one() -> None:
    first, second = (sha256(b"lnrecur seeded entropy" + b"7/" + counter).digest() for counter in (b"0", b"1"))
    assert SeededEntropy(7).take(64) == first + second


def test_other_seeds_and_later_bytes_differ() -> None:
    entropy = SeededEntropy(7)
    assert len({entropy.take(32), entropy.take(32), SeededEntropy(8).take(32), SeededEntropy(-7).take(32)}) == 4
