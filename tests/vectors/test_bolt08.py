"""BOLT 8, appendix A: every transport vector, whole and byte by byte."""

import json
from pathlib import Path
from typing import Any

import pytest

from lnrecur.crypto.keys import PrivateKey
from lnrecur.noise.errors import HandshakeError
from lnrecur.noise.handshake import InitiatorHandshake, ResponderHandshake
from lnrecur.noise.transport import NoiseTransport
from lnrecur.values import NodeId

VECTORS = json.loads((Path(__file__).parent / "data" / "bolts" / "bolt08-transport.json").read_text())
HANDSHAKES = [vector for vector in VECTORS if "ls.priv" in vector]
(MESSAGES,) = [vector for vector in VECTORS if "ck" in vector]
CHAINING_KEY = bytes.fromhex(MESSAGES["ck"])

Handshake = InitiatorHandshake | ResponderHandshake


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _handshake(vector: dict[str, Any]) -> Handshake:
    static = PrivateKey(bytes.fromhex(vector["ls.priv"]))
    ephemeral = PrivateKey(bytes.fromhex(vector["e.priv"]))
    assert static.point.hex() == vector["ls.pub"]
    assert ephemeral.point.hex() == vector["e.pub"]
    if "rs.pub" in vector:
        return InitiatorHandshake(static, NodeId(bytes.fromhex(vector["rs.pub"])), ephemeral)
    return ResponderHandshake(static, ephemeral)


def _feed(handshake: Handshake, data: bytes, piece: int) -> bytes:
    return b"".join(handshake.feed(data[start : start + piece]) for start in range(0, len(data), piece))


def _assert_keys(handshake: Handshake, told: str) -> None:
    """Told as "sk,rk=0x...,0x..." or "rk,sk=...": the transport must be the one these keys make."""
    names, values = told.split("=")
    keys = dict(zip(names.split(","), map(_bytes, values.split(",")), strict=True))
    transport = handshake.transport
    assert transport is not None
    ours = NoiseTransport(keys["sk"], keys["rk"], CHAINING_KEY)
    theirs = NoiseTransport(keys["rk"], keys["sk"], CHAINING_KEY)
    for message in (b"", b"hello") * 1001:  # far enough for the chaining key to be seen too
        assert transport.encrypt(message) == ours.encrypt(message)
        assert transport.feed(theirs.encrypt(message)) == [message]


def _assert_failure(handshake: Handshake, failure: HandshakeError, told: str) -> None:
    code, *version = told.removeprefix("ERROR (").removesuffix(")").split()
    assert failure.code == code
    assert failure.details() == {"code": code}
    if version:
        assert failure.version == int(version[0])
        assert version[0] in str(failure)
    with pytest.raises(HandshakeError) as again:
        handshake.feed(b"more")
    assert again.value is failure
    assert not handshake.done


@pytest.mark.parametrize("piece", [1, 7, 1000])
@pytest.mark.parametrize("vector", HANDSHAKES, ids=lambda vector: vector["name"])
def test_handshake(vector: dict[str, Any], piece: int) -> None:
    handshake = _handshake(vector)
    sent = handshake.start() if isinstance(handshake, InitiatorHandshake) else b""
    failure: HandshakeError | None = None
    expectations = 0
    for step in vector["steps"]:
        if "input" in step:
            try:
                sent += _feed(handshake, _bytes(step["input"]), piece)
                if "READ_FAILED" in vector["steps"][-1]["output"] and step is vector["steps"][-2]:
                    handshake.end_of_stream()
            except HandshakeError as error:
                failure = error
        elif "output" in step:
            expectations += 1
            told = step["output"]
            if told.startswith("ERROR"):
                assert failure is not None
                _assert_failure(handshake, failure, told)
            elif "=" in told:
                assert failure is None
                _assert_keys(handshake, told)
            else:
                expected = _bytes(told)
                assert sent == expected
                sent = b""
    assert expectations
    assert sent == b""


def test_the_handshake_vectors_are_all_there() -> None:
    assert len(VECTORS) == 16
    assert len(HANDSHAKES) == 15


def _message_ends() -> tuple[NoiseTransport, NoiseTransport]:
    sending, receiving = (bytes.fromhex(MESSAGES[name]) for name in ("sk", "rk"))
    return NoiseTransport(sending, receiving, CHAINING_KEY), NoiseTransport(receiving, sending, CHAINING_KEY)


def test_message_encryption_and_key_rotation() -> None:
    sender, receiver = _message_ends()
    expected = {step["message"]: _bytes(step["output"]) for step in MESSAGES["steps"]}
    assert sorted(expected) == [0, 1, 500, 501, 1000, 1001]
    for number in range(1002):
        sealed = sender.encrypt(b"hello")
        if number in expected:
            assert sealed == expected[number]
        assert receiver.feed(sealed) == [b"hello"]


def test_a_message_stream_may_be_cut_anywhere() -> None:
    sender, receiver = _message_ends()
    stream = b"".join(sender.encrypt(b"hello") for _ in range(1002))
    received: list[bytes] = []
    for byte in stream:
        received += receiver.feed(bytes([byte]))
    assert received == [b"hello"] * 1002
