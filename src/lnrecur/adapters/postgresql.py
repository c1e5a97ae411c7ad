"""Opening a PostgreSQL database so that neither a dead server, nor a slow one, nor a dead client holds anybody up.

Every statement and every wait for a lock is bounded by the server, a dead line by the operating system, and a server
that stands still by us: see `lnrecur.adapters.silence`. A client that stalls inside a transaction (stopped, swapped
out, cut off) is thrown out by the server, and its locks with it: what it did not commit by then it cannot commit later.

psycopg is imported by SQLAlchemy when the first engine is made, so who uses SQLite need not have it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import ArgumentError

from lnrecur.adapters.transactions import POSTGRESQL
from lnrecur.errors import UsageError

SCHEME: Final = "postgresql"
STATEMENT_S_MAX: Final = 5
"""Seconds until the server gives up a statement, or its wait for a lock."""
STALLED_S_MAX: Final = 10
"""Seconds a transaction may stand still before the server ends it."""
CONNECT_S_MAX: Final = 5
_SERVER_SETTINGS: Final = {
    "statement_timeout": f"'{STATEMENT_S_MAX}s'",
    "lock_timeout": f"'{STATEMENT_S_MAX}s'",
    "idle_in_transaction_session_timeout": f"'{STALLED_S_MAX}s'",
    "default_transaction_isolation": "'read committed'",
}
CONNECTION: Final[dict[str, Any]] = {
    "connect_timeout": CONNECT_S_MAX,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 1000 * STATEMENT_S_MAX,
}
"""How libpq connects."""


def is_postgresql(text: str) -> bool:
    """Whether a text means a PostgreSQL database."""
    return text.startswith((f"{SCHEME}://", "postgres://"))


def read_url(text: str) -> URL:
    """The address of a database, postgresql://USER:PASSWORD@HOST:PORT/NAME?OPTION=..., as libpq reads it.

    Raises:
        UsageError: it is none. The text is not repeated: there may be a password in it.
    """
    told = "the database is postgresql://USER@HOST:PORT/NAME"
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        raise UsageError(f"{told}, and this cannot be read as that", field="database") from error
    if not is_postgresql(text) or not url.database:
        raise UsageError(f"{told}, and what is given has no NAME", field="database")
    return url.set(drivername="postgresql+psycopg")


def open_postgresql(text: str, *, name: str = "lnrecur") -> Engine:
    """An engine on a database; connects when it is first used. Give it back with `engine.dispose()`.

    `name` is what the server knows our connections by.

    Raises:
        UsageError: the address is none, or psycopg is not installed.
    """
    url = read_url(text)
    try:
        from lnrecur.adapters.silence import SilenceWatch

        # The texts of its errors must not quote the values of a statement: there are preimages among them.
        engine = create_engine(
            url,
            connect_args={"application_name": name, **CONNECTION},
            hide_parameters=True,
            pool_timeout=STATEMENT_S_MAX,
        )
    except ModuleNotFoundError as error:
        told = "PostgreSQL needs psycopg: pip install 'lnrecur[postgresql]'"
        raise UsageError(told, field="database") from error

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: object) -> None:
        settings = "; ".join(f"SET {name} = {value}" for name, value in _SERVER_SETTINGS.items())
        connection.execute(settings)
        connection.commit()

    event.listen(engine, "handle_error", _keep_to_the_point)
    SilenceWatch(engine)
    return engine


@contextmanager
def unhurried(db: Connection) -> Iterator[None]:
    """Let statements of this transaction take as long as they need: those that change tables of any size."""
    if db.dialect.name != POSTGRESQL:
        yield
        return
    connection: Any = db.connection.driver_connection
    for setting in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        db.exec_driver_sql(f"SET LOCAL {setting} = 0")
    bound, connection.silence_s_max = connection.silence_s_max, None
    try:
        yield
    finally:
        connection.silence_s_max = bound


def _keep_to_the_point(context: ExceptionContext) -> None:
    """Cut the server's details off an error: they quote the row that was refused, preimages included."""
    original: Any = context.original_exception
    primary = getattr(getattr(original, "diag", None), "message_primary", None)
    if primary is None:
        return
    whole = str(original)
    original.args = (primary,)
    told = context.sqlalchemy_exception
    if told is not None:
        told.args = tuple(part.replace(whole, primary) if isinstance(part, str) else part for part in told.args)
