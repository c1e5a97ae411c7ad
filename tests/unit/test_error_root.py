"""Every error of the lowest floors says whose fault it is, and none of them asks for a retry that cannot help."""

import pickle

import pytest

from lnrecur.bolt12.errors import Bolt12Error, Breach, FieldMalformed, NotSigned, RuleBroken, WritingError
from lnrecur.crypto.errors import CryptoError, InvalidKey, InvalidPoint, InvalidSignature, InvalidTag
from lnrecur.errors import Fault, LnrecurError, UsageError
from lnrecur.values import BITCOIN, CHAINS, REGTEST, ChainHash, chain_name
from lnrecur.wire.errors import WireError

FAULTS = {
    UsageError: Fault.CALLER,
    InvalidKey: Fault.CALLER,
    WritingError: Fault.CALLER,
    WireError: Fault.PEER,
    CryptoError: Fault.PEER,
    InvalidPoint: Fault.PEER,
    InvalidSignature: Fault.PEER,
    InvalidTag: Fault.PEER,
    Bolt12Error: Fault.PEER,
    FieldMalformed: Fault.PEER,
    RuleBroken: Fault.PEER,
    NotSigned: Fault.PEER,
}


@pytest.mark.parametrize(("error", "fault"), list(FAULTS.items()))
def test_an_error_says_whose_fault_it_is(error: type[LnrecurError], fault: Fault) -> None:
    assert issubclass(error, LnrecurError)
    assert error.fault is fault
    assert error.retry is False


def test_an_error_without_more_to_say_has_no_details() -> None:
    assert LnrecurError("something").details() == {}
    assert UsageError("no such offer").details() == {}
    assert UsageError("not a number", field="amount").details() == {"field": "amount"}


def test_a_wire_error_names_offset_and_type_where_it_knows_them() -> None:
    assert WireError("broken").details() == {}
    error = WireError("broken", offset=0, tlv_type=0)
    assert error.details() == {"offset": 0, "tlv_type": 0}
    assert str(error) == "TLV type 0: broken at offset 0"


def test_a_broken_rule_names_rule_field_and_number() -> None:
    error = RuleBroken("O4", Breach("must be greater than 0", "offer_recurrence_limit", 29))
    assert str(error) == "offer_recurrence_limit (29): must be greater than 0 [O4]"
    assert error.details() == {"rule": "O4", "field": "offer_recurrence_limit", "tlv_type": 29}
    assert str(RuleBroken("V6", Breach("is gone"))) == "is gone [V6]"
    assert RuleBroken("V6", Breach("is gone")).details() == {"rule": "V6"}


def test_a_malformed_field_adds_its_offset() -> None:
    error = FieldMalformed(Breach("not UTF-8", "offer_issuer", 18), 7)
    assert error.details() == {"rule": "BOLT 1", "field": "offer_issuer", "tlv_type": 18, "offset": 7}
    assert "in the record at offset 7" in str(error)


def test_a_chain_has_a_name_or_its_hash() -> None:
    assert {name: chain_name(chain) for name, chain in CHAINS.items()} == {name: name for name in CHAINS}
    assert chain_name(ChainHash(b"\x07" * 32)) == "07" * 32
    assert BITCOIN != REGTEST
    assert all(len(chain) == 32 for chain in CHAINS.values())


def test_breaches_are_values() -> None:
    breach = Breach("told", "field", 5, b"\x01")
    assert pickle.loads(pickle.dumps(breach)) == breach
