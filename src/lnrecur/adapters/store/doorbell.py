"""PostgreSQL's NOTIFY as a doorbell: what a commit of another process leaves for this one is heard at once.

The notification is part of the committing transaction, so it comes neither before the rows nor without them. It is only
a hint: one that is lost, because the connection was, costs the time until the next look.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Final

from lnrecur.adapters.postgresql import CONNECTION
from lnrecur.adapters.store.claims import MESSAGE_CHANNEL, WORK_CHANNEL
from lnrecur.ports import Seat

_LOG = logging.getLogger("lnrecur.store")
_AGAIN_S: Final = 2.0
"""Seconds until the next try to connect."""


class PostgresDoorbell:
    """A `lnrecur.ports.Doorbell` on a database, with a connection of its own."""

    def __init__(self, url: str, seat: Seat) -> None:
        self._url = url
        self._channels = [
            *([MESSAGE_CHANNEL] if seat.messages else ()),
            *([WORK_CHANNEL] if seat.work else ()),
        ]

    async def rings(self) -> AsyncIterator[None]:
        """Once for each commit that concerns us, and after each new connection; never ends."""
        import psycopg  # not there where only SQLite is used

        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True, **CONNECTION)
                async with connection:
                    for channel in self._channels:
                        await connection.execute(f"LISTEN {channel}".encode())
                    yield
                    async for _ in connection.notifies():
                        yield
            except psycopg.Error as error:
                _LOG.warning("not listening to the database, trying again: %s", " ".join(str(error).split()))
            await asyncio.sleep(_AGAIN_S)
