"""What lightningd has no record of, kept in its datastore: that a payment begins, why one failed, what was withdrawn.

Kept there and not with us, because it belongs to the node: it is on disk before the answer comes, whoever of several
workers asks sees the same, and a backup of the node has it. Notes are found by payment hash:

    lnrecur / payments / HASH     {"at": began, "until": no attempt begins after this, "code": ..., ...}
    lnrecur / withdrawn / HASH    {"at": when, "context": sealed, in base 64}

A note is small, and thrown away when it is older than any invoice whose payment could still be asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec

from lnrecur.adapters.nodes.cln.errors import ClnRefused, ClnUnavailable, Trouble
from lnrecur.adapters.nodes.cln.rpc import ClnRpc
from lnrecur.values import PaymentHash, UnixSeconds

ROOT: Final = "lnrecur"
KEPT_S: Final = 90 * 24 * 3600
_PRUNE_EVERY_S: Final = 24 * 3600
_HEX_SIZE: Final = 64
_EXISTS, _ABSENT, _OTHER_GENERATION, _GONE, _CHANGED = 1202, 1203, 1204, 1200, 1201


class Kind(StrEnum):
    """What a note is about."""

    PAYMENTS = "payments"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Note:
    """One note, and how often it was written: nobody overwrites what they have not read."""

    payment_hash: PaymentHash
    value: Mapping[str, Any]
    generation: int

    @property
    def at(self) -> int:
        """When it was begun, seconds since 1970."""
        at = self.value.get("at")
        return at if isinstance(at, int) else 0


class Notes:
    """Notes in one lightningd."""

    def __init__(self, rpc: ClnRpc) -> None:
        self._rpc = rpc
        self._pruned_at: int | None = None

    async def read(self, kind: Kind, payment_hash: PaymentHash) -> Note | None:
        """The note about a payment hash, if there is one.

        Raises:
            ClnUnavailable: no answer.
        """
        for note in await self._list([ROOT, kind, payment_hash.hex()]):
            return note
        return None

    async def all(self, kind: Kind) -> list[Note]:
        """Every note of a kind.

        Raises:
            ClnUnavailable: no answer.
        """
        return await self._list([ROOT, kind])

    async def write(
        self, kind: Kind, payment_hash: PaymentHash, value: Mapping[str, Any], *, instead_of: Note | None
    ) -> bool:
        """Write a note; False if meanwhile somebody else wrote or threw away what it would take the place of.

        Raises:
            ClnUnavailable: no answer; it may be written.
        """
        text = msgspec.json.encode(value).decode()
        params: dict[str, Any] = {"key": [ROOT, kind, payment_hash.hex()], "string": text, "mode": "must-create"}
        if instead_of is not None:
            params |= {"mode": "must-replace", "generation": instead_of.generation}
        try:
            await self._rpc.call("datastore", params)
        except ClnRefused as error:
            if error.code in (_EXISTS, _ABSENT, _OTHER_GENERATION):
                return False
            raise ClnUnavailable(Trouble.NO_CLN, f"Core Lightning does not keep a note: {error}") from error
        return True

    async def drop(self, kind: Kind, payment_hash: PaymentHash, *, only: Note | None = None) -> None:
        """Throw a note away; harmless if there is none, or if it is no more as it was in `only`.

        Raises:
            ClnUnavailable: no answer.
        """
        params: dict[str, Any] = {"key": [ROOT, kind, payment_hash.hex()]}
        if only is not None:
            params["generation"] = only.generation
        try:
            await self._rpc.call("deldatastore", params)
        except ClnRefused as error:
            if error.code not in (_GONE, _CHANGED):
                raise ClnUnavailable(Trouble.NO_CLN, f"Core Lightning does not drop a note: {error}") from error

    async def prune(self, now: UnixSeconds) -> None:
        """Throw away what is too old to be asked for; looks once a day at most.

        Raises:
            ClnUnavailable: no answer.
        """
        if self._pruned_at is not None and now - self._pruned_at < _PRUNE_EVERY_S:
            return
        self._pruned_at = now
        for kind in Kind:
            for note in await self.all(kind):
                if now - note.at > KEPT_S:
                    await self.drop(kind, note.payment_hash)

    async def _list(self, key: list[str]) -> list[Note]:
        try:
            told = (await self._rpc.call("listdatastore", {"key": key}))["datastore"]
        except (ClnRefused, KeyError) as error:
            raise ClnUnavailable(Trouble.NO_CLN, f"Core Lightning does not tell its datastore: {error}") from error
        return [note for one in told if (note := _read(one)) is not None]


def _read(told: Mapping[str, Any]) -> Note | None:
    """What we wrote; what somebody else put there is none of ours."""
    try:
        name, value = str(told["key"][-1]), msgspec.json.decode(told["string"])
        if len(name) != _HEX_SIZE or not isinstance(value, dict):
            return None
        return Note(PaymentHash(bytes.fromhex(name)), value, int(told["generation"]))
    except (KeyError, IndexError, TypeError, ValueError, msgspec.DecodeError):
        return None
