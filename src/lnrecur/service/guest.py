"""What arrives while we speak under the id of a host: which messages are ours, and handing those out.

The host asks us about every message that came for it over a path that has a secret. Ours are told by the secret alone,
with keys of the seed: nothing is looked up, nothing is written, and it can be told before the store is open. All others
belong to the host and must reach its own plugins.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from lnrecur.bolt12.errors import Bolt12Error
from lnrecur.bolt12.invoice_request import InvoiceRequest
from lnrecur.messaging.messenger import ContentsKind, Delivered
from lnrecur.recurrence.offer_authenticity import is_ours
from lnrecur.recurrence.payer_keys import is_reply_path_id
from lnrecur.service.courier import Courier
from lnrecur.service.keyring import Keyring
from lnrecur.values import NodeId
from lnrecur.wire.errors import WireError

_LOG = logging.getLogger("lnrecur.guest")
IN_HAND_MAX: Final = 64
"""Messages that are handled at a time; what comes on top is dropped, as on a busy link: its sender asks again."""


def is_for_us(keyring: Keyring, delivered: Delivered) -> bool:
    """Whether a message came over a path of ours: the reply path of a request of ours, or one of an offer of ours."""
    if delivered.path_id is None:
        return False
    if delivered.contents is None or delivered.contents.kind is not ContentsKind.INVOICE_REQUEST:
        return is_reply_path_id(keyring.answers, delivered.path_id)
    request = _request(delivered)
    return request is not None and is_ours(keyring.offers, request, delivered.path_id)


class GuestInbox:
    """Takes the messages that are for us, one task each."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier
        self._handling: set[asyncio.Task[None]] = set()
        self.dropped = 0
        """Messages that came while too many were in hand."""

    def take(self, delivered: Delivered) -> None:
        """Have a message handled, soon; nobody waits for it."""
        if len(self._handling) >= IN_HAND_MAX:
            self.dropped += 1
            _LOG.info("an onion message was dropped: %d are in hand already", IN_HAND_MAX)
            return
        handling = self._courier.take(delivered, self._brought_by(delivered))
        task = asyncio.get_running_loop().create_task(handling, name="message from the host")
        self._handling.add(task)
        task.add_done_callback(self._done)

    async def close(self) -> None:
        """Drop what is in hand."""
        tasks = list(self._handling)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._handling.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("a message from the host met a bug", exc_info=error)

    def _brought_by(self, delivered: Delivered) -> NodeId:
        """Who brought it, as far as can be known: the host does not tell which peer it came from.

        A request for an offer whose paths begin at peers of the host came over one of these. The answer has to leave by
        one of them too (see `Courier.answer`), and which of several does not matter for that.
        """
        us, peers = self._courier.messenger.node_id, self._courier.peers()
        request = _request(delivered)
        paths = () if request is None or request.paths is None else request.paths
        begins = [NodeId(path.first_node_id) for path in paths if isinstance(path.first_node_id, bytes)]
        if us in begins or not begins:
            return us
        return next((peer for peer in begins if peer in peers), begins[0])


def _request(delivered: Delivered) -> InvoiceRequest | None:
    contents = delivered.contents
    if contents is None or contents.kind is not ContentsKind.INVOICE_REQUEST:
        return None
    try:
        return InvoiceRequest.from_bytes(contents.data)
    except (WireError, Bolt12Error):
        return None
