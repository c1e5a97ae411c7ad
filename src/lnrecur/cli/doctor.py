"""lnrecur doctor: is everything as it should be, and if not, what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import click

from lnrecur.cli.client import Client, home_option
from lnrecur.cli.errors import EXIT_FAILED
from lnrecur.cli.output import json_option, print_json, printable
from lnrecur.daemon.config import Home, load_settings
from lnrecur.daemon.doctor import finding_of, look_at_disk, look_from_outside, shape_of
from lnrecur.daemon.files import running_daemon
from lnrecur.ports import Finding, Health

_WORDS: Final = {Health.GOOD: "ok", Health.WARNING: "warning", Health.BROKEN: "BROKEN"}
_COLOURS: Final = {Health.GOOD: "green", Health.WARNING: "yellow", Health.BROKEN: "red"}
_HEALTH_WIDTH: Final = 8
_SUBJECT_WIDTH: Final = 15


@click.command("doctor")
@home_option
@json_option
def doctor(home: Home, as_json: bool) -> None:
    """Look at the money node, its permissions and channels, the clock, the database and the peers.

    Says what is wrong and what to do. Exits with 1 if something is broken. Without a running daemon it looks at what
    can be seen from outside.
    """
    found = _findings(home)
    if as_json:
        print_json({"findings": [shape_of(finding) for finding in found]})
    else:
        for finding in found:
            _print(finding)
    if any(finding.health is Health.BROKEN for finding in found):
        click.get_current_context().exit(EXIT_FAILED)


def _findings(home: Home) -> Sequence[Finding]:
    if running_daemon(home) is None:
        return asyncio.run(look_from_outside(home, load_settings(home)))
    told = Client(home).get("/v1/doctor")
    running = Finding("daemon", Health.GOOD, f"runs in {home.data_dir}")
    return [running, *(finding_of(shape) for shape in told["findings"]), look_at_disk(home)]


def _print(finding: Finding) -> None:
    word = click.style(_WORDS[finding.health].ljust(_HEALTH_WIDTH), fg=_COLOURS[finding.health])
    click.echo(f"{word}{finding.subject.ljust(_SUBJECT_WIDTH)} {printable(finding.told)}")
    if finding.way_out and finding.health is not Health.GOOD:
        click.echo(f"{'':{_HEALTH_WIDTH + _SUBJECT_WIDTH}} {printable(finding.way_out)}")
