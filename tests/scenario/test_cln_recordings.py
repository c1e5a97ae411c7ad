"""Two recordings of Core Lightning v26.06.6 through our whole services, on a rig, at the recorded times.

external_issuer_recurring: its native payer at an issuer that is none of its own. What it asked goes through our payee;
what we answer must be what it takes. external_payer_hooks: a payer of somebody else's at its native issuer. Our payer
writes the very requests that were recorded, and gets the answers that its hooks saw.

What stands in for something: the recorder's issuer knew its offers without our authentication code, and signed with the
key that the file tells; the recorder's payer had keys of its own; the preimages of recorded payments are those the
recorded nodes revealed.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from helpers.cln_payer import ClnPayer
from helpers.hosts import GuestLink, RigHost
from helpers.rig import Hand, counters, events, outbound
from lnrecur.adapters.nodes.cln.hook_messages import read_onion_message
from lnrecur.bolt12 import Invoice, InvoiceRequest, Offer
from lnrecur.bolt12.invoice_error import read_invoice_error
from lnrecur.bolt12.invoice_request import VerifiedInvoiceRequest
from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.keys import PrivateKey
from lnrecur.messaging.messenger import (
    ContentsKind,
    Delivered,
    DirectDestination,
    Forward,
    MessageContents,
    Messenger,
)
from lnrecur.ports import FailureReason, Host, PayOrder, Sent, SentState
from lnrecur.recurrence.inbound_model import Phase as PayeePhase
from lnrecur.recurrence.inbound_model import subscription_id
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.outbound_model import Phase, Terms
from lnrecur.recurrence.outbound_terms import PayAt
from lnrecur.recurrence.payer_keys import PayerKeys
from lnrecur.service import payee as payee_module
from lnrecur.service.assembly import Parts
from lnrecur.service.guest import GuestInbox, is_for_us
from lnrecur.service.keyring import Keyring
from lnrecur.service.offer_paths import OfferPaths
from lnrecur.testing.rig import Rig, RigNode
from lnrecur.testing.seeded_entropy import SeededEntropy
from lnrecur.values import Msat, NodeId, PaymentHash, Point, Preimage, RecurrenceId
from lnrecur.wire.messages import OnionMessage
from lnrecur.wire.tlv import TlvStream
from vectors.recorded import parsed, steps

ISSUER = "external_issuer_recurring.json"
HOOKS = "external_payer_hooks.json"
DERIVED = parsed("derivations.json")


def key_of(node: str) -> PrivateKey:
    """The recorded node's own key."""
    return PrivateKey(bytes.fromhex(DERIVED["nodes"][node]["node_private_key"]))


# --- its payer at our payee ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """One command of the recorded payer that reached the issuer."""

    number: int
    step: dict[str, Any]
    request: bytes
    was_paid: bool

    @property
    def offer(self) -> Offer:
        return Offer.from_text(self.step["params"]["offer"])

    @property
    def told(self) -> Invoice | None:
        """What the recorder's script answered, where it did not lie on purpose."""
        entry = self.step["issuer_log"][0]
        return Invoice.from_bytes(bytes.fromhex(entry["invoice"]["tlv_hex"])) if entry["tamper"] is None else None


def asked() -> Iterator[Asked]:
    recorded = steps(ISSUER)
    for number, step in enumerate(recorded):
        if step.get("issuer_log"):
            request = bytes.fromhex(step["issuer_log"][0]["invoice_request"]["tlv_hex"])
            then = recorded[number + 1] if number + 1 < len(recorded) else {}
            yield Asked(number, step, request, then.get("method") == "xpay")


def as_the_recorded_issuer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Know the recorded offers, and sign with the recorded key."""
    offers = {bytes.fromhex(step["offer"]["offer_id"]) for step in steps(ISSUER) if "method" not in step}
    key = PrivateKey(bytes.fromhex(parsed(ISSUER)["issuer_private_key"]))
    monkeypatch.setattr(payee_module, "is_ours", lambda _key, request, _path_id: request.offer_id in offers)
    monkeypatch.setattr(OfferPaths, "signing_key", lambda _self, _request, _delivered: key)


async def test_what_core_lightnings_payer_asked_is_answered_so_that_it_would_pay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    as_the_recorded_issuer(monkeypatch)
    everything = list(asked())
    payer = ClnPayer(key_of("l1"), bytes.fromhex(DERIVED["makesecret"]["l1"]["node-alias-base"]))
    refused: dict[int, str] = {}
    accepted: list[int] = []
    async with Rig(1, start=int(everything[0].step["time_before"]) - 10) as rig:
        merchant, hand = await rig.join("merchant"), Hand(rig)
        to = DirectDestination(merchant.node_id)
        for one in everything[:-1]:  # the last offer names no issuer: a path of its own would have to be walked
            await rig.run_until(max(rig.clock.now(), int(one.step["time_before"])))
            before = len(hand.answers)
            await hand.say(to, ContentsKind.INVOICE_REQUEST, one.request)
            await rig.run_for(0)
            if InvoiceRequest.from_bytes(one.request).is_cancel:
                assert len(hand.answers) == before, "a cancel is not answered"
                continue
            assert hand.answers[before:], one.number
            [answer] = hand.answers[before:]
            if answer.kind is ContentsKind.INVOICE_ERROR:
                refused[one.number] = read_invoice_error(answer.data).text
                continue
            label = one.step["params"].get("recurrence_label", "")
            invoice = payer.accept(one.offer, label, one.request, answer.data)
            accepted.append(one.number)
            if one.told is not None:
                assert (invoice.invoice_amount, invoice.basetime is None) == (
                    one.told.invoice_amount, one.told.basetime is None,
                )  # fmt: skip
                assert abs((invoice.basetime or 0) - (one.told.basetime or 0)) <= 1, "the second of a busy recorder"
            if one.was_paid:
                assert await hand.pay(invoice) is SentState.SUCCEEDED
        assert accepted == [one.number for one in everything[:-1] if one.number not in (23, 24)]
        assert refused == {24: "invreq_payer_id: this payer has cancelled [Q15]"}
        cancelled = InvoiceRequest.from_bytes(next(one.request for one in everything if one.number == 23))
        stored = merchant.manager.inbound(cancelled.offer_id, cancelled.payer_id)
        assert stored is not None
        assert stored.state.phase is PayeePhase.CANCELLED
        assert counters(merchant, subscription_id(cancelled.offer_id, Point(cancelled.payer_id))) == [0, 1, 2]
        assert len(merchant.manager.payments()) == 4, "and a single one before"


# --- our payer at its issuer -----------------------------------------------------------------------------------------


class RecordedKeys(PayerKeys):
    """The keys and the metadata of the recorded payer: it used one metadata for a whole series."""

    __slots__ = ("recorded",)

    def metadata(self, counter: int, attempt: int) -> bytes:
        found: bytes = self.recorded
        return found


class RecordedKeyring(Keyring):
    """Gives each new subscription the next recorded payer."""

    __slots__ = ("known", "waiting")

    def payer(self, recurrence_id: RecurrenceId) -> PayerKeys:
        if recurrence_id not in self.known:
            self.known[recurrence_id] = self.waiting.popleft()
        found: PayerKeys = self.known[recurrence_id]
        return found


def keyring(like: Keyring, payers: list[RecordedKeys]) -> RecordedKeyring:
    made = RecordedKeyring(
        like.seed, identity=like.identity, money=like.money, offers=like.offers, contexts=like.contexts,
        states=like.states, answers=like.answers,
    )  # fmt: skip
    object.__setattr__(made, "known", {})
    object.__setattr__(made, "waiting", deque(payers))
    return made


def recorded_keys(step: dict[str, Any], answers: bytes) -> RecordedKeys:
    key = PrivateKey(bytes.fromhex(step["payer_private_key"]))
    keys = RecordedKeys(key, sha256(b"reply paths", key.secret), answers)
    metadata = InvoiceRequest.from_bytes(bytes.fromhex(step["invoice_request"]["tlv_hex"])).invreq_metadata
    object.__setattr__(keys, "recorded", metadata)
    return keys


class RecordedNode:
    """A recorded node on the rig's network: it passes on what is for others, and answers what it was recorded to."""

    def __init__(self, rig: Rig, name: str) -> None:
        self.messenger = Messenger(key_of(name))
        self.link = rig.network.link(self.messenger.node_id)
        self.link.on_message(self._arrived)
        self.entropy = SeededEntropy(int(name[1:]))
        self.requests: list[bytes] = []
        self.answers: dict[bytes, MessageContents] = {}
        """By the unsigned request; each is given once."""

    async def _arrived(self, peer: NodeId, message: OnionMessage) -> None:
        opened = self.messenger.receive(message)
        if isinstance(opened, Forward):
            assert isinstance(opened.next_node, bytes)
            await self.link.send(NodeId(Point(opened.next_node)), opened.message)
            return
        assert isinstance(opened, Delivered)
        assert opened.contents is not None
        self.requests.append(opened.contents.data)
        answer = self.answers.pop(unsigned(opened.contents.data), None)
        if answer is not None and opened.reply_path is not None:
            out = self.messenger.compose(opened.reply_path, answer, self.entropy.take(64))
            await self.link.send(out.first_hop, out.message)


class RecordedMoney:
    """A money node that pays what was recorded as paid, with the recorded preimage, and nothing else."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.orders: list[PayOrder] = []
        paid = [step["result"]["payment_preimage"] for step in steps(HOOKS) if step.get("method") == "xpay"]
        self._preimages = {PaymentHash(sha256(bytes.fromhex(text))): Preimage(bytes.fromhex(text)) for text in paid}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def pay(self, order: PayOrder) -> None:
        self.orders.append(order)

    async def sent(self, payment_hash: PaymentHash) -> Sent:
        if payment_hash not in {order.payment_hash for order in self.orders}:
            return Sent(SentState.UNKNOWN)
        if payment_hash not in self._preimages:
            return Sent(SentState.FAILED, reason=FailureReason.NO_ROUTE, retryable=True)
        return Sent(SentState.SUCCEEDED, preimage=self._preimages[payment_hash], fee_msat=Msat(1))

    async def follow(self, payment_hash: PaymentHash) -> Sent:
        return await self.sent(payment_hash)


def unsigned(data: bytes) -> bytes:
    return b"".join(record.raw for record in TlvStream.from_bytes(data) if record.type != 240)


def hook_answer(step: dict[str, Any]) -> MessageContents:
    """What the hook saw, as it is in its payload."""
    payload = step["hook_payload"]
    kind = ContentsKind.INVOICE if "invoice" in payload else ContentsKind.INVOICE_ERROR
    return MessageContents(kind, bytes.fromhex(payload["invoice" if kind is ContentsKind.INVOICE else "invoice_error"]))


class AsHooks:
    """lightningd's place: what arrives for our guest goes through its hook, in the very payload that was recorded."""

    def __init__(self, rig: Rig) -> None:
        self.host = RigHost(rig.network, Messenger(key_of("l1")))
        told = [step["hook_payload"] for step in steps(HOOKS) if step.get("hook_payload")]
        self.payloads = {payload.get("invoice") or payload["invoice_error"]: payload for payload in told}
        self.taken: list[str] = []

    def dress(self, parts: Parts) -> Parts:
        return replace(parts, link=GuestLink(self.host), host=Host(self.host.messenger.node_id, lambda: ()))

    def house(self, node: RigNode) -> None:
        """Show what arrives to this life of the node, if the hook says that it is ours."""
        assert node.services is not None
        inbox, keys = GuestInbox(node.services.courier), node.keyring
        self.host.network.leave(node.node_id)

        def hook(delivered: Delivered) -> bool:
            assert delivered.contents is not None
            assert delivered.path_id is not None
            payload = self.payloads[delivered.contents.data.hex()]
            ours = {**payload, "pathsecret": delivered.path_id.hex()}  # the recorded payer chose another secret
            told = read_onion_message({"onion_message": ours})
            assert told.contents == delivered.contents
            assert is_for_us(keys, told)
            inbox.take(told)
            self.taken.append(ours["pathsecret"])
            return True

        self.host.guest = hook


@pytest.mark.parametrize("hosted", [False, True])
@pytest.mark.parametrize(("issuer", "offer_at", "first", "paid", "early", "other"), [
    ("l3", 0, 1, (1, 3), 5, 8), ("l4", 9, 10, (10, 12), 14, 17),
])  # fmt: skip
async def test_our_payer_writes_what_was_recorded_and_pays_what_the_hooks_saw(
    hosted: bool, issuer: str, offer_at: int, first: int, paid: tuple[int, int], early: int, other: int
) -> None:
    recorded = steps(HOOKS)
    offer = Offer.from_text(recorded[offer_at]["offer"]["bolt12"])
    async with Rig(1, start=int(recorded[first]["time_before"])) as rig:
        nodes = {name: RecordedNode(rig, name) for name in ("l2", "l3", "l4")}
        for number in (*paid, early, other):
            asked_for = bytes.fromhex(recorded[number]["invoice_request"]["tlv_hex"])
            nodes[issuer].answers[unsigned(asked_for)] = hook_answer(recorded[number])
        money: list[RecordedMoney] = []
        hooks = AsHooks(rig) if hosted else None

        def dress(parts: Parts) -> Parts:
            money.append(RecordedMoney(parts.node))
            dressed = replace(parts, node=money[-1])  # type: ignore[arg-type]
            return dressed if hooks is None else hooks.dress(dressed)

        alice = await rig.join("alice", dress=dress)
        before = alice.keyring
        people = [recorded_keys(recorded[number], before.answers) for number in (first, other)]
        alice.keyring = keyring(before, people)
        await rig.restart("alice")
        if hooks is not None:
            hooks.house(alice)
        terms = Terms(pay_at=PayAt.EARLIEST, jitter_s=0)
        one = alice.payer.subscribe(offer, Mandate(Msat(12_000)), terms).recurrence_id
        two = alice.payer.subscribe(offer, Mandate(Msat(12_000)), terms).recurrence_id
        await rig.run_for(4)
        assert outbound(alice, two).phase is Phase.PAYING, "a recorded invoice that nobody paid"
        assert counters(alice, one) == [0, 1]
        state = outbound(alice, one)
        assert (state.phase, state.next_counter, state.paid_msat) == (Phase.IDLE, 2, 24_000)
        wrote = {unsigned(request) for request in nodes[issuer].requests}
        asked_for = (bytes.fromhex(recorded[number]["invoice_request"]["tlv_hex"]) for number in (*paid, other))
        assert wrote == {unsigned(data) for data in asked_for}
        assert all(VerifiedInvoiceRequest(TlvStream.from_bytes(data)) for data in nodes[issuer].requests)
        await rig.run_for(60)
        [refused] = [event for event in alice.manager.events() if event.name == "subscription.request_refused"]
        assert (refused.data["verdict"], refused.data["counter"]) == ("wait", 2)

        assert [order.amount_msat for order in money[-1].orders][:3] == [12_000] * 3
        assert events(alice).count("subscription.created") == 1
        assert hooks is None or len(hooks.taken) == len(set(hooks.taken)) == 4
