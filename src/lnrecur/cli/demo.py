"""lnrecur demo: a merchant and five subscribers, as six real daemons, from offers to agreeing books.

Everything is real but the money: separate processes, real TCP and onion messages between them, a database each, and one
file of play money. A pays all periods. B cancels after two. C's mandate is too small, so C is asked before anything is
paid, and says yes. D is off the net for a while, misses payments and catches up. E's tea gets a new price: E is asked,
says yes and goes on.
"""

from __future__ import annotations

import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import click

from lnrecur.cli.demo_books import print_books
from lnrecur.cli.demo_story import DemoFailed, Story
from lnrecur.cli.interrupts import interrupts_held
from lnrecur.cli.output import json_option, make_console, print_json


@click.command("demo")
@click.option("--keep", is_flag=True, help="Leave the folder with databases, seeds and logs behind.")
@json_option
def demo(keep: bool, as_json: bool) -> None:
    """Show subscriptions from offer to last payment, with play money, in about 20 seconds.

    Somebody cancels, is asked first, misses payments and catches up, or gets a new price. Exits with 0 only if the
    books of both sides agree.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    with ExitStack() as cleanup:
        with interrupts_held():
            folder = Path(tempfile.mkdtemp(prefix="lnrecur-demo-"))
            if not keep:
                cleanup.callback(_remove, folder)
        story = Story(folder, quiet=as_json)
        cleanup.callback(story.stop)
        books = story.run()
    agree = all(book.agrees for book in books)
    if as_json:
        print_json({"agree": agree, "books": [book.shape() for book in books]})
    else:
        print_books(make_console(), books)
        click.echo()
        click.echo("The books agree." if agree else "THE BOOKS DO NOT AGREE.")
        if keep:
            click.echo(f"Everything is in {folder}.")
    if not agree:
        raise DemoFailed("the books of payee and payers do not agree")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
