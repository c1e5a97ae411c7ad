import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnrecur.crypto.errors import InvalidPoint
from lnrecur.crypto.keys import PrivateKey
from lnrecur.noise.errors import HandshakeError, HandshakeFailure, TransportError
from lnrecur.noise.handshake import ACT_SIZES, InitiatorHandshake, ResponderHandshake
from lnrecur.values import NodeId

ALICE, BOB, ALICE_ONCE, BOB_ONCE, MALLORY = (PrivateKey(bytes([number]) * 32) for number in range(1, 6))


def _pair(expected: PrivateKey = BOB) -> tuple[InitiatorHandshake, ResponderHandshake]:
    return InitiatorHandshake(ALICE, NodeId(expected.point), ALICE_ONCE), ResponderHandshake(BOB, BOB_ONCE)


def test_two_strangers_agree_and_know_each_other() -> None:
    alice, bob = _pair()
    assert alice.remote == NodeId(BOB.point)
    act_two = bob.feed(alice.start())
    assert (bob.done, bob.remote) == (False, None)
    act_three = alice.feed(act_two)
    assert alice.done
    assert bob.feed(act_three) == b""
    assert (bob.done, bob.remote) == (True, NodeId(ALICE.point))
    assert alice.transport is not None
    assert bob.transport is not None
    assert bob.transport.feed(alice.transport.encrypt(b"to bob")) == [b"to bob"]
    assert alice.transport.feed(bob.transport.encrypt(b"to alice")) == [b"to alice"]


def test_bytes_behind_the_last_act_belong_to_the_transport() -> None:
    alice, bob = _pair()
    act_three = alice.feed(bob.feed(alice.start()))
    assert alice.transport is not None
    sealed = alice.transport.encrypt(b"first") + alice.transport.encrypt(b"second")
    assert bob.feed(act_three + sealed[:-1]) == b""
    assert bob.transport is not None
    assert bob.transport.feed(b"") == [b"first"]
    assert bob.transport.feed(sealed[-1:]) == [b"second"]


def test_bytes_behind_act_two_belong_to_the_transport_too() -> None:
    alice, bob = _pair()
    alice.feed(bob.feed(alice.start()) + bytes(18))  # an honest responder cannot say anything yet
    assert alice.transport is not None
    with pytest.raises(TransportError):
        alice.transport.feed(b"")


def test_an_initiator_who_expects_somebody_else_is_refused_in_act_one() -> None:
    alice, bob = _pair(expected=MALLORY)
    with pytest.raises(HandshakeError) as failure:
        bob.feed(alice.start())
    assert (failure.value.act, failure.value.failure) == (1, HandshakeFailure.BAD_TAG)


def test_an_impossible_node_id_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(InvalidPoint):
        InitiatorHandshake(ALICE, NodeId(b"\x02" + b"\xff" * 32), ALICE_ONCE)


def test_a_stream_that_ends_before_the_first_byte_names_the_act() -> None:
    alice, bob = _pair()
    for handshake, code in ((alice, "ACT2_READ_FAILED"), (bob, "ACT1_READ_FAILED")):
        with pytest.raises(HandshakeError) as failure:
            handshake.end_of_stream()
        assert failure.value.code == code
        with pytest.raises(HandshakeError):
            handshake.end_of_stream()


def test_a_stream_may_end_once_the_handshake_is_done() -> None:
    alice, bob = _pair()
    alice.feed(bob.feed(alice.start()))
    alice.end_of_stream()
    assert alice.done


def test_a_handshake_that_is_done_takes_nothing_more() -> None:
    alice, bob = _pair()
    alice.feed(bob.feed(alice.start()))
    with pytest.raises(ValueError, match="feed its transport"):
        alice.feed(b"x")


def test_act_one_may_be_asked_for_again() -> None:
    alice, _ = _pair()
    assert alice.start() == alice.start()
    assert len(alice.start()) == ACT_SIZES[1]


@given(act=st.sampled_from([1, 2, 3]), place=st.integers(0, 65), change=st.integers(1, 255))
def test_any_changed_byte_of_any_act_ends_the_handshake(act: int, place: int, change: int) -> None:
    def passed_on(number: int, data: bytes) -> bytes:
        if number != act:
            return data
        at = place % len(data)
        return data[:at] + bytes([data[at] ^ change]) + data[at + 1 :]

    alice, bob = _pair()
    with pytest.raises(HandshakeError) as failure:
        bob.feed(passed_on(3, alice.feed(passed_on(2, bob.feed(passed_on(1, alice.start()))))))
    assert failure.value.act == act
    assert not bob.done
