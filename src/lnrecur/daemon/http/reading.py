"""Reading a request: its body as a value, a number of its query, the one thing its path means."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request

from lnrecur.daemon.http.bodies import InvalidBody
from lnrecur.errors import UsageError

B = TypeVar("B", bound=msgspec.Struct)
T = TypeVar("T")
_NAMED_FIELD: Final = re.compile(r"(?P<told>.+) field `(?P<field>[^`]*)`")
_PLACE: Final = re.compile(r"(?P<told>.+) - at `(?:key in )?\$\.?(?P<place>[^`]*)`", re.DOTALL)


class NotFound(UsageError):
    """There is no such thing."""


async def body_of(request: Request, kind: type[B]) -> B:
    """The body as a value.

    Raises:
        InvalidBody: it is none; names the field.
    """
    try:
        return msgspec.json.decode((await request.body()).decode() or "{}", type=kind)
    except UnicodeDecodeError as error:
        raise InvalidBody(f"not UTF-8: {error.reason} at byte {error.start}", "body") from error
    except msgspec.ValidationError as error:
        raise InvalidBody(*_told_and_field(str(error))) from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidBody(str(error), "body") from error


def body_from(document: Mapping[str, Any], kind: type[B]) -> B:
    """A body that was not sent over HTTP, held to the same rules.

    Raises:
        InvalidBody: it is none; names the field.
    """
    try:
        return msgspec.convert(document, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidBody(*_told_and_field(str(error))) from error


def _told_and_field(message: str) -> tuple[str, str]:
    """What msgspec complains about, and the field it is about: `$` is the body."""
    placed = _PLACE.fullmatch(message)
    told, place = (placed["told"], placed["place"]) if placed is not None else (message, "")
    named = _NAMED_FIELD.fullmatch(told)
    if named is None:
        return told, place or "body"
    field = named["field"]
    return f"{named['told']} field", f"{place}.{field}" if place else field


def number_of(request: Request, name: str, default: int, least: int, most: int) -> int:
    """A number of the query, or its default.

    Raises:
        UsageError: not a number in its range; names the parameter.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    readable = text.isascii() and text.isdigit() and len(text) <= len(str(most))
    if not readable or not least <= int(text) <= most:
        raise UsageError(f"{name} is a whole number from {least} to {most}, not {text[:40]!r}", field=name)
    return int(text)


def wanted_by(request: Request) -> str:
    """The id in the path, or its beginning."""
    return str(request.path_params["id"])


def only_one(things: Sequence[T], name: Callable[[T], str], wanted: str, what: str) -> T:
    """The one thing whose id is, or begins with, `wanted`.

    Raises:
        NotFound: none does.
        UsageError: more than one does.
    """
    wanted = wanted.lower()
    return the_one([thing for thing in things if wanted and name(thing).startswith(wanted)], wanted, what)


def the_one(found: Sequence[T], wanted: str, what: str) -> T:
    """The one thing that was found under the beginning of its id.

    Raises:
        NotFound: there is none.
        UsageError: there are more.
    """
    if not found:
        raise NotFound(f"no {what} with an id that begins with {wanted!r}", field="id")
    if len(found) > 1:
        raise UsageError(f"more than one id begins with {wanted!r}: write more of it", field="id")
    return found[0]
