"""What the commands of lightning-cli do: they ask what the HTTP API asks, and answer what it answers.

Two of them authorise payments. Each takes two calls: the first tells in words what a yes would mean, and names that by
a digest; only a call with this digest says yes, and to nothing else than what was told.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec

from lnrecur.bolt12.offer import Offer
from lnrecur.cli.authorisation import Authorisation
from lnrecur.cli.offer import create as offer_create
from lnrecur.cli.offer import offer_body
from lnrecur.cli.question import question_about
from lnrecur.cli.subscribe import mandate_for, subscription_body, terms_for
from lnrecur.cli.subscribe import subscribe as subscribe_command
from lnrecur.crypto.hashes import sha256
from lnrecur.daemon.http.bodies import OfferBody
from lnrecur.daemon.http.payer_bodies import ApproveBody, SubscribeBody
from lnrecur.daemon.http.reading import NotFound, body_from
from lnrecur.daemon.http.routes import Routes
from lnrecur.errors import Fault, LnrecurError, UsageError
from lnrecur.plugin.catalogue import COMMANDS
from lnrecur.plugin.parameters import by_name, is_true, read_options, without_flags
from lnrecur.ports import OrderKey
from lnrecur.wire.text import without_uri

INVALID_PARAMS: Final = -32602
PLUGIN_ERROR: Final = -3
"""Core Lightning's own: "Plugin returned an error"."""
NOT_FOUND: Final = 1
FOR_NOW: Final = 2
FAILED: Final = 3
"""Codes of ours, from 1: Core Lightning's begin at 200."""
_DIGEST_SIZE: Final = 16

Answer = dict[str, Any]


class Commands:
    """The commands, over one running daemon."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._known = {command.name: command for command in COMMANDS}
        self._handlers: dict[str, Callable[[dict[str, Any]], Awaitable[Answer]]] = {
            "recur-offer": self.offer,
            "recur-offers": self.offers,
            "recur-subscribe": self.subscribe,
            "recur-subscriptions": self.subscriptions,
            "recur-approve": self.approve,
            "recur-cancel": self.cancel,
        }

    async def perform(self, name: str, params: Any) -> Answer:
        """Do what a command says.

        Raises:
            LnrecurError: it cannot be done; `error_of` says how to tell it.
        """
        return await self._handlers[name](by_name(self._known[name], params))

    async def offer(self, given: dict[str, Any]) -> Answer:
        """recur-offer."""
        if str(given["amount"]).strip().lower() == "any":
            del given["amount"]
        body = offer_body(read_options(offer_create, given))
        return await self._routes.offers.make(body_from(body, OfferBody))

    async def offers(self, given: dict[str, Any]) -> Answer:
        """recur-offers."""
        if "offer_id" in given:
            return self._routes.offers.shown(_id(given, "offer_id"))
        return {"offers": self._routes.offers.listed()}

    async def subscribe(self, given: dict[str, Any]) -> Answer:
        """recur-subscribe."""
        offer = Offer.from_text(without_uri(str(given.pop("offer"))))
        confirmed = given.pop("confirm", None)
        recurrence = offer.recurrence
        if recurrence is None:
            told = "this offer has no recurrence: it can be paid once (xpay), but not subscribed to"
            raise UsageError(told, field="offer")
        asked = read_options(subscribe_command, {**given, "offer_text": offer.to_text()})
        mandate, terms = mandate_for(offer, asked), terms_for(asked)
        body = subscription_body(offer, mandate, asked["via"], asked)
        keys, made = self._keys_of(body)
        if confirmed is None or confirmed is False:
            digest, facts = (
                keys[-1].key,
                Authorisation(offer, recurrence, mandate, terms, time.time_ns() // 10**9).facts(),
            )
            hint = f"nothing is authorised yet: call again with the same parameters and confirm={digest}"
            return {"you_authorise": _document(facts), "confirm": digest, "hint": hint}
        key = next((key for key in keys if key.key == str(confirmed).lower()), None)
        if key is None:
            told = "this is not the digest of these parameters: call without confirm, and read what they authorise"
            raise UsageError(told, field="confirm")
        return made.get(key.key) or await self._routes.payer.order(body_from(body, SubscribeBody), key)

    def _keys_of(self, body: Mapping[str, Any]) -> tuple[list[OrderKey], dict[str, Answer]]:
        """The digests that these parameters have had so far, the last of them new; and what the others made.

        A digest counts once: who confirms it again gets the same subscription, and who wants another one asks anew.
        """
        said = msgspec.json.encode(body, order="sorted")
        keys: list[OrderKey] = []
        made: dict[str, Answer] = {}
        while True:
            digest = sha256(b"recur-subscribe", len(keys).to_bytes(4, "big"), said)
            key = OrderKey(digest[:_DIGEST_SIZE].hex(), digest)
            keys.append(key)
            known = self._routes.payer.ordered(key)
            if known is None:
                return keys, made
            made[key.key] = known

    async def subscriptions(self, given: dict[str, Any]) -> Answer:
        """recur-subscriptions."""
        role = given.get("role")
        if role not in (None, "payer", "payee"):
            raise UsageError(f"role is payer or payee, not {role!r}", field="role")
        if "subscription_id" in given:
            return self._routes.shown(_id(given, "subscription_id"))
        return {"subscriptions": self._routes.listed(role)}

    async def approve(self, given: dict[str, Any]) -> Answer:
        """recur-approve."""
        state = self._routes.payer.named(_id(given, "subscription_id"))
        elsewhere = is_true("paid_elsewhere", given.get("paid_elsewhere", False))
        if "question" in given:
            body = {"question": str(given["question"]), "paid_elsewhere": elsewhere}
            return await self._routes.payer.say_yes(state.recurrence_id, body_from(body, ApproveBody))
        told = self._routes.payer.shape(state)
        if told["waits_for"] is None:
            raise UsageError(
                f"nothing waits for approval: this subscription is {told['phase']}", field="subscription_id"
            )
        asked = question_about(told, {}, paid_elsewhere=elsewhere)
        hint = f"nothing is agreed to yet: call again with question={told['question']}"
        return {"you_agree": _document(asked.facts), "asked": asked.ask, "question": told["question"], "hint": hint}

    async def cancel(self, given: dict[str, Any]) -> Answer:
        """recur-cancel."""
        return self._routes.payer.stop(_id(given, "subscription_id"))


def error_of(error: LnrecurError) -> tuple[int, str, Mapping[str, Any]]:
    """Code, words and data of a refusal."""
    code = FOR_NOW if error.retry else FAILED
    if isinstance(error, NotFound):
        code = NOT_FOUND
    elif error.fault in (Fault.CALLER, Fault.PEER):
        code = INVALID_PARAMS
    elif error.fault is Fault.OURS:
        code = PLUGIN_ERROR
    data = {**error.details(), "code": type(error).__name__, "fault": error.fault.value, "retry": error.retry}
    return code, without_flags(str(error)), data


def _id(given: Mapping[str, Any], name: str) -> str:
    """An id, or its beginning. A number is one whose digits lightning-cli took for that."""
    value = given[name]
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise UsageError(f"{name}: should be an id or the beginning of one, not {value!r}", field=name)
    return str(value)


def _document(facts: list[tuple[str, str]]) -> list[str]:
    """Names and values as lines that can be read in JSON, in their order."""
    return [f"{name}: {value}" if name else value for name, value in facts]
