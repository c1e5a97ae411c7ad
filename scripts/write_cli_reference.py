"""Write the command reference from the command's own help.

python scripts/write_cli_reference.py           write docs/cli.md
python scripts/write_cli_reference.py --check   fail if that page is not what the command says
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click
from generated_page import DOCS, write_or_check

from lnrecur.cli.main import main as lnrecur

PAGE = DOCS / "cli.md"
WIDTH = 110

HEAD = """# The command

Written by `scripts/write_cli_reference.py` from the command's own help; do not edit.

- Exit codes: 0 done; 1 the machine, the network or the node failed; 2 what was asked, or handed over to be read, is
  wrong; 130 interrupted by ctrl-C.
- Errors are one line on standard error. With `--json` they are one JSON document on standard output instead:
  `{"error": {"code", "message", "fault", "retry", ...}}`. Wrong usage of the command line itself (an unknown option, a
  value that cannot be) is told in a line with `--json` too.
- Commands that need the daemon find it through the files in its folder (`--home`, `LNRECUR_HOME`, or the XDG folders);
  see [settings.md](settings.md). `decode` and `preview` need none.
- The HTTP API beneath is described in [http-api.md](http-api.md).
"""


def render() -> str:
    """The whole page."""
    root = click.Context(
        lnrecur, info_name="lnrecur", terminal_width=WIDTH, max_content_width=WIDTH, **lnrecur.context_settings
    )
    return "\n".join((HEAD, *section(root)))


def section(context: click.Context) -> Iterator[str]:
    """A command's help, then that of its subcommands."""
    yield f"## {context.command_path}\n\n```text\n{context.get_help().rstrip()}\n```\n"
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None and not command.hidden:
                yield from section(
                    click.Context(command, context, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH)
                )


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, render(), "write_cli_reference.py"))
