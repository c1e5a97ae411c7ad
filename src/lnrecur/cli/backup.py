"""lnrecur backup, restore and words: what must not be lost, and how it comes back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from lnrecur.cli.client import home_option
from lnrecur.cli.output import json_option, print_json
from lnrecur.cli.secrets import passphrase, words_of
from lnrecur.daemon.backup.archive import Summary, make_backup, restore_backup
from lnrecur.daemon.config import Home, load_settings
from lnrecur.daemon.files import read_seed

_FILE = click.Path(dir_okay=False, path_type=Path)
_PASSPHRASE_FILE = click.option(
    "--passphrase-file", type=_FILE, help="A file whose first line is the passphrase, instead of asking for it."
)


@click.command("backup")
@click.argument("file", type=_FILE)
@home_option
@_PASSPHRASE_FILE
@json_option
def backup(file: Path, home: Home, passphrase_file: Path | None, as_json: bool) -> None:
    """Write seed, settings, subscriptions and books to FILE, encrypted with a passphrase.

    The daemon may run meanwhile. FILE must not exist yet; it is read again before it gets its name.
    """
    settings = load_settings(home)
    made_at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    _tell("written", file, make_backup(home, settings, file, passphrase(passphrase_file, new=True), made_at), as_json)


@click.command("restore")
@click.argument("file", type=_FILE)
@home_option
@_PASSPHRASE_FILE
@json_option
def restore(file: Path, home: Home, passphrase_file: Path | None, as_json: bool) -> None:
    """Bring back what `lnrecur backup` wrote, into an empty folder.

    Make sure that the daemon the backup is of does not run any more, on any machine.
    """
    _tell("restored", file, restore_backup(home, file, passphrase(passphrase_file, new=False)), as_json)


@click.command("words")
@home_option
@json_option
def words(home: Home, as_json: bool) -> None:
    """Show the seed as 24 words, to be written on paper. Whoever reads them has your keys."""
    told = words_of(read_seed(home))
    if as_json:
        print_json({"words": told})
        return
    for first in range(0, len(told), 4):
        click.echo("".join(f"{at + 1:2}. {told[at]:12}" for at in range(first, first + 4)).rstrip())


def _tell(what: str, file: Path, summary: Summary, as_json: bool) -> None:
    if as_json:
        told = {"node_id": summary.node_id, "made_at": summary.made_at, "version": summary.version}
        print_json({"file": str(file), **told, "bytes": summary.size})
        return
    click.echo(f"{what}   {file}, {summary.size:,} bytes")
    click.echo(f"node id   {summary.node_id}")
    click.echo(f"made at   {summary.made_at}, by lnrecur {summary.version}")
