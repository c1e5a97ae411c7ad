"""The lnrecur command: one group, whose commands are loaded when they are called and not before.

A new command is one line in `COMMANDS`. Every command raises `LnrecurError` and prints no error of its own; here, and
only here, errors become a line on stderr (or JSON on stdout under --json) and an exit code.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

import click
from click.exceptions import NoArgsIsHelpError

from lnrecur import __version__
from lnrecur.cli.errors import EXIT_BAD_INPUT, EXIT_FAILED, EXIT_INTERRUPTED, error_document, exit_code, one_line
from lnrecur.cli.output import json_asked, print_json
from lnrecur.errors import LnrecurError

COMMANDS: Final = {
    "init": "lnrecur.cli.init:init",
    "run": "lnrecur.cli.run:run_daemon_command",
    "backup": "lnrecur.cli.backup:backup",
    "restore": "lnrecur.cli.backup:restore",
    "words": "lnrecur.cli.backup:words",
    "offer": "lnrecur.cli.offer:offer",
    "subscribe": "lnrecur.cli.subscribe:subscribe",
    "subscriptions": "lnrecur.cli.subscriptions:subscriptions",
    "pay": "lnrecur.cli.pay:pay",
    "payments": "lnrecur.cli.payments:payments",
    "peers": "lnrecur.cli.peers:peers",
    "events": "lnrecur.cli.events:events",
    "rules": "lnrecur.cli.rules:rules",
    "demo": "lnrecur.cli.demo:demo",
    "doctor": "lnrecur.cli.doctor:doctor",
    "decode": "lnrecur.cli.decode:decode",
    "preview": "lnrecur.cli.preview:preview",
    "conformance": "lnrecur.cli.conformance:conformance",
    "simulate": "lnrecur.cli.simulate:simulate",
}
"""Each command's name and where it is, as module:attribute; --help lists them in this order."""


class LazyGroup(click.Group):
    """A group that imports a command when it is asked for, and ends every run with the exit code of `cli.errors`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, without importing anything."""
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, attribute = place.split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what lnrecur raises on purpose is told and becomes an exit code."""
        try:
            return super().invoke(ctx)
        except LnrecurError as error:
            if json_asked(ctx):
                print_json(error_document(error))
            else:
                _complain(str(error))
            ctx.exit(exit_code(error))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line and leave the process; without `standalone_mode`, click's own behaviour."""
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, **extra)
        try:
            code = super().main(args, prog_name, complete_var, False, **extra)
        except click.Abort as error:
            if isinstance(error.__context__, EOFError):
                _complain("the input ended before the question was answered")
                sys.exit(EXIT_FAILED)
            sys.exit(EXIT_INTERRUPTED)
        except NoArgsIsHelpError as error:
            error.show()
            sys.exit(EXIT_BAD_INPUT)
        except click.UsageError as error:
            asked = error.ctx.command_path if error.ctx is not None else "lnrecur"
            _complain(f"{error.format_message()} (see {asked} --help)")
            sys.exit(EXIT_BAD_INPUT)
        except click.ClickException as error:
            _complain(error.format_message())
            sys.exit(error.exit_code)
        sys.exit(code if isinstance(code, int) else 0)


def _complain(text: str) -> None:
    click.echo(f"lnrecur: {one_line(text)}", err=True)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
def main() -> None:
    """Recurring Lightning payments: offers, subscriptions and mandates, on your own node."""


def run() -> None:
    """The entry point of the installed command."""
    main(prog_name="lnrecur")
