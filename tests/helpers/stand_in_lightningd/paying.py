"""xpay, listpays, listsendpays, waitsendpay: one part per payment, over a route that is found in the network's file."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from helpers.stand_in_lightningd.framing import RpcError
from helpers.stand_in_lightningd.network import Terms
from lnrecur.bolt12.codecs import BlindedPayinfo
from lnrecur.bolt12.invoice import Invoice
from lnrecur.crypto.errors import CryptoError
from lnrecur.errors import LnrecurError
from lnrecur.onion.errors import OnionError
from lnrecur.onion.payment_entry import PaymentEntry, begin, take_off
from lnrecur.onion.payment_path import AggregatedTerms
from lnrecur.values import Msat
from lnrecur.wire.blinded_path import BlindedPath, ChannelDirection
from lnrecur.wire.text import decode_text
from lnrecur.wire.tlv import TlvStream

if TYPE_CHECKING:
    from helpers.stand_in_lightningd.node import StandIn

KNOWN_EVEN = {
    *range(0, 24, 2), *range(80, 92, 2), *range(160, 178, 2), 240,
    1000000024, 1000000026, 2000000092, 2000000094,
}  # fmt: skip
NO_PATHS = "We could not find a usable set of paths."


@dataclass(frozen=True)
class Plan:
    """A way to pay: the first channel, what goes over it, and the route inside."""

    scid: str
    amount: int
    cltv: int
    onion: dict[str, Any]
    is_single: bool


class Paying:
    """The outgoing payments of one stand-in."""

    def __init__(self, node: StandIn) -> None:
        self._node = node
        self.network = node.network
        self.commands = {
            "xpay": self.xpay,
            "pay": self.pay,
            "listpays": self.listpays,
            "listsendpays": self.listsendpays,
            "waitsendpay": self.waitsendpay,
        }

    # --- commands

    async def pay(self, params: dict[str, Any]) -> dict[str, Any]:
        """Redirected to xpay, as v26.06 does."""
        told = {key: value for key, value in params.items() if key != "bolt11"}
        return await self.xpay({"invstring": params["bolt11"], **told})

    async def xpay(self, params: dict[str, Any]) -> dict[str, Any]:
        text = params["invstring"]
        invoice = self._read(text)
        if "amount_msat" in params:
            raise RpcError(-32602, "Cannot override amount for bolt12 invoices")
        if (late := self._node.now() - invoice.expires_at) > 0:
            raise RpcError(207, f"Invoice expired {late} seconds ago")
        amount, payment_hash = int(invoice.invoice_amount), invoice.payment_hash.hex()
        maxfee = int(str(params.get("maxfee", max(5000, amount // 100))).removesuffix("msat"))
        group, deadline, failures = (
            int.from_bytes(self._node.random(7), "big"),
            time.monotonic() + int(params.get("retry_for", 60)),
            0,
        )
        told = ""
        while True:
            await self._node.delay("xpay")
            self._refuse_twice(payment_hash, group)
            try:
                plan = self._plan(invoice, amount, maxfee, tried=failures)
            except RpcError as error:
                if not failures:
                    raise RpcError(error.code, f"Failed: {error.message}") from error
                raise RpcError(
                    209, f"Failed after {failures} attempts. {told}Then routing failed: {error.message}"
                ) from error
            part = self._send(plan, payment_hash, text, amount, group, failures + 1, invoice.node_id.hex())
            sent = await self._ended(part)
            if sent["status"] == "complete":
                return {
                    "payment_preimage": sent["preimage"],
                    "failed_parts": failures,
                    "successful_parts": 1,
                    "amount_msat": amount,
                    "amount_sent_msat": sent["amount_sent"],
                }
            failures += 1
            if sent["failure"] == "incorrect_or_unknown_payment_details":
                raise RpcError(203, f"Destination said it doesn't know invoice: {sent['failure']}")
            told += (
                "We got an error from inside the blinded path 0x0x0/1: we assume it means insufficient capacity. "
                if sent["failure"] == "invalid_onion_blinding"
                else f"We got {sent['failure']} for {plan.scid}/1, assuming it can't carry {plan.amount}msat. "
            )
            if time.monotonic() > deadline:
                raise RpcError(209, f"Timed out after after {failures} attempts. {told}")

    async def listsendpays(self, params: dict[str, Any]) -> dict[str, Any]:
        rows = self.network.rows("SELECT * FROM sendpays WHERE owner = ? ORDER BY created_index", self._node.id)
        wanted = [
            row
            for row in rows
            if params.get("payment_hash") in (None, row["payment_hash"])
            and params.get("bolt11") in (None, row["bolt12"])
            and params.get("status") in (None, row["status"])
        ]
        return {"payments": [_shape(row) for row in wanted]}

    async def listpays(self, params: dict[str, Any]) -> dict[str, Any]:
        groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for one in (await self.listsendpays(params))["payments"]:
            groups.setdefault((one["payment_hash"], one["groupid"]), []).append(one)
        return {"pays": [_merged(parts) for parts in groups.values()]}

    async def waitsendpay(self, params: dict[str, Any]) -> dict[str, Any]:
        where, values = "payment_hash = ?", [params["payment_hash"]]
        for key in ("partid", "groupid"):
            if key in params:
                where, values = f"{where} AND {key} = ?", [*values, params[key]]
        found: list[sqlite3.Row] = []

        def look() -> bool:
            found[:] = self._find(f"{where} ORDER BY created_index DESC", *values)
            return not found or found[0]["status"] != "pending"

        timeout = params.get("timeout")
        if not await self._node.wait_for(look, None if timeout is None else float(timeout)):
            raise RpcError(200, "Timed out while waiting")
        if not found:
            raise RpcError(208, "Never attempted payment part for '" + params["payment_hash"] + "'")
        if found[0]["status"] == "failed":
            raise RpcError(204, f"failed: {found[0]['failure']}")
        return _shape(found[0])

    # --- what xpay does

    def _read(self, text: str) -> Invoice:
        if not text.startswith("lni1"):
            raise RpcError(-32602, "Invalid bolt11 invoice: Bad bech32 string")
        try:
            self._refuse_unknown(text)
            invoice = Invoice.from_text(text)
        except LnrecurError as error:
            words = {"invoice_paths": "missing/empty invoice_paths", "signature": "Missing signature"}
            known = next((told for key, told in words.items() if key in str(error)), "invalid invoice data")
            raise RpcError(-32602, f"Invalid bolt12 invoice: {known}") from error
        try:
            invoice.verify_signature()
        except LnrecurError as error:
            raise RpcError(-32602, "Invalid bolt12 invoice: Invalid signature") from error
        if invoice.chain != self._node.chain_hash:
            raise RpcError(-32602, "Invalid bolt12 invoice: wrong chain")
        if not invoice.invoice_amount:
            raise RpcError(-32602, "Invalid bolt12 invoice with zero amount")
        return invoice

    @staticmethod
    def _refuse_unknown(text: str) -> None:
        """It is okay to be odd: other fields Core Lightning has to know, and of recurrence it knows its own numbers."""
        for record in TlvStream.from_bytes(decode_text(text)[1]):
            if record.type % 2 == 0 and record.type not in KNOWN_EVEN:
                raise RpcError(-32602, "Invalid bolt12 invoice: invalid invoice data")

    def _refuse_twice(self, payment_hash: str, group: int) -> None:
        """injectpaymentonion: no group begins before all others have ended, and none after one has succeeded."""
        for row in self._find("payment_hash = ?", payment_hash):
            if row["status"] == "complete":
                raise RpcError(218, "Already paid this invoice successfully")
            if row["status"] == "pending" and row["groupid"] != group:
                raise RpcError(
                    -3, "Unexpected injectpaymentonion error 218: payment with different groupid in progress"
                )

    def _plan(self, invoice: Invoice, amount: int, maxfee: int, *, tried: int) -> Plan:
        worst: RpcError | None = None
        for path, info in list(invoice.payment_paths)[tried:]:
            try:
                return self._plan_path(path, info, amount, maxfee)
            except RpcError as error:
                worst = error
        raise worst or RpcError(
            205, f"{NO_PATHS}  The shortest path is 0x0x0, but 0x0x0/1 layer xpay says max is 0msat"
        )

    def _plan_path(self, path: BlindedPath, info: BlindedPayinfo, amount: int, maxfee: int) -> Plan:
        first = self._introduction(path)
        if not info.htlc_minimum_msat <= amount <= info.htlc_maximum_msat:
            bound = "exceeds htlc_maximum_msat" if amount > info.htlc_maximum_msat else "below htlc_minumum_msat"
            raise RpcError(
                205, f"{NO_PATHS}  The shortest path is 0x0x0, but 0x0x0/1 {bound} ~{info.htlc_maximum_msat}msat"
            )
        terms = AggregatedTerms(
            Msat(info.fee_base_msat),
            info.fee_proportional_millionths,
            info.cltv_expiry_delta,
            Msat(info.htlc_minimum_msat),
            Msat(info.htlc_maximum_msat),
        )
        fee = info.fee_base_msat + amount * info.fee_proportional_millionths // 1_000_000  # rounded down, as CLN does
        entry = replace(begin(path, terms, Msat(amount), self.network.height + 1), amount_msat=Msat(amount + fee))
        if first == self._node.id:
            return self._plan_own(entry, amount, maxfee)
        route = self._route(first)
        if route is None:
            raise RpcError(205, "There is no connection between source and destination at all")
        cltv, out, plain = entry.cltv_expiry, int(entry.amount_msat), []
        for scid, sender in reversed(route[1:]):
            plain.insert(0, {"scid": scid, "amount": out, "cltv": cltv})
            asked = self._node.terms(scid, sender)
            out, cltv = out + asked.fee(out), cltv + asked.cltv_expiry_delta
        return self._checked(route[0][0], out, cltv, plain, entry, amount, maxfee)

    def _plan_own(self, entry: PaymentEntry, amount: int, maxfee: int) -> Plan:
        """A path that begins at this very node: it does what its hop says, and sends the rest."""
        if entry.is_last:
            raise RpcError(-32601, "this stand-in does not pay itself")
        try:
            rest = take_off(entry, self._node.key.ecdh(entry.path_key))
        except (OnionError, CryptoError) as error:
            raise RpcError(209, f"Failed after 1 attempts. We got a weird error ({error})") from error
        scid = self._node.channel_to(rest.next_node)
        if scid is None:
            raise RpcError(205, "There is no connection between source and destination at all")
        return self._checked(scid, int(rest.amount_msat), rest.cltv_expiry, [], rest, amount, maxfee)

    def _checked(
        self, scid: str, out: int, cltv: int, plain: list[Any], entry: PaymentEntry, amount: int, maxfee: int
    ) -> Plan:
        if out - amount > maxfee:
            raise RpcError(206, "Could not find route without excessive cost")
        channel = self.network.row("SELECT * FROM channels WHERE scid = ?", scid)
        assert channel is not None
        spendable = channel["msat1" if channel["node1"] == self._node.id else "msat2"]
        if spendable < out:
            raise RpcError(205, f"{NO_PATHS}  Total source capacity is only {spendable}msat (in 1 channels).")
        blinded = [hop.encrypted_recipient_data.hex() for hop in entry.hops]
        onion = {"plain": plain, "path_key": entry.path_key.hex(), "blinded": blinded}
        return Plan(scid, out, cltv, onion, len(blinded) == 1)

    def _introduction(self, path: BlindedPath) -> str:
        first = path.first_node_id
        if not isinstance(first, ChannelDirection):
            return bytes(first).hex()
        block, transaction, output = first.channel >> 40, first.channel >> 16 & 0xFFFFFF, first.channel & 0xFFFF
        found = self.network.row("SELECT * FROM channels WHERE scid = ?", f"{block}x{transaction}x{output}")
        if found is None:
            raise RpcError(-32602, "Could not resolve any paths: unknown short_channel_id")
        return str(found["node2" if first.direction else "node1"])

    def _route(self, target: str) -> list[tuple[str, str]] | None:
        """Channels with their senders, fewest first; over announced ones behind our own."""
        came: dict[str, list[tuple[str, str]]] = {self._node.id: []}
        waiting = deque([self._node.id])
        channels = self.network.rows("SELECT * FROM channels WHERE is_up = 1")
        while waiting:
            at = waiting.popleft()
            if at == target:
                return came[at] or None
            for channel in channels:
                if at not in (channel["node1"], channel["node2"]) or not (channel["announced"] or at == self._node.id):
                    continue
                other = channel["node2"] if channel["node1"] == at else channel["node1"]
                if other not in came:
                    came[other] = [*came[at], (channel["scid"], at)]
                    waiting.append(other)
        return None

    def _send(self, plan: Plan, payment_hash: str, text: str, amount: int, group: int, part: int, payee: str) -> int:
        with self.network.transaction():
            htlc = self.network.offer_htlc(
                plan.scid, self._node.id, payment_hash, plan.amount, plan.cltv, plan.onion, None
            )
            index = self.network.count_up(self._node.id, "sendpays created")
            status = "pending" if htlc is not None else "failed"
            failure = None if htlc is not None else "temporary_channel_failure"
            row = (self._node.id, index, payment_hash, group, part, payee, amount, plan.amount, self._node.now())
            self.network.run(
                "INSERT INTO sendpays (owner, created_index, payment_hash, groupid, partid, destination, amount,"
                " amount_sent, created_at, status, bolt12, htlc, failure)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                *(*row, status, text, htlc, failure),
            )
        return index

    async def _ended(self, part: int) -> sqlite3.Row:
        found: list[sqlite3.Row] = []

        def look() -> bool:
            found[:] = self._find("created_index = ? AND status <> 'pending'", part)
            return bool(found)

        await self._node.wait_for(look, None)
        return found[0]

    def settle(self) -> None:
        """Book what became of the HTLCs."""
        pending = self.network.rows(
            "SELECT sendpays.created_index, htlcs.state, htlcs.preimage, htlcs.failure FROM sendpays"
            " JOIN htlcs ON htlcs.id = sendpays.htlc"
            " WHERE sendpays.owner = ? AND sendpays.status = 'pending' AND htlcs.state <> 'offered'",
            self._node.id,
        )
        for row in pending:
            with self.network.transaction():
                index = self.network.count_up(self._node.id, "sendpays updated")
                status = "complete" if row["state"] == "fulfilled" else "failed"
                self.network.run(
                    "UPDATE sendpays SET status = ?, preimage = ?, failure = ?, completed_at = ?, updated_index = ?"
                    " WHERE owner = ? AND created_index = ?",
                    *(status, row["preimage"], row["failure"], self._node.now(), index, self._node.id),
                    row["created_index"],
                )

    def _find(self, where: str, *values: Any) -> list[sqlite3.Row]:
        return self.network.rows(f"SELECT * FROM sendpays WHERE owner = ? AND {where}", self._node.id, *values)


def terms_of(told: str) -> Terms:
    """As the file has them."""
    return Terms(**json.loads(told))


def _shape(row: sqlite3.Row) -> dict[str, Any]:
    told = {
        "created_index": row["created_index"],
        "id": row["created_index"],
        "payment_hash": row["payment_hash"],
        "groupid": row["groupid"],
        "partid": row["partid"],
        "destination": row["destination"],
        "amount_msat": row["amount"],
        "amount_sent_msat": row["amount_sent"],
        "created_at": row["created_at"],
        "status": row["status"],
        "bolt12": row["bolt12"],
    }
    more = {
        "updated_index": row["updated_index"],
        "completed_at": row["completed_at"],
        "payment_preimage": row["preimage"],
    }
    return told | {key: value for key, value in more.items() if value is not None}


def _merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    status = next((one for one in ("complete", "pending") if any(part["status"] == one for part in parts)), "failed")
    alive = [part for part in parts if part["status"] != "failed"]
    told = {key: parts[0][key] for key in ("payment_hash", "destination", "created_at", "bolt12", "created_index")}
    told |= {"status": status, "amount_sent_msat": sum(part["amount_sent_msat"] for part in alive)}
    if alive:
        told["amount_msat"] = sum(part["amount_msat"] for part in alive)
    preimages = [part["payment_preimage"] for part in parts if "payment_preimage" in part]
    return told | ({"preimage": preimages[0]} if preimages else {})
