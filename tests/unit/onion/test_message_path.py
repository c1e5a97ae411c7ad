"""Routes of messages: joined, and too long."""

from __future__ import annotations

import pytest

from lnrecur.crypto.keys import PrivateKey
from lnrecur.onion.errors import PathImpossible
from lnrecur.onion.message_path import MessageRoute, blind_message_path
from lnrecur.onion.payloads import EncryptedData, OnionMessagePayload
from lnrecur.values import NodeId

NODE = NodeId(PrivateKey(b"\x41" * 32).point)
SESSION = PrivateKey(b"\x07" * 32)
PATH = blind_message_path(SESSION, [NODE], EncryptedData())
ROUTE = MessageRoute(NODE, PATH.first_path_key, PATH.hops)


def test_a_path_over_no_nodes_cannot_be_built() -> None:
    with pytest.raises(PathImpossible, match="at least one node"):
        blind_message_path(SESSION, [], EncryptedData())


def test_a_route_without_nodes_before_it_is_itself() -> None:
    assert ROUTE.behind(SESSION, []) is ROUTE


def test_the_big_onion_is_filled_to_its_last_byte_and_no_further() -> None:
    around = 32 + 3 + 2 + 16 + 1 + 3  # HMAC, length, the empty hop data with its tag, type and length of the invoice
    fits = OnionMessagePayload(b"", invoice=bytes(32768 - around))
    assert len(ROUTE.wrap(SESSION, fits).onion) == 32834
    with pytest.raises(PathImpossible, match="32769"):
        ROUTE.wrap(SESSION, OnionMessagePayload(b"", invoice=bytes(32769 - around)))
