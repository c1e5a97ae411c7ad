"""Two sessions joined back to back, and one against a peer that says what it should not."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lnrecur.crypto.keys import PrivateKey
from lnrecur.errors import Fault
from lnrecur.messaging.errors import (
    ConnectionOver,
    HandshakeFailed,
    InitExpected,
    InitRepeated,
    MalformedMessage,
    NotReady,
    PeerHungUp,
    PeerSaidError,
    PeerTooSlow,
    PingFlood,
    PingUnanswered,
    TransportFailed,
    UnknownEvenMessage,
    UnknownRequiredFeature,
    WrongNetwork,
)
from lnrecur.messaging.features import (
    FEATURES,
    OFFERED,
    ONION_MESSAGES,
    check_peer_features,
    feature_bits,
    feature_bytes,
    takes_onion_messages,
)
from lnrecur.messaging.peer import (
    OnionMessageReceived,
    PeerEvent,
    PeerReady,
    PeerSession,
    PeerSettings,
    PeerWarned,
)
from lnrecur.messaging.reactions import REACTIONS, PeerState
from lnrecur.noise.handshake import InitiatorHandshake
from lnrecur.noise.transport import NoiseTransport
from lnrecur.values import BITCOIN, REGTEST, NodeId, Point
from lnrecur.wire.messages import (
    ErrorMessage,
    Init,
    Message,
    OnionMessage,
    Ping,
    Pong,
    UnknownMessage,
    WarningMessage,
    read_message,
)

ALICE, BOB, ALICE_ONCE, BOB_ONCE = (PrivateKey(bytes([number]) * 32) for number in range(1, 5))
SETTINGS = PeerSettings(REGTEST, handshake_seconds=10, init_seconds=5, idle_seconds=60, pong_seconds=20)
CHANNEL = bytes(31) + b"\x01"
ONION = OnionMessage(Point(ALICE_ONCE.point), bytes(1366))


class ConnectionPair:
    """Two sessions whose output is the other's input, in pieces of a given size."""

    def __init__(self, piece: int = 10**9, theirs: PeerSettings = SETTINGS) -> None:
        self.piece = piece
        self.now = 1000.0
        self.alice = PeerSession.initiate(ALICE, NodeId(BOB.point), ALICE_ONCE, SETTINGS, self.now)
        self.bob = PeerSession.accept(BOB, BOB_ONCE, theirs, self.now)
        self.events: dict[str, list[PeerEvent]] = {"alice": [], "bob": []}

    def exchange(self) -> None:
        """Move bytes until both are silent."""
        while True:
            to_bob, to_alice = self.alice.take_output(), self.bob.take_output()
            if not to_bob and not to_alice:
                return
            self._pass("bob", self.bob, to_bob)
            self._pass("alice", self.alice, to_alice)

    def _pass(self, name: str, session: PeerSession, data: bytes) -> None:
        for start in range(0, len(data), self.piece):
            self.events[name] += session.receive(data[start : start + self.piece], self.now)


class ScriptedPeer:
    """A peer with a real handshake that then sends whatever a test wants."""

    def __init__(self, now: float = 0.0) -> None:
        self.session = PeerSession.accept(BOB, BOB_ONCE, SETTINGS, now)
        handshake = InitiatorHandshake(ALICE, NodeId(BOB.point), ALICE_ONCE)
        self.session.receive(handshake.start(), now)
        self.session.receive(handshake.feed(self.session.take_output()), now)
        assert handshake.transport is not None
        self.transport: NoiseTransport = handshake.transport

    def ready(self) -> "ScriptedPeer":
        self.say(Init(OFFERED, (REGTEST,)))
        assert self.session.state is PeerState.READY
        self.heard()
        return self

    def say(self, message: Message, now: float = 0.0) -> list[PeerEvent]:
        return self.say_bytes(_bytes_of(message), now)

    def say_bytes(self, data: bytes, now: float = 0.0) -> list[PeerEvent]:
        return self.session.receive(self.transport.encrypt(data), now)

    def heard(self) -> list[Message]:
        return [read_message(data) for data in self.transport.feed(self.session.take_output())]


def _bytes_of(message: Message) -> bytes:
    if isinstance(message, UnknownMessage):
        return message.type.to_bytes(2, "big") + message.body
    return message.to_bytes()


# --- two honest ends -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [1, 17, 10**9])
def test_both_ends_become_ready_and_onion_messages_pass(piece: int) -> None:
    pair = ConnectionPair(piece)
    pair.exchange()
    assert pair.events == {
        "alice": [PeerReady(NodeId(BOB.point), Init(OFFERED, (REGTEST,)))],
        "bob": [PeerReady(NodeId(ALICE.point), Init(OFFERED, (REGTEST,)))],
    }
    pair.alice.send(ONION)
    pair.alice.send(ONION)
    pair.exchange()
    assert pair.events["bob"][1:] == [OnionMessageReceived(ONION)] * 2
    pair.bob.send(ONION)
    pair.exchange()
    assert pair.events["alice"][1:] == [OnionMessageReceived(ONION)]


def test_nothing_can_be_sent_before_the_peers_init() -> None:
    pair = ConnectionPair()
    with pytest.raises(NotReady) as failure:
        pair.alice.send(ONION)
    assert failure.value.fault is Fault.CALLER


def test_our_init_is_the_first_message_and_the_only_one_before_theirs() -> None:
    peer = ScriptedPeer()
    assert peer.heard() == [Init(OFFERED, (REGTEST,))]
    assert peer.session.state is PeerState.AWAITING_INIT


def test_an_idle_connection_is_kept_by_pings_from_either_side() -> None:
    pair = ConnectionPair()
    pair.exchange()
    for _ in range(5):
        assert pair.alice.wake_at == pair.now + SETTINGS.idle_seconds
        pair.now = pair.alice.wake_at
        pair.alice.tick(pair.now)
        pair.bob.tick(pair.now)
        pair.exchange()
        assert pair.alice.state is pair.bob.state is PeerState.READY


# --- what a peer may do ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 65531])
def test_a_ping_is_answered_with_as_many_bytes_as_it_asks_for(size: int) -> None:
    peer = ScriptedPeer().ready()
    assert peer.say(Ping(size, padding_size=3)) == []
    assert peer.heard() == [Pong(size)]


@pytest.mark.parametrize("size", [65532, 65535])
def test_a_ping_that_asks_for_too_much_is_ignored(size: int) -> None:
    peer = ScriptedPeer().ready()
    assert peer.say(Ping(size)) == []
    assert peer.heard() == []


def test_a_warning_is_told_before_and_after_init() -> None:
    peer = ScriptedPeer()
    assert peer.say(WarningMessage("mind the gap")) == [PeerWarned("mind the gap")]
    peer.ready()
    assert peer.say(WarningMessage("again")) == [PeerWarned("again")]


def test_an_error_about_a_channel_is_told_and_ends_nothing() -> None:
    peer = ScriptedPeer()
    told = PeerWarned("no such channel", CHANNEL, is_error=True)
    assert peer.say(ErrorMessage("no such channel", CHANNEL)) == [told]
    peer.ready()
    assert peer.say(ErrorMessage("no such channel", CHANNEL)) == [told]
    assert peer.say(WarningMessage("mind it", CHANNEL)) == [PeerWarned("mind it", CHANNEL)]
    assert peer.say(ONION) == [OnionMessageReceived(ONION)]


@pytest.mark.parametrize("message_type", [257, 265, 513 + 2, 65535])
def test_an_unknown_odd_message_is_ignored(message_type: int) -> None:
    peer = ScriptedPeer().ready()
    assert peer.say(UnknownMessage(message_type, b"whatever")) == []


@pytest.mark.parametrize("message_type", [256, 258, 262, 264])
def test_gossip_is_ignored_though_its_types_are_even(message_type: int) -> None:
    peer = ScriptedPeer().ready()
    assert peer.say(UnknownMessage(message_type, bytes(200))) == []


def test_an_unasked_pong_is_ignored() -> None:
    assert ScriptedPeer().ready().say(Pong(7)) == []


def test_a_peer_that_names_no_network_is_welcome() -> None:
    init = Init(b"")
    assert ScriptedPeer().say(init) == [PeerReady(NodeId(ALICE.point), init)]


def test_a_peer_that_serves_our_network_among_others_is_welcome() -> None:
    init = Init(b"", (BITCOIN, REGTEST))
    assert ScriptedPeer().say(init) == [PeerReady(NodeId(ALICE.point), init)]


# --- what a peer may not do ------------------------------------------------------------------------------------------


def test_a_peer_of_another_network_is_refused_and_told_so() -> None:
    peer = ScriptedPeer()
    with pytest.raises(WrongNetwork, match="serves bitcoin, not regtest") as failure:
        peer.say(Init(OFFERED, (BITCOIN,)))
    assert not failure.value.retry
    assert peer.heard()[1:] == [WarningMessage(str(failure.value))]


def test_an_even_feature_bit_that_nobody_defined_is_refused_by_its_number() -> None:
    peer = ScriptedPeer()
    with pytest.raises(UnknownRequiredFeature, match="200, 4098") as failure:
        peer.say(Init(feature_bytes(frozenset({0, 38, 200, 201, 4098}))))
    assert failure.value.bits == (200, 4098)


VIOLATIONS: dict[str, tuple[Message, type[ConnectionOver]]] = {
    "an unknown even message": (UnknownMessage(32, b""), UnknownEvenMessage),
    "a second init": (Init(b""), InitRepeated),
    "an error": (ErrorMessage("go away"), PeerSaidError),
}


@pytest.mark.parametrize("what", VIOLATIONS)
def test_after_init_the_connection_ends_by(what: str) -> None:
    message, expected = VIOLATIONS[what]
    peer = ScriptedPeer().ready()
    with pytest.raises(ConnectionOver) as failure:
        peer.say(message)
    assert type(failure.value) is expected
    assert peer.session.state is PeerState.OVER
    assert peer.heard() == ([WarningMessage(str(failure.value))] if expected.tell_peer else [])
    for act in (lambda: peer.session.receive(b"", 0.0), lambda: peer.session.tick(0.0), peer.session.end_of_stream):
        with pytest.raises(expected):
            act()
    with pytest.raises(NotReady):
        peer.session.send(ONION)


def test_an_error_is_quoted_but_not_at_any_length() -> None:
    peer = ScriptedPeer()
    with pytest.raises(PeerSaidError, match="'no\ufffdway xxx") as failure:
        peer.say(ErrorMessage("no\nway " + 50_000 * "x"))
    assert len(str(failure.value)) < 400


@pytest.mark.parametrize("message", [Ping(0), Pong(0), ONION, UnknownMessage(257, b""), UnknownMessage(256, b"")])
def test_before_init_nothing_else_will_do(message: Message) -> None:
    peer = ScriptedPeer()
    peer.heard()
    with pytest.raises(InitExpected, match=type(message).__name__):
        peer.say(message)
    assert peer.heard() == []


@pytest.mark.parametrize(
    "data", [b"", b"\0", b"\0\x10\0", b"\0\x12\0\1\0\5", ONION.to_bytes()[:-1], b"\0\x10\0\0\0\0\1\x1f" + bytes(31)]
)
def test_a_broken_message_ends_the_connection(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        ScriptedPeer().say_bytes(data)


def test_bytes_that_do_not_authenticate_end_the_connection_without_a_word() -> None:
    peer = ScriptedPeer().ready()
    with pytest.raises(TransportFailed):
        peer.session.receive(bytes(100), 0.0)
    assert peer.session.take_output() == b""


def test_a_garbage_handshake_ends_the_connection_without_a_word() -> None:
    session = PeerSession.accept(BOB, BOB_ONCE, SETTINGS, 0.0)
    with pytest.raises(HandshakeFailed, match="unknown handshake version 71"):
        session.receive(b"GET / HTTP/1.1\r\nHost: example.org\r\nAccept: */*\r\n\r\n", 0.0)
    assert session.take_output() == b""


def test_a_ping_flood_ends_the_connection_before_memory_does() -> None:
    peer = ScriptedPeer().ready()
    flood = b"".join(peer.transport.encrypt(Ping(65531).to_bytes()) for _ in range(100))
    with pytest.raises(PingFlood):
        peer.session.receive(flood, 0.0)
    assert len(peer.session.take_output()) < 400_000


def test_events_in_front_of_a_violation_are_answered_first() -> None:
    peer = ScriptedPeer().ready()
    data = b"".join(map(peer.transport.encrypt, [ONION.to_bytes(), ErrorMessage("enough").to_bytes()]))
    assert peer.session.receive(data, 7.0) == [OnionMessageReceived(ONION)]
    assert peer.session.wake_at == 7.0
    with pytest.raises(PeerSaidError):
        peer.session.tick(7.0)


def test_a_message_in_front_of_bytes_that_do_not_authenticate_is_answered_first() -> None:
    peer = ScriptedPeer().ready()
    assert peer.session.receive(peer.transport.encrypt(ONION.to_bytes()) + bytes(18), 7.0) == [
        OnionMessageReceived(ONION)
    ]
    with pytest.raises(TransportFailed):
        peer.session.tick(7.0)


# --- waiting ---------------------------------------------------------------------------------------------------------


def _after_act_one() -> PeerSession:
    session = PeerSession.accept(BOB, BOB_ONCE, SETTINGS, 0.0)
    session.receive(InitiatorHandshake(ALICE, NodeId(BOB.point), ALICE_ONCE).start(), 9.0)
    return session


@pytest.mark.parametrize(
    ("make", "deadline", "expected"),
    [
        (lambda: PeerSession.initiate(ALICE, NodeId(BOB.point), ALICE_ONCE, SETTINGS, 0.0), 10.0, PeerTooSlow),
        (lambda: PeerSession.accept(BOB, BOB_ONCE, SETTINGS, 0.0), 10.0, PeerTooSlow),
        (_after_act_one, 10.0, PeerTooSlow),
        (lambda: ScriptedPeer().session, 5.0, PeerTooSlow),
    ],
    ids=["no act two", "no act one", "no act three", "no init"],
)
def test_a_silent_peer_is_given_up(
    make: Callable[[], PeerSession], deadline: float, expected: type[ConnectionOver]
) -> None:
    session = make()
    assert session.wake_at == deadline
    session.tick(deadline - 0.1)
    with pytest.raises(expected, match="within"):
        session.tick(deadline)


def test_a_silent_peer_is_pinged_and_given_up_when_no_pong_comes() -> None:
    peer = ScriptedPeer().ready()
    peer.session.tick(59.0)
    assert peer.heard() == []
    peer.session.tick(61.0)
    assert peer.heard() == [Ping(0)]
    assert peer.session.wake_at == 81.0
    peer.session.tick(80.0)
    with pytest.raises(PingUnanswered):
        peer.session.tick(81.0)


@pytest.mark.parametrize("answer", [Pong(0), ONION, UnknownMessage(257, b"")])
def test_whatever_a_pinged_peer_sends_shows_that_it_is_there(answer: Message) -> None:
    peer = ScriptedPeer().ready()
    peer.session.tick(61.0)
    peer.say(answer, now=70.0)
    assert peer.session.wake_at == 130.0


def test_half_a_message_does_not_count_as_a_sign_of_life() -> None:
    peer = ScriptedPeer().ready()
    sealed = peer.transport.encrypt(ONION.to_bytes())
    for moment in range(60):
        peer.session.receive(sealed[moment : moment + 1], float(moment))
    assert peer.session.wake_at == 60.0


@pytest.mark.parametrize("began", [False, True])
def test_a_peer_that_hangs_up_in_the_handshake_is_told_apart(began: bool) -> None:
    if began:
        with pytest.raises(PeerHungUp, match="before its init"):
            ScriptedPeer().session.end_of_stream()
        return
    with pytest.raises(HandshakeFailed, match=f"act 2.*is not {BOB.point.hex()}"):
        PeerSession.initiate(ALICE, NodeId(BOB.point), ALICE_ONCE, SETTINGS, 0.0).end_of_stream()
    with pytest.raises(HandshakeFailed, match="act 1"):
        PeerSession.accept(BOB, BOB_ONCE, SETTINGS, 0.0).end_of_stream()


# --- properties and tables -------------------------------------------------------------------------------------------

MESSAGES = st.one_of(
    st.builds(Ping, st.integers(0, 300) | st.just(65532), st.integers(0, 50)),
    st.builds(Pong, st.integers(0, 50)),
    st.builds(OnionMessage, st.just(ONION.path_key), st.binary(max_size=100)),
    st.builds(WarningMessage, st.text("abc", max_size=20), st.binary(min_size=32, max_size=32)),
    st.builds(ErrorMessage, st.text("abc", max_size=20), st.sampled_from([bytes(32), CHANNEL])),
    st.builds(UnknownMessage, st.integers(20, 500) | st.integers(514, 65535), st.binary(max_size=20)),
    st.just(Init(OFFERED, (REGTEST,))),
)


def _pieces(stream: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return (stream[start:end] for start, end in pairwise(edges))


def _heard_by_bob(messages: list[Message], cuts: list[int]) -> tuple[list[PeerEvent], str, bytes]:
    """Everything one session answers to a whole stream, act one included, cut into pieces."""
    session = PeerSession.accept(BOB, BOB_ONCE, SETTINGS, 0.0)
    handshake = InitiatorHandshake(ALICE, NodeId(BOB.point), ALICE_ONCE)
    events: list[PeerEvent] = []
    answers = b""
    for piece in _pieces(handshake.start(), cuts):
        events += session.receive(piece, 0.0)
    stream = handshake.feed(session.take_output())
    assert handshake.transport is not None
    transport = handshake.transport
    stream += b"".join(transport.encrypt(_bytes_of(message)) for message in messages)
    try:
        for piece in _pieces(stream, cuts):
            events += session.receive(piece, 0.0)
            answers += session.take_output()
        session.tick(0.0)
    except ConnectionOver as failure:
        return events, repr(failure), answers + session.take_output()
    return events, "goes on", answers


@settings(max_examples=150, deadline=None)
@given(
    messages=st.lists(MESSAGES, max_size=8),
    begins_well=st.booleans(),
    cuts=st.lists(st.integers(0, 10**6), max_size=25),
)
def test_however_the_stream_is_cut_events_answers_and_end_are_the_same(
    messages: list[Message], begins_well: bool, cuts: list[int]
) -> None:
    if begins_well:
        messages = [Init(OFFERED, (REGTEST,)), *messages]
    assert _heard_by_bob(messages, cuts) == _heard_by_bob(messages, [])


@settings(max_examples=100, deadline=None)
@given(bodies=st.lists(st.binary(max_size=80), max_size=5))
def test_whatever_a_peer_says_the_session_raises_nothing_but_its_own_errors(bodies: list[bytes]) -> None:
    peer = ScriptedPeer().ready()
    over = False
    for body in bodies:
        try:
            peer.say_bytes(body)
        except ConnectionOver:
            over = True
    assert (peer.session.state is PeerState.OVER) is over


def test_every_known_message_has_a_reaction_in_every_open_state() -> None:
    kinds = {Init, ErrorMessage, WarningMessage, Ping, Pong, OnionMessage, UnknownMessage}
    assert set(REACTIONS) == {PeerState.AWAITING_INIT, PeerState.READY}
    for reactions in REACTIONS.values():
        assert set(reactions) == kinds


def test_we_offer_odd_bits_only_and_all_that_our_peers_insist_on() -> None:
    assert feature_bits(OFFERED) == {1, 9, 13, 15, 39}
    assert Init(OFFERED).has_feature(ONION_MESSAGES)


def test_the_feature_table_has_each_even_bit_once() -> None:
    bits = [feature.even_bit for feature in FEATURES]
    assert bits == sorted(set(bits))
    assert all(bit % 2 == 0 for bit in bits)


@pytest.mark.parametrize(
    "features",
    ["800898880a8a59a1", feature_bytes(frozenset({0, 5, 8, 12, 14, 17, 19, 25, 27, 39, 45, 47, 51})).hex()],
    ids=["Core Lightning v26.06", "LDK 0.1.2"],
)
def test_the_required_features_of_real_nodes_are_no_obstacle(features: str) -> None:
    check_peer_features(bytes.fromhex(features))


def test_a_feature_field_of_64_kilobytes_is_read_at_once() -> None:
    with pytest.raises(UnknownRequiredFeature, match=r"2, 32, 52, 58, 64, 68, 70, 72, \.\.\."):
        check_peer_features(b"\xff" * 65000)


@pytest.mark.parametrize(
    ("bits", "takes"),
    [({39}, True), ({38}, True), (set(), False), ({67}, False), ({39, 67}, False), ({38, 66}, False)],
)
def test_a_peer_takes_onion_messages_unless_it_wants_a_channel_for_them(bits: set[int], takes: bool) -> None:
    assert takes_onion_messages(Init(feature_bytes(frozenset(bits)))) is takes


@given(bits=st.frozensets(st.integers(0, 600)))
def test_feature_bits_survive_the_round_trip(bits: frozenset[int]) -> None:
    field = feature_bytes(bits)
    assert feature_bits(field) == bits
    assert not field.startswith(b"\0")
