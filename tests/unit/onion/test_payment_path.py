"""Payment paths: terms added up, constraints handed down, the end opened."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnrecur.crypto.keys import PrivateKey
from lnrecur.onion.blinding import blind_path
from lnrecur.onion.errors import BlindedDataUnreadable, PathImpossible, PayloadInvalid
from lnrecur.onion.payloads import EncryptedData, PaymentConstraints, PaymentRelay
from lnrecur.onion.payment_path import ALL_MONEY_MSAT, RelayTerms, aggregate, build_payment_path, open_final_hop
from lnrecur.values import Msat, NodeId, ShortChannelId

PAYEE, PEER = PrivateKey(b"\x41" * 32), PrivateKey(b"\x42" * 32)
SESSION = PrivateKey(b"\x07" * 32)
TERMS = RelayTerms(NodeId(PEER.point), ShortChannelId(1), Msat(1000), 100, 40, Msat(1), Msat(10**9))


def test_a_path_of_one_hop_costs_nothing_and_opens_at_the_payee() -> None:
    path, terms = build_payment_path(
        SESSION, PAYEE.point, b"secret", max_cltv=800_000, htlc_minimum=Msat(5), final_cltv_delta=18
    )
    assert (terms.fee_base_msat, terms.fee_proportional_millionths, terms.cltv_expiry_delta) == (0, 0, 18)
    assert (terms.htlc_minimum_msat, terms.htlc_maximum_msat) == (5, ALL_MONEY_MSAT)
    end = open_final_hop(PAYEE, path.first_path_key, path.hops[0].encrypted_recipient_data)
    assert end.path_id == b"secret"
    assert end.constraints == PaymentConstraints(800_000, Msat(5))


def test_only_the_payee_opens_the_end() -> None:
    path, _ = build_payment_path(SESSION, PAYEE.point, b"secret", max_cltv=1, htlc_minimum=Msat(0), final_cltv_delta=18)
    with pytest.raises(BlindedDataUnreadable):
        open_final_hop(PEER, path.first_path_key, path.hops[0].encrypted_recipient_data)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (EncryptedData(), "path_id is missing"),
        (EncryptedData(path_id=b"s", next_node_id=NodeId(PEER.point)), "names a next"),
        (EncryptedData(path_id=b"s", allowed_features=b"\x80"), "allowed_features"),
    ],
)
def test_an_end_that_is_none_is_refused(data: EncryptedData, told: str) -> None:
    path = blind_path(SESSION, [(PAYEE.point, data.to_bytes())])
    with pytest.raises(PayloadInvalid, match=told):
        open_final_hop(PAYEE, path.first_path_key, path.hops[0].encrypted_recipient_data)


def test_the_largest_minimum_and_the_smallest_maximum_bound_the_path() -> None:
    wide, narrow = TERMS, replace(TERMS, htlc_minimum_msat=Msat(700), htlc_maximum_msat=Msat(5000))
    terms = aggregate([wide, narrow], htlc_minimum=Msat(30))
    assert (terms.htlc_minimum_msat, terms.htlc_maximum_msat) == (700, 5000)
    # The other way round the narrow hop forwards what arrives and the wide one's fee: 3999 + 1000 + 1 (rounded up).
    assert aggregate([narrow, wide]).htlc_maximum_msat == 3999


@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 5000)), max_size=5),
    st.integers(1, 10**9),
)
def test_the_aggregated_fee_pays_every_hop_and_overpays_by_roundings_only(
    fees: list[tuple[int, int]], amount: int
) -> None:
    """A payer who adds the path's fee delivers at least the amount, whatever the roundings on the way."""
    hops = [replace(TERMS, fee_base_msat=Msat(base), fee_proportional_millionths=ppm) for base, ppm in fees]
    terms = aggregate(hops)
    proportional = (amount * terms.fee_proportional_millionths + 999_999) // 1_000_000
    arriving, expiry = Msat(amount + terms.fee_base_msat + proportional), terms.cltv_expiry_delta
    for base, ppm in fees:
        arriving, expiry = PaymentRelay(TERMS.cltv_expiry_delta, ppm, base).forwarded(arriving, expiry)
    assert arriving >= amount
    # Each hop may round its fee up twice, and the whole rate up by a millionth.
    assert arriving <= amount + 2 * len(fees) + 1 + amount * len(fees) // 1_000_000
    assert expiry == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"fee_base_msat": 2**32}, "fee_base_msat"),
        ({"fee_proportional_millionths": 2**32}, "fee_proportional"),
        ({"cltv_expiry_delta": 2**16}, "cltv_expiry_delta"),
        ({"fee_base_msat": -1}, "fee_base_msat"),
        ({"htlc_maximum_msat": 0}, "at the most"),
        ({"htlc_minimum_msat": 2 * 10**9}, "at the least"),
    ],
)
def test_impossible_terms_are_told_by_name(change: dict[str, int], told: str) -> None:
    with pytest.raises(PathImpossible, match=told):
        build_payment_path(
            SESSION,
            PAYEE.point,
            b"secret",
            [replace(TERMS, **change)],  # type: ignore[arg-type]
            max_cltv=800_000,
            htlc_minimum=Msat(0),
            final_cltv_delta=18,
        )


def test_a_height_beyond_its_field_is_told_by_name() -> None:
    with pytest.raises(PathImpossible, match="max_cltv_expiry"):
        build_payment_path(
            SESSION, PAYEE.point, b"s", [TERMS], max_cltv=2**32 - 1, htlc_minimum=Msat(0), final_cltv_delta=0
        )
