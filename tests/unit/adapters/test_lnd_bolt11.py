"""The BOLT 11 text that LND is handed: readable again by a reader of its own, and signed so that a key is recovered."""

from __future__ import annotations

from dataclasses import replace

import pytest
from btclib_secp256k1 import recovery

from lnrecur.adapters.nodes.lnd.bolt11 import DESCRIPTION_MAX, fits_bolt11, write_bolt11
from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.keys import PrivateKey
from lnrecur.onion.payment_path import RelayTerms, build_payment_path
from lnrecur.ports import PaymentPath
from lnrecur.values import CHAINS, Msat, NodeId, PaymentHash, ShortChannelId, UnixSeconds

DIGITS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
RECEIVER, PEER = (PrivateKey(bytes([number]) * 32).point for number in (1, 2))
HOP = RelayTerms(NodeId(PEER), ShortChannelId(7), Msat(1000), 1, 80, Msat(1000), Msat(10**9))
NOW = UnixSeconds(1_750_000_000)


def payment_path(*hops: RelayTerms, path_id: bytes = bytes(32)) -> PaymentPath:
    path, terms = build_payment_path(
        PrivateKey(bytes([3]) * 32), RECEIVER, path_id, hops, max_cltv=1000, htlc_minimum=Msat(1), final_cltv_delta=83
    )
    return PaymentPath(
        path,
        terms.fee_base_msat,
        terms.fee_proportional_millionths,
        terms.cltv_expiry_delta,
        terms.htlc_minimum_msat,
        terms.htlc_maximum_msat,
    )


def write(*paths: PaymentPath, chain: str = "regtest", description: str = "coffee", may_split: bool = False) -> str:
    return write_bolt11(
        chain=CHAINS[chain],
        payment_hash=PaymentHash(bytes(range(32))),
        amount_msat=Msat(25_000),
        created_at=NOW,
        expires_at=UnixSeconds(NOW + 3600),
        description=description,
        paths=paths or (payment_path(HOP),),
        may_split=may_split,
    )


def number(digits: list[int]) -> int:
    value = 0
    for digit in digits:
        value = value * 32 + digit
    return value


def octets(digits: list[int]) -> bytes:
    return (number(digits) >> (5 * len(digits) % 8)).to_bytes(5 * len(digits) // 8, "big")


def read(text: str) -> tuple[str, int, list[tuple[int, list[int]]]]:
    """Prefix, timestamp and fields; the checksum and the signature are checked."""
    prefix, _, tail = text.rpartition("1")
    data = [DIGITS.index(letter) for letter in tail]
    spread = [ord(letter) >> 5 for letter in prefix] + [0] + [ord(letter) & 31 for letter in prefix]
    check = 1
    for value in spread + data:  # BIP 173, as its text has it
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, factor in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= factor if (top >> bit) & 1 else 0
    assert check == 1
    signed, signature = data[: -6 - 104], octets(data[-6 - 104 : -6])
    bits = 5 * len(signed)
    whole = (number(signed) << (-bits % 8)).to_bytes((bits + 7) // 8, "big")
    assert len(recovery.recover(sha256(prefix.encode(), whole), signature[:64], signature[64])) == 33
    fields, at = [], 7
    while at < len(signed):
        kind, size = signed[at], number(signed[at + 1 : at + 3])
        fields.append((kind, signed[at + 3 : at + 3 + size]))
        at += 3 + size
    return prefix, number(signed[:7]), fields


def test_it_says_what_the_invoice_says() -> None:
    prefix, created, fields = read(write())
    told = dict(fields)
    assert (prefix, created) == ("lnbcrt250000p", NOW)
    assert octets(told[1]) == bytes(range(32))
    assert octets(told[13]) == b"coffee"
    assert number(told[6]) == 3600
    assert number(told[5]) == 1 << 9 | 1 << 15 | 1 << 25


@pytest.mark.parametrize(
    ("chain", "prefix"), [("bitcoin", "lnbc"), ("testnet", "lntb"), ("signet", "lntbs"), ("regtest", "lnbcrt")]
)
def test_every_chain_has_its_prefix(chain: str, prefix: str) -> None:
    assert read(write(chain=chain))[0] == f"{prefix}250000p"


def test_parts_are_allowed_where_the_invoice_allows_them() -> None:
    assert number(dict(read(write(may_split=True))[2])[5]) & 1 << 17
    assert not number(dict(read(write())[2])[5]) & 1 << 17


def test_a_path_begins_with_the_introduction_nodes_own_id() -> None:
    path = payment_path(HOP)
    [data] = [octets(digits) for kind, digits in read(write(path))[2] if kind == 20]
    first, second = path.path.hops
    assert data[:28] == b"".join(
        (
            path.fee_base_msat.to_bytes(4, "big"),
            path.fee_proportional_millionths.to_bytes(4, "big"),
            path.cltv_expiry_delta.to_bytes(2, "big"),
            path.htlc_minimum_msat.to_bytes(8, "big"),
            path.htlc_maximum_msat.to_bytes(8, "big"),
            bytes(2),
        )
    )
    assert data[28:62] == path.path.first_path_key + b"\x02"
    size = len(first.encrypted_recipient_data)
    assert data[62:96] == PEER + bytes((size,))
    assert data[96 : 96 + size] == first.encrypted_recipient_data
    assert data[96 + size : 129 + size] == second.blinded_node_id


def test_each_path_has_a_field_in_the_order_of_the_invoice() -> None:
    paths = payment_path(HOP), payment_path(path_id=b"\x01" * 32)
    assert [kind for kind, _ in read(write(*paths))[2]].count(20) == 2


def test_a_long_description_is_cut_between_characters() -> None:
    told = octets(dict(read(write(description="ä" * 400))[2])[13])
    assert told.decode() == "ä" * (DESCRIPTION_MAX // 2)


def test_a_path_that_lnd_could_not_read_does_not_fit() -> None:
    path = payment_path(HOP)
    assert fits_bolt11(path)
    hop = path.path.hops[0]
    long = replace(hop, encrypted_recipient_data=bytes(536))
    assert not fits_bolt11(replace(path, path=replace(path.path, hops=(long,))))
    assert not fits_bolt11(replace(path, path=replace(path.path, hops=(hop,) * 8)))
    big = replace(hop, encrypted_recipient_data=bytes(250))
    assert not fits_bolt11(replace(path, path=replace(path.path, hops=(big,) * 3)))
