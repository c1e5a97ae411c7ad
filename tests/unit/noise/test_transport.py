import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnrecur.noise.errors import MessageTooLong, TransportError
from lnrecur.noise.transport import MESSAGE_SIZE_MAX, NoiseTransport

ONE, TWO, CHAIN = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32


def _pair() -> tuple[NoiseTransport, NoiseTransport]:
    return NoiseTransport(ONE, TWO, CHAIN), NoiseTransport(TWO, ONE, CHAIN)


@given(messages=st.lists(st.binary(max_size=80), max_size=6), data=st.data())
def test_however_a_stream_is_cut_the_messages_are_the_same(messages: list[bytes], data: st.DataObject) -> None:
    alice, bob = _pair()
    stream = b"".join(map(alice.encrypt, messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    received: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += bob.feed(stream[start:end])
    assert received == messages


@given(place=st.integers(0, 10**6), change=st.integers(1, 255))
def test_a_changed_byte_is_found_and_nothing_more_is_read_or_written(place: int, change: int) -> None:
    alice, bob = _pair()
    sealed = bytearray(alice.encrypt(b"attack at dawn"))
    sealed[place % len(sealed)] ^= change
    with pytest.raises(TransportError) as failure:
        bob.feed(bytes(sealed) + alice.encrypt(b"later"))
    assert "does not authenticate" in str(failure.value)
    for act in (lambda: bob.feed(b""), lambda: bob.encrypt(b"")):
        with pytest.raises(TransportError):
            act()


def test_messages_in_front_of_a_bad_one_are_answered_first() -> None:
    alice, bob = _pair()
    assert bob.feed(alice.encrypt(b"good") + bytes(18)) == [b"good"]
    with pytest.raises(TransportError, match="the length"):
        bob.feed(b"")


def test_a_bad_message_behind_a_good_length_is_told_apart() -> None:
    alice, bob = _pair()
    with pytest.raises(TransportError, match="the message"):
        bob.feed(alice.encrypt(b"good")[:18] + bytes(20))


def test_a_message_out_of_turn_does_not_authenticate() -> None:
    alice, bob = _pair()
    alice.encrypt(b"lost on the way")
    with pytest.raises(TransportError):
        bob.feed(alice.encrypt(b"next"))


def test_a_message_to_ourselves_does_not_authenticate() -> None:
    alice, _ = _pair()
    with pytest.raises(TransportError):
        alice.feed(alice.encrypt(b"echo"))


def test_the_longest_message_passes_and_a_longer_one_harms_nothing() -> None:
    alice, bob = _pair()
    with pytest.raises(MessageTooLong, match="65536"):
        alice.encrypt(bytes(MESSAGE_SIZE_MAX + 1))
    longest = bytes(MESSAGE_SIZE_MAX)
    assert bob.feed(alice.encrypt(longest)) == [longest]


def test_the_two_directions_rotate_their_keys_apart() -> None:
    alice, bob = _pair()
    for _ in range(1500):
        assert bob.feed(alice.encrypt(b"busy")) == [b"busy"]
    assert alice.feed(bob.encrypt(b"quiet")) == [b"quiet"]
