"""Who a payer is in one subscription (Q1, Q7)."""

from itertools import product

from helpers.engine import KEYS, RECURRENCE_ID
from lnrecur.recurrence.outbound_requests import CANCEL_ATTEMPT
from lnrecur.recurrence.payer_keys import PayerKeys, answers_key, is_reply_path_id
from lnrecur.values import RecurrenceId

SEED = b"\x55" * 32


def test_the_seed_and_the_id_bring_the_same_keys_back() -> None:
    again = PayerKeys.derive(SEED, RECURRENCE_ID)
    assert again.payer_id == KEYS.payer_id
    assert again.metadata(3, 1) == KEYS.metadata(3, 1)
    assert again.reply_path_id(b"request") == KEYS.reply_path_id(b"request")
    assert again.reply_session_key(b"request").secret == KEYS.reply_session_key(b"request").secret


def test_another_seed_or_subscription_is_another_payer() -> None:
    keys = [KEYS, PayerKeys.derive(b"\x01" * 32, RECURRENCE_ID), PayerKeys.derive(SEED, RecurrenceId(b"\x01" * 32))]
    assert len({one.payer_id for one in keys}) == 3
    assert len({one.metadata(0, 0) for one in keys}) == 3
    assert len({one.reply_path_id(b"") for one in keys}) == 3
    assert len({one.reply_session_key(b"").secret for one in keys}) == 3


def test_metadata_never_repeats_for_another_counter_or_attempt() -> None:
    numbers = (0, 1, 2, 255, 256, 65_536, CANCEL_ATTEMPT)
    made = {KEYS.metadata(counter, attempt) for counter, attempt in product(numbers, repeat=2)}
    assert len(made) == len(numbers) ** 2
    assert {len(metadata) for metadata in made} == {32}


def test_every_request_has_its_own_reply_path() -> None:
    assert KEYS.reply_path_id(b"a") != KEYS.reply_path_id(b"b")
    assert KEYS.reply_session_key(b"a").point != KEYS.reply_session_key(b"b").point
    assert len(KEYS.reply_path_id(b"a")) == 32


def test_the_repr_shows_the_public_key_and_no_secret() -> None:
    shown = repr(KEYS)
    assert KEYS.payer_id.hex() in shown
    assert KEYS.payer.secret.hex() not in shown
    assert KEYS._secret.hex() not in shown
    assert repr(KEYS._secret) not in shown


def test_a_reply_path_is_known_for_ours_by_the_seed_alone() -> None:
    ours = KEYS.reply_path_id(b"request")
    assert is_reply_path_id(answers_key(SEED), ours)
    assert not is_reply_path_id(answers_key(b"\x01" * 32), ours)
    for place in (0, 15, 16, 31):
        changed = ours[:place] + bytes([ours[place] ^ 1]) + ours[place + 1 :]
        assert not is_reply_path_id(answers_key(SEED), changed)
    for other in (b"", ours[:16], ours[:31], ours + b"\x00", bytes(32)):
        assert not is_reply_path_id(answers_key(SEED), other)
