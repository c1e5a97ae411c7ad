"""The TLV streams inside onions: what is read, what BOLT 4 forbids."""

from __future__ import annotations

import pytest

from lnrecur.crypto.errors import InvalidPoint
from lnrecur.crypto.keys import PrivateKey
from lnrecur.onion.blinding import blind_path
from lnrecur.onion.errors import ConstraintBroken, PayloadInvalid
from lnrecur.onion.payloads import EncryptedData, OnionMessagePayload, PaymentConstraints, PaymentRelay
from lnrecur.onion.payment_payloads import FinalPaymentPayload, RelayPaymentPayload
from lnrecur.values import Msat, NodeId, ShortChannelId
from lnrecur.wire.blinded_path import BlindedPath
from lnrecur.wire.errors import WireError
from lnrecur.wire.tlv import TlvRecord, TlvStream

ALICE = PrivateKey(b"\x41" * 32)
NODE = NodeId(ALICE.point)
PATH = blind_path(PrivateKey(b"\x07" * 32), [(ALICE.point, b"told")])


def stream(*records: tuple[int, bytes]) -> bytes:
    return TlvStream([TlvRecord.of(number, value) for number, value in records]).to_bytes()


def test_encrypted_data_keeps_unknown_odd_records() -> None:
    data = stream((6, b"id"), (561, b"odd"))
    read = EncryptedData.from_bytes(data)
    assert read.unknown == (TlvRecord.of(561, b"odd"),)
    assert read.to_bytes() == data


@pytest.mark.parametrize("read", [EncryptedData.from_bytes, OnionMessagePayload.from_bytes])
def test_an_unknown_even_type_is_refused_by_its_number(read: object) -> None:
    assert callable(read)
    with pytest.raises(PayloadInvalid, match="560") as caught:
        read(stream((4, NODE), (560, b"")))
    assert caught.value.details() == {"tlv_type": 560}


def test_a_hop_with_two_next_hops_is_refused() -> None:
    with pytest.raises(PayloadInvalid, match="twice"):
        EncryptedData.from_bytes(stream((2, bytes(8)), (4, NODE)))


@pytest.mark.parametrize("bad", [(2, bytes(7)), (2, bytes(9)), (10, bytes(5)), (12, bytes(3)), (12, bytes(13))])
def test_a_value_of_the_wrong_size_is_refused(bad: tuple[int, bytes]) -> None:
    with pytest.raises(WireError):
        EncryptedData.from_bytes(stream(bad))


@pytest.mark.parametrize("tlv_type", [4, 8])
def test_a_point_that_is_none_is_refused(tlv_type: int) -> None:
    with pytest.raises(InvalidPoint):
        EncryptedData.from_bytes(stream((tlv_type, b"\x02" + bytes(32))))


def test_fees_and_minimums_are_truncated_integers() -> None:
    assert PaymentRelay(36, 150, 10_000).to_bytes().hex() == "0024000000962710"
    assert PaymentRelay(0, 0, 0).to_bytes() == bytes(6)
    assert PaymentConstraints(748_005, Msat(1500)).to_bytes().hex() == "000b69e505dc"
    with pytest.raises(WireError, match="leading"):
        PaymentRelay.from_bytes(bytes(6) + b"\0\1")
    with pytest.raises(WireError, match="leading"):
        PaymentConstraints.from_bytes(bytes(5))


def test_a_forwarder_is_told_exactly_one_next_hop_and_no_path_id() -> None:
    assert EncryptedData(next_node_id=NODE).forward_to() == NODE
    assert EncryptedData(short_channel_id=ShortChannelId(0)).forward_to() == 0
    with pytest.raises(PayloadInvalid, match="where to forward"):
        EncryptedData().forward_to()
    with pytest.raises(PayloadInvalid, match="path_id"):
        EncryptedData(next_node_id=NODE, path_id=b"id").forward_to()


def test_a_recipient_is_told_no_next_hop() -> None:
    EncryptedData(path_id=b"id").require_recipient()
    with pytest.raises(PayloadInvalid, match="names a next"):
        EncryptedData(short_channel_id=ShortChannelId(0)).require_recipient()


def test_an_empty_set_of_features_is_fine_and_any_bit_is_not() -> None:
    EncryptedData().require_no_features()
    EncryptedData(allowed_features=b"").require_no_features()
    EncryptedData(allowed_features=b"\0\0").require_no_features()
    with pytest.raises(PayloadInvalid, match="allowed_features"):
        EncryptedData(allowed_features=b"\x02\x00").require_no_features()


def test_a_message_layer_comes_back_as_it_was_written() -> None:
    layer = OnionMessagePayload(b"sealed", reply_path=PATH, invoice=b"lni", unknown=(TlvRecord.of(65, b"dns"),))
    assert OnionMessagePayload.from_bytes(layer.to_bytes()) == layer


def test_a_message_layer_needs_its_encrypted_data() -> None:
    with pytest.raises(PayloadInvalid, match="missing"):
        OnionMessagePayload.from_bytes(stream((64, b"lnr")))


@pytest.mark.parametrize("both", [(64, 66), (66, 68), (64, 68)])
def test_a_message_with_two_contents_is_refused(both: tuple[int, int]) -> None:
    with pytest.raises(PayloadInvalid, match="carries one of"):
        OnionMessagePayload.from_bytes(stream((4, b"sealed"), (both[0], b"a"), (both[1], b"b")))


def test_a_reply_path_is_one_path_with_hops() -> None:
    none = BlindedPath(PATH.first_node_id, PATH.first_path_key, ())
    with pytest.raises(PayloadInvalid, match="at least one hop"):
        OnionMessagePayload.from_bytes(stream((2, none.to_bytes()), (4, b"sealed")))
    with pytest.raises(WireError, match="too many"):
        OnionMessagePayload.from_bytes(stream((2, PATH.to_bytes() * 2), (4, b"sealed")))


@pytest.mark.parametrize("more", [(2, PATH.to_bytes()), (64, b""), (66, b""), (68, b""), (561, b"odd")])
def test_a_forwarding_layer_has_nothing_else(more: tuple[int, bytes]) -> None:
    OnionMessagePayload(b"sealed").require_nothing_else()
    with pytest.raises(PayloadInvalid, match="nothing else"):
        OnionMessagePayload.from_bytes(stream((4, b"sealed"), more)).require_nothing_else()


def test_the_final_layer_of_a_payment_has_all_its_fields_and_no_others() -> None:
    layer = FinalPaymentPayload(Msat(1), 2, b"sealed", Msat(3), ALICE.point)
    assert FinalPaymentPayload.from_bytes(layer.to_bytes()) == layer
    records = TlvStream.from_bytes(layer.to_bytes()).records
    for left_out in (2, 4, 10, 18):
        with pytest.raises(PayloadInvalid, match="missing"):
            FinalPaymentPayload.from_bytes(TlvStream([r for r in records if r.type != left_out]).to_bytes())
    with pytest.raises(PayloadInvalid, match="TLV type 561"):
        FinalPaymentPayload.from_bytes(TlvStream([*records, TlvRecord.of(561, b"")]).to_bytes())


def test_the_forwarding_layer_of_a_payment_has_no_other_field() -> None:
    layer = RelayPaymentPayload(b"sealed", ALICE.point)
    assert RelayPaymentPayload.from_bytes(layer.to_bytes()) == layer
    with pytest.raises(PayloadInvalid, match="TLV type 2"):
        RelayPaymentPayload.from_bytes(stream((2, b"\1"), (10, b"sealed")))


def test_constraints_admit_what_they_allow_to_the_last_block_and_msat() -> None:
    constraints = PaymentConstraints(800_000, Msat(50))
    constraints.admit(Msat(50), 800_000)
    with pytest.raises(ConstraintBroken, match="800001"):
        constraints.admit(Msat(50), 800_001)
    with pytest.raises(ConstraintBroken, match="49 msat"):
        constraints.admit(Msat(49), 800_000)


def test_an_amount_that_does_not_pay_the_base_fee_is_not_forwarded() -> None:
    assert PaymentRelay(10, 0, 100).forwarded(Msat(101), 50) == (1, 40)
    with pytest.raises(ConstraintBroken, match="base fee"):
        PaymentRelay(10, 0, 100).forwarded(Msat(100), 50)
