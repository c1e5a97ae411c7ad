"""How the values of BOLT 12 fields are written: one codec per type, reading beside writing.

A codec's `read` proves everything that can be proven of the bytes alone (lengths, points on the curve, UTF-8) and
raises a `WireError` or a `CryptoError`; the table in `fields.py` adds the name and number of the field.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from lnrecur.crypto.keys import parse_point
from lnrecur.values import ChainHash, Point
from lnrecur.wire.blinded_path import BlindedPath, ChannelDirection, read_blinded_paths, write_blinded_paths
from lnrecur.wire.errors import WireError
from lnrecur.wire.integers import U32_MAX, decode_tu32, decode_tu64, encode_tu32, encode_tu64
from lnrecur.wire.reader import ByteReader

T = TypeVar("T")

LIST_MAX: Final = 1000
"""Most payinfos or fallback addresses that are read: they cost us up to thirty times their size in memory.

Payinfos of more than 618 paths do not fit in a message (78 bytes of path and 28 of payinfo each).
"""


@dataclass(frozen=True, slots=True)
class Codec(Generic[T]):
    """Bytes to value and back."""

    read: Callable[[bytes], T]
    write: Callable[[T], bytes]


@dataclass(frozen=True, slots=True)
class RecurrenceField:
    """`recurrence`: byte time_unit, tu32 period. The unit is not yet checked (O3)."""

    time_unit: int
    period: int


@dataclass(frozen=True, slots=True)
class RecurrenceBase:
    """`recurrence_base`: byte proportional_amount, tu64 basetime in seconds since 1970."""

    proportional_amount: int
    basetime: int


@dataclass(frozen=True, slots=True)
class Paywindow:
    """`recurrence_paywindow`: u32 seconds_before and tu32 seconds_after the start of a period."""

    seconds_before: int
    seconds_after: int


@dataclass(frozen=True, slots=True)
class BlindedPayinfo:
    """What using a blinded path costs, for all of it: msat, parts per million, blocks, msat, msat."""

    fee_base_msat: int
    fee_proportional_millionths: int
    cltv_expiry_delta: int
    htlc_minimum_msat: int
    htlc_maximum_msat: int
    features: bytes = b""


@dataclass(frozen=True, slots=True)
class FallbackAddress:
    """An on-chain address: witness version and program."""

    version: int
    program: bytes


@dataclass(frozen=True, slots=True)
class Bip353Name:
    """A human-readable name: what stands before and behind the @."""

    name: bytes
    domain: bytes


def _read_text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"0x{data[error.start]:02x} at byte {error.start} of {len(data)}"
        raise WireError(f"not UTF-8: {error.reason}, {found}") from error


def _read_exactly(size: int) -> Callable[[bytes], bytes]:
    def read(data: bytes) -> bytes:
        if len(data) != size:
            raise WireError(f"takes {size} bytes, here are {len(data)}")
        return data

    return read


def _read_empty(data: bytes) -> bool:
    if data:
        raise WireError(f"carries no bytes, here are {len(data)}")
    return True


def _read_chains(data: bytes) -> tuple[ChainHash, ...]:
    if len(data) % 32:
        raise WireError(f"is a list of 32-byte chain hashes, here are {len(data)} bytes")
    return tuple(ChainHash(data[start : start + 32]) for start in range(0, len(data), 32))


def _read_paths(data: bytes) -> tuple[BlindedPath, ...]:
    paths = read_blinded_paths(data)
    for path in paths:
        if not isinstance(path.first_node_id, ChannelDirection):
            parse_point(path.first_node_id)
        parse_point(path.first_path_key)
        for hop in path.hops:
            parse_point(hop.blinded_node_id)
    return paths


def _read_recurrence(data: bytes) -> RecurrenceField:
    reader = ByteReader(data)
    return RecurrenceField(reader.integer(1, "time_unit"), decode_tu32(reader.rest()))


def _read_base(data: bytes) -> RecurrenceBase:
    reader = ByteReader(data)
    return RecurrenceBase(reader.integer(1, "proportional_amount"), decode_tu64(reader.rest()))


def _read_paywindow(data: bytes) -> Paywindow:
    reader = ByteReader(data)
    before = reader.integer(4, "seconds_before")
    after = reader.rest()
    if len(after) == 4 and after[0] == 0:
        raise WireError("seconds_after is a tu32 without leading zero bytes (LDK writes a u32 here: its deviation)")
    return Paywindow(before, decode_tu32(after))


def _write_paywindow(window: Paywindow) -> bytes:
    if not 0 <= window.seconds_before <= U32_MAX:
        raise ValueError(f"seconds_before is a u32, not {window.seconds_before}")
    return window.seconds_before.to_bytes(4, "big") + encode_tu32(window.seconds_after)


def _check_count(found: Sized, reader: ByteReader) -> None:
    if len(found) == LIST_MAX:
        raise WireError(f"has more than the {LIST_MAX} entries we read", offset=reader.offset)


def _read_payinfos(data: bytes) -> tuple[BlindedPayinfo, ...]:
    reader = ByteReader(data)
    infos: list[BlindedPayinfo] = []
    while not reader.exhausted:
        _check_count(infos, reader)
        infos.append(
            BlindedPayinfo(
                reader.integer(4, "fee_base_msat"),
                reader.integer(4, "fee_proportional_millionths"),
                reader.integer(2, "cltv_expiry_delta"),
                reader.integer(8, "htlc_minimum_msat"),
                reader.integer(8, "htlc_maximum_msat"),
                reader.take(reader.integer(2, "flen"), "features"),
            )
        )
    return tuple(infos)


def _write_payinfos(infos: tuple[BlindedPayinfo, ...]) -> bytes:
    return b"".join(
        info.fee_base_msat.to_bytes(4, "big")
        + info.fee_proportional_millionths.to_bytes(4, "big")
        + info.cltv_expiry_delta.to_bytes(2, "big")
        + info.htlc_minimum_msat.to_bytes(8, "big")
        + info.htlc_maximum_msat.to_bytes(8, "big")
        + len(info.features).to_bytes(2, "big")
        + info.features
        for info in infos
    )


def _read_fallbacks(data: bytes) -> tuple[FallbackAddress, ...]:
    reader = ByteReader(data)
    found: list[FallbackAddress] = []
    while not reader.exhausted:
        _check_count(found, reader)
        version = reader.integer(1, "version")
        found.append(FallbackAddress(version, reader.take(reader.integer(2, "len"), "address")))
    return tuple(found)


def _write_fallbacks(addresses: tuple[FallbackAddress, ...]) -> bytes:
    return b"".join(
        bytes((address.version,)) + len(address.program).to_bytes(2, "big") + address.program for address in addresses
    )


def _read_bip353(data: bytes) -> Bip353Name:
    reader = ByteReader(data)
    name = reader.take(reader.integer(1, "name_len"), "name")
    domain = reader.take(reader.integer(1, "domain_len"), "domain")
    reader.finish("domain")
    return Bip353Name(name, domain)


def _write_bip353(name: Bip353Name) -> bytes:
    return bytes((len(name.name),)) + name.name + bytes((len(name.domain),)) + name.domain


TU32 = Codec(decode_tu32, encode_tu32)
TU64 = Codec(decode_tu64, encode_tu64)
TEXT: Codec[str] = Codec(_read_text, str.encode)
BLOB: Codec[bytes] = Codec(bytes, bytes)
HASH = Codec(_read_exactly(32), bytes)
SIGNATURE = Codec(_read_exactly(64), bytes)
EMPTY: Codec[bool] = Codec(_read_empty, lambda _: b"")
POINT: Codec[Point] = Codec(parse_point, bytes)
CHAIN: Codec[ChainHash] = Codec(lambda data: ChainHash(_read_exactly(32)(data)), bytes)
CHAINS: Codec[tuple[ChainHash, ...]] = Codec(_read_chains, b"".join)
PATHS: Codec[tuple[BlindedPath, ...]] = Codec(_read_paths, write_blinded_paths)
RECURRENCE = Codec(_read_recurrence, lambda value: bytes((value.time_unit,)) + encode_tu32(value.period))
BASE = Codec(_read_base, lambda value: bytes((value.proportional_amount,)) + encode_tu64(value.basetime))
PAYWINDOW = Codec(_read_paywindow, _write_paywindow)
PAYINFOS: Codec[tuple[BlindedPayinfo, ...]] = Codec(_read_payinfos, _write_payinfos)
FALLBACKS: Codec[tuple[FallbackAddress, ...]] = Codec(_read_fallbacks, _write_fallbacks)
BIP353 = Codec(_read_bip353, _write_bip353)
