"""invoice, listinvoices, delinvoice, waitanyinvoice, waitinvoice: and what becomes of an HTLC that arrives."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from typing import TYPE_CHECKING, Any

from helpers.stand_in_lightningd import bolt11
from helpers.stand_in_lightningd.framing import RpcError
from lnrecur.crypto.hashes import sha256
from lnrecur.onion.payment_path import FinalHop
from lnrecur.wire.text import decode_text
from lnrecur.wire.tlv import TlvStream

if TYPE_CHECKING:
    from helpers.stand_in_lightningd.node import StandIn

CLTV_FINAL = 18
REFUSED = "incorrect_or_unknown_payment_details"
_AMOUNT = re.compile(r"(\d+)(msat)?")


class Receiving:
    """The invoices of one stand-in."""

    def __init__(self, node: StandIn) -> None:
        self._node = node
        self.network = node.network
        self.commands = {
            "invoice": self.invoice,
            "listinvoices": self.listinvoices,
            "delinvoice": self.delinvoice,
            "waitanyinvoice": self.waitanyinvoice,
            "waitinvoice": self.waitinvoice,
            "createinvoice": self.createinvoice,
        }

    # --- commands

    async def invoice(self, params: dict[str, Any]) -> dict[str, Any]:
        amount, label, description = _msat(params), str(params["label"]), params["description"]
        if any(character < " " for character in description):
            raise RpcError(-32602, "description: should be a string without \\u")
        if not params.get("deschashonly") and len(description.encode()) > 1023:
            raise RpcError(
                -32602,
                "Descriptions greater than 1023 bytes not yet supported",
            )
        preimage = bytes.fromhex(params["preimage"]) if "preimage" in params else self._node.random(32)
        if len(preimage) != 32:
            raise RpcError(-32602, "preimage: should be 64 hex digits")
        payment_hash, now, expiry = sha256(preimage), self._node.now(), int(params.get("expiry", 604800))
        secret = sha256(bytes([preimage[0] ^ 1]) + preimage[1:])
        text = bolt11.write(
            self._node.key,
            self._node.chain,
            payment_hash=payment_hash,
            secret=secret,
            amount_msat=amount,
            created_at=now,
            expiry=expiry,
            cltv=int(params.get("cltv", CLTV_FINAL)),
            description=description,
            hashed=bool(params.get("deschashonly")),
        )
        with self.network.transaction():
            if self._find("label = ?", label):
                raise RpcError(900, f"Duplicate label '{label}'")
            if self._find("payment_hash = ?", payment_hash.hex()):
                raise RpcError(901, "preimage already used")
            index = self.network.count_up(self._node.id, "invoices created")
            self.network.run(
                "INSERT INTO invoices (owner, created_index, label, payment_hash, preimage, secret, amount,"
                " description, bolt11, expires_at, status) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'unpaid')",
                *(self._node.id, index, label, payment_hash.hex(), preimage.hex(), secret.hex(), amount, description),
                *(text, now + expiry),
            )
        await self._node.hooks.notify("invoice_creation", {"label": label, "preimage": preimage.hex(), "msat": amount})
        return {
            "payment_hash": payment_hash.hex(),
            "expires_at": now + expiry,
            "bolt11": text,
            "payment_secret": secret.hex(),
            "created_index": index,
            "warning_capacity": "Insufficient incoming channel capacity to pay invoice",
        }

    async def createinvoice(self, params: dict[str, Any]) -> dict[str, Any]:
        """The two calls that end lightningd end this; the others are not known here."""
        stream = TlvStream.from_bytes(decode_text(params["invstring"])[1])
        records = {record.type: record.value for record in stream}
        if 168 not in records and 160 not in records:
            self._node.crash("SIGSEGV (lightningd/invoice.c:1625): createinvoice without payment_hash and paths")
            await asyncio.Event().wait()
        known = self._find("payment_hash = ? AND label <> ?", records.get(168, b"").hex(), str(params["label"]))
        if known:
            self._node.crash("SIGABRT (wallet/invoices.c:325): createinvoice with the payment_hash of another label")
            await asyncio.Event().wait()
        raise RpcError(-32601, "this stand-in makes no bolt12 invoices")

    async def listinvoices(self, params: dict[str, Any]) -> dict[str, Any]:
        self.expire()
        if len({"label", "invstring", "payment_hash", "offer_id"} & params.keys()) > 1:
            raise RpcError(-32602, "Can only specify one of {label}, {invstring}, {payment_hash} or {offer_id}")
        for key, column in (("label", "label"), ("payment_hash", "payment_hash"), ("invstring", "bolt11")):
            if key in params:
                return {"invoices": [_shape(row) for row in self._find(f"{column} = ?", str(params[key]))]}
        index = f"{params.get('index', 'created')}_index"
        limit = int(params.get("limit", -1))
        rows = self.network.rows(
            f"SELECT * FROM invoices WHERE owner = ? AND {index} >= ? ORDER BY {index} LIMIT ?",
            *(self._node.id, max(int(params.get("start", 0)), 1), limit),
        )
        return {"invoices": [_shape(row) for row in rows]}

    async def delinvoice(self, params: dict[str, Any]) -> dict[str, Any]:
        self.expire()
        with self.network.transaction():
            found = self._find("label = ?", str(params["label"]))
            if not found:
                raise RpcError(905, "Unknown invoice")
            status, wanted = found[0]["status"], params["status"]
            if status != wanted:
                data = {"current_status": status, "expected_status": wanted}
                raise RpcError(906, f"Invoice status is {status} not {wanted}", data)
            if params.get("desconly"):
                self._change(found[0], "description = NULL")
            else:
                self.network.run("DELETE FROM invoices WHERE owner = ? AND label = ?", self._node.id, found[0]["label"])
        return _shape(found[0])

    async def waitanyinvoice(self, params: dict[str, Any]) -> dict[str, Any]:
        last, timeout = int(params.get("lastpay_index", 0)), params.get("timeout")
        found: list[sqlite3.Row] = []

        def look() -> bool:
            found[:] = self._find("pay_index > ? ORDER BY pay_index LIMIT 1", last)
            return bool(found)

        if not await self._node.wait_for(look, None if timeout is None else float(timeout)):
            raise RpcError(904, "Timed out while waiting for invoice to be paid")
        return _shape(found[0])

    async def waitinvoice(self, params: dict[str, Any]) -> dict[str, Any]:
        label, found = str(params["label"]), []
        if not self._find("label = ?", label):
            raise RpcError(-1, "Label not found")

        def look() -> bool:
            self.expire()
            found[:] = self._find("label = ?", label)
            return not found or found[0]["status"] != "unpaid"

        await self._node.wait_for(look, None)
        if not found:
            raise RpcError(-1, "Invoice deleted during wait")
        if found[0]["status"] == "expired":
            raise RpcError(903, "invoice expired during wait", _shape(found[0]))
        return _shape(found[0])

    # --- HTLCs

    def expire(self) -> None:
        """lightningd has a timer for this."""
        now = self._node.now()
        if not self._find("status = 'unpaid' AND expires_at <= ?", now):
            return
        with self.network.transaction():
            for row in self._find("status = 'unpaid' AND expires_at <= ? ORDER BY expires_at, created_index", now):
                self._change(row, "status = 'expired'")

    async def arrived(self, htlc: sqlite3.Row, hop: FinalHop) -> tuple[str | None, str | None]:
        """What becomes of an HTLC at its last hop: its preimage or a failure. Waits as long as the hook does."""
        self.expire()
        found = self._find("payment_hash = ? AND status = 'unpaid'", htlc["payment_hash"])
        if not found or hop.path_id.hex() != found[0]["secret"]:
            return None, REFUSED
        invoice, amount = found[0], htlc["amount"]
        if invoice["amount"] is not None and not invoice["amount"] <= amount <= 2 * invoice["amount"]:
            return None, REFUSED
        if htlc["cltv"] < self.network.height + CLTV_FINAL:
            return None, REFUSED
        payment = {"label": invoice["label"], "preimage": invoice["preimage"], "msat": f"{amount}msat"}
        answer = await self._node.hooks.call("invoice_payment", {"payment": payment})
        if "failure_message" in answer or answer.get("result") == "reject":
            return None, REFUSED
        if answer.get("result") != "continue":
            self._node.crash(f"Invalid invoice_payment hook result: {answer}")
            await asyncio.Event().wait()
        self.expire()
        with self.network.transaction():
            still = self._find("label = ? AND status = 'unpaid'", invoice["label"])
            if not still:
                return None, REFUSED  # deleted, expired or paid in the meantime
            index = self.network.count_up(self._node.id, "pay_index")
            self._change(
                still[0], "status = 'paid', pay_index = ?, received = ?, paid_at = ?", index, amount, self._node.now()
            )
            self.network.settle_htlc(htlc["id"], preimage=invoice["preimage"])
        await self._node.hooks.notify("invoice_payment", {"invoice_payment": payment})
        return invoice["preimage"], None

    def _find(self, where: str, *values: Any) -> list[sqlite3.Row]:
        return self.network.rows(f"SELECT * FROM invoices WHERE owner = ? AND {where}", self._node.id, *values)

    def _change(self, row: sqlite3.Row, change: str, *values: Any) -> None:
        index = self.network.count_up(self._node.id, "invoices updated")
        self.network.run(
            f"UPDATE invoices SET {change}, updated_index = ? WHERE owner = ? AND label = ?",
            *(*values, index, self._node.id, row["label"]),
        )


def _msat(params: dict[str, Any]) -> int | None:
    told = str(params["amount_msat"])
    if told == "any":
        return None
    found = _AMOUNT.fullmatch(told)
    if found is None or not 0 < int(found[1]) < 2**63:
        raise RpcError(
            -32602, f"amount_msat: should be a positive number of millisatoshi or 'any': invalid token '{told}'"
        )
    return int(found[1])


def _shape(row: sqlite3.Row) -> dict[str, Any]:
    told = {
        "label": row["label"],
        "bolt11": row["bolt11"],
        "payment_hash": row["payment_hash"],
        "status": row["status"],
        "expires_at": row["expires_at"],
        "created_index": row["created_index"],
    }
    more = {"amount_msat": row["amount"], "description": row["description"], "updated_index": row["updated_index"]}
    if row["status"] == "paid":
        more |= {
            "pay_index": row["pay_index"],
            "amount_received_msat": row["received"],
            "paid_at": row["paid_at"],
            "payment_preimage": row["preimage"],
        }
    return told | {key: value for key, value in more.items() if value is not None}
