"""Node addresses as people write them."""

import pytest

from lnrecur.crypto.keys import PrivateKey
from lnrecur.errors import UsageError
from lnrecur.ports import PeerAddress
from lnrecur.service.addresses import parse_address
from lnrecur.values import NodeId

NODE = NodeId(PrivateKey(bytes([9]) * 32).point)
HIDDEN = "abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrstuvwx.onion"


@pytest.mark.parametrize(
    ("place", "host", "port"),
    [
        ("203.0.113.5:9735", "203.0.113.5", 9735),
        ("203.0.113.5", "203.0.113.5", 9737),
        ("node.example:1", "node.example", 1),
        ("localhost", "localhost", 9737),
        ("[::1]:9735", "::1", 9735),
        ("[2001:db8::5]", "2001:db8::5", 9737),
        ("2001:db8::5", "2001:db8::5", 9737),
        ("[fe80::1%eth0]:65535", "fe80::1%eth0", 65535),
        (f"{HIDDEN}:9735", HIDDEN, 9735),
        (f"node.{HIDDEN}", f"node.{HIDDEN}", 9737),
        (HIDDEN.upper(), HIDDEN.upper(), 9737),
    ],
)
def test_an_address_is_read(place: str, host: str, port: int) -> None:
    assert parse_address(f" {NODE.hex()}@{place}\n") == PeerAddress(NODE, host, port)


@pytest.mark.parametrize("place", ["203.0.113.5:9735", "node.example:1", "[::1]:9735", f"{HIDDEN}:9735"])
def test_an_address_is_written_as_it_is_read(place: str) -> None:
    assert str(parse_address(f"{NODE.hex()}@{place}")) == f"{NODE.hex()}@{place}"


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("", "write ID@HOST:PORT"),
        (":9735", "is no host"),
        ("host:", "a port is a number"),
        ("host:0", "a port is a number"),
        ("host:65536", "a port is a number"),
        ("host:" + "9" * 5000, "a port is a number"),
        ("host:٣", "a port is a number"),
        ("[::1", "the address in brackets"),
        ("[::1]9735", "the address in brackets"),
        ("[203.0.113.5]:1", "the address in brackets"),
        ("[nonsense]:1", "the address in brackets"),
        ("http://host:9735", "write HOST:PORT"),
        ("host/path:1", "is no host"),
        ("a host:1", "is no host"),
        ("x" * 254 + ":1", "is no host"),
        ("short.onion:1", "56 characters"),
        (HIDDEN.replace("a", "1") + ":1", "56 characters"),
        ("::1:::", "write HOST:PORT"),
    ],
)
def test_what_is_no_place_is_refused_with_what_would_be(place: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as raised:
        parse_address(f"{NODE.hex()}@{place}")
    assert raised.value.field == "address"


@pytest.mark.parametrize("node", ["", "alice", "05" * 33, NODE.hex()[:-2], NODE.hex() + "00"])
def test_what_is_no_node_id_is_refused(node: str) -> None:
    with pytest.raises(UsageError, match="is no node id"):
        parse_address(f"{node}@127.0.0.1:1")
