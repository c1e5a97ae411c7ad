"""A PostgreSQL server that stands still: it takes what is sent, acknowledges it, and answers nothing.

Neither the server's own bounds nor those of TCP help then: nobody there runs, and the line is alive. So every wait for
an answer is bounded here. The store is called from the event loop, which stands still as long as the wait; therefore
it waits once. After that every call fails at once, while a thread asks the server in the background, and the first
answer opens the way again.

A commit that was sent and not answered may have happened. Who sent it takes it for undone and looks again, as after a
crash; every deed of ours is safe to do twice, and every change names the version it is based on.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Generator
from typing import Any, Final, TypeVar

import psycopg
from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

_LOG = logging.getLogger("lnrecur.store")
SILENCE_S_MAX: Final = 7.0
"""Seconds without a byte; longer than the server's own bound of a statement, which is told better."""
IDLE_S_MAX: Final = 1.0
"""Seconds after which a connection that nobody used is asked whether it lives."""
_ASK_EVERY_S: Final = 1.0
_USED_AT: Final = "used_at"
_T = TypeVar("_T")


class ServerSilent(psycopg.OperationalError):
    """The server is there and does not answer."""


class StillSilent(psycopg.OperationalError):
    """It did not answer lately, and nobody waits for it now."""


class PatientConnection(psycopg.Connection[Any]):
    """A connection whose waits for the server end."""

    silence_s_max: float | None = SILENCE_S_MAX
    """None: wait for ever."""

    def wait(self, gen: Generator[Any, Any, _T], *args: Any, **more: Any) -> _T:
        """See `psycopg.Connection.wait`.

        Raises:
            ServerSilent: nothing came for too long; the connection is closed.
        """
        bound = self.silence_s_max
        try:
            return super().wait(gen if bound is None else _bounded(gen, bound), *args, **more)
        except ServerSilent:
            self.pgconn.finish()
            raise


def _bounded(gen: Generator[Any, Any, _T], seconds: float) -> Generator[Any, Any, _T]:
    """The same waits, as long as something comes now and then. psycopg looks up from each of them every 0.1 s."""
    heard_at = time.monotonic()
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if ready:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > seconds:
                raise ServerSilent(f"the server has not answered for {seconds:g} seconds")
            wanted = gen.send(ready)
    except StopIteration as end:
        answer: _T = end.value
        return answer


class SilenceWatch:
    """What is known of one engine's server: whether it answers."""

    def __init__(self, engine: Engine) -> None:
        """Watch all connections of an engine."""
        self._engine = weakref.ref(engine)
        self._silent = False
        self._over = threading.Event()
        event.listen(engine, "do_connect", self._connect)
        event.listen(engine, "handle_error", self._look_at_error)
        event.listen(engine, "checkin", self._note_use)
        event.listen(engine, "checkout", self._ask_whether_it_lives)
        event.listen(engine, "engine_disposed", lambda _: self._over.set())

    def _connect(self, _dialect: object, _record: object, _args: Any, told: dict[str, Any]) -> PatientConnection:
        if self._silent:
            raise StillSilent("the server does not answer; it is asked all the time")
        self._told = told
        try:
            return PatientConnection.connect(**told)
        except psycopg.errors.ConnectionTimeout as error:
            self._ask_in_background()
            raise StillSilent("the server takes connections, but does not answer") from error

    def _note_use(self, _connection: object, record: ConnectionPoolEntry) -> None:
        record.info[_USED_AT] = time.monotonic()

    def _ask_whether_it_lives(self, connection: PatientConnection, record: ConnectionPoolEntry, _: object) -> None:
        """One that lay idle may be dead; one that was used a moment ago is not asked, since asking is a round trip."""
        used_at = record.info.get(_USED_AT)
        if used_at is None or time.monotonic() - used_at < IDLE_S_MAX:
            return
        try:
            connection.autocommit = True
            connection.execute("SELECT 1")
            connection.autocommit = False
        except psycopg.Error as error:
            if isinstance(error, ServerSilent):
                self._ask_in_background()
            raise DisconnectionError from error  # the pool opens another one

    def _look_at_error(self, context: Any) -> None:
        if isinstance(context.original_exception, ServerSilent):
            self._ask_in_background()

    def _ask_in_background(self) -> None:
        if self._silent:
            return
        self._silent = True
        self._over.clear()
        _LOG.error("the database server stands still: nothing is read or written until it answers again")
        threading.Thread(target=self._ask, name="database watch", daemon=True).start()

    def _ask(self) -> None:
        began = time.monotonic()
        while not self._over.wait(_ASK_EVERY_S) and self._engine() is not None:
            try:
                with PatientConnection.connect(**self._told, autocommit=True) as connection:
                    connection.execute("SELECT 1")
            except (psycopg.errors.ConnectionTimeout, ServerSilent):
                continue
            except psycopg.Error as error:  # it says something: the next call tells what
                _LOG.info("the database server answers: %s", " ".join(str(error).split()))
            self._silent = False
            _LOG.warning("the database server answers again after %d s", time.monotonic() - began)
            return
