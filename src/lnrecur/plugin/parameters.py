"""Parameters as lightning-cli sends them, by name or in order, become those of our own commands.

They are handed to the command line's own parser, so both take the same values and refuse the same ones. What differs is
Core Lightning's way: a bare number of an amount is msat, and errors name parameters, not flags.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import click

from lnrecur.errors import UsageError
from lnrecur.plugin.catalogue import Command

_AMOUNTS: Final = frozenset({"amount", "max_per_period", "max_total", "max_fee", "amount_min"})
_BITCOIN: Final = re.compile(r"(\d{1,8}(?:\.\d{1,11})?)\s*btc", re.IGNORECASE | re.ASCII)
_MSAT_PER_BITCOIN: Final = 100_000_000_000
_FLAG: Final = re.compile(r"'?--([a-z][a-z-]*)'?")
_TRUE: Final = ("true", "yes", "on", "1")
_FALSE: Final = ("false", "no", "off", "0", "")


def by_name(command: Command, params: Any) -> dict[str, Any]:
    """The parameters by their names, without those that are null.

    Raises:
        UsageError: one too many, an unknown one, or one that is missing.
    """
    if isinstance(params, Sequence) and not isinstance(params, str):
        if len(params) > len(command.parameters):
            told = f"too many parameters: got {len(params)}, expected {len(command.parameters)}"
            raise UsageError(f"{told} ({command.name} {command.usage})")
        params = dict(zip(command.parameters, params, strict=False))
    if not isinstance(params, Mapping):
        raise UsageError(f"parameters are an object or an array ({command.name} {command.usage})")
    for name in params:
        if name not in command.parameters:
            raise UsageError(f"unknown parameter: {name} ({command.name} {command.usage})", field=str(name))
    given = {name: value for name, value in params.items() if value is not None}
    for name in command.required:
        if name not in given:
            told = f"missing required parameter: {name}"
            raise UsageError(f"{told} ({command.name} {command.usage})", field=name)
    return given


def read_options(ours: click.Command, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the options of a command of ours make of these parameters; those that are not given have their defaults.

    Raises:
        UsageError: a value that is none; names the parameter.
    """
    options, arguments = [], []
    for parameter in ours.params:
        name = str(parameter.name)
        if name not in given:
            continue
        value = given[name]
        if isinstance(parameter, click.Argument):
            arguments.append(_text(name, value))
        elif isinstance(parameter, click.Option) and parameter.is_flag:
            options += [parameter.opts[0]] if is_true(name, value) else []
        else:
            many = getattr(parameter, "multiple", False)
            options += [f"{parameter.opts[0]}={_text(name, one)}" for one in (_several(value) if many else [value])]
    try:
        context = ours.make_context(ours.name, [*options, "--", *arguments])
    except click.UsageError as error:
        raise UsageError(without_flags(error.format_message()), field=_field_of(error)) from error
    return dict(context.params)


def without_flags(text: str) -> str:
    """A message of the command line's, with parameters where it names flags."""
    return _FLAG.sub(lambda found: found[1].replace("-", "_"), text)


def is_true(name: str, value: Any) -> bool:
    """A yes or no.

    Raises:
        UsageError: neither.
    """
    word = str(value).lower()
    if word in (*_TRUE, *_FALSE):
        return word in _TRUE
    raise UsageError(f"{name}: should be true or false, not {value!r}", field=name)


def _field_of(error: click.UsageError) -> str | None:
    parameter = getattr(error, "param", None)
    return None if parameter is None else str(parameter.name)


def _several(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return str(value).replace(",", " ").split()


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise UsageError(f"{name}: should be a text or a whole number, not {value!r}", field=name)
    text = str(value).strip() if name in _AMOUNTS else str(value)
    if name in _AMOUNTS and text.isascii() and text.isdigit():
        return f"{text}msat"
    if name in _AMOUNTS and (found := _BITCOIN.fullmatch(text)) is not None:
        return f"{int(Decimal(found[1]) * _MSAT_PER_BITCOIN)}msat"
    return text
