"""lnrecur events: the log once, and as it grows, over a real daemon."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from helpers.cli_daemon import MONTHLY, NOBODY, Commands, an_offer, commands

pytestmark = pytest.mark.slow
OFFER = an_offer(MONTHLY)


@pytest.fixture(scope="module")
def lnrecur(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with commands(tmp_path_factory.mktemp("events")) as running:
        yield running


def asks_each_time(lnrecur: Commands) -> str:
    """A subscription whose first payment waits for a yes, which is one event."""
    told: dict[str, Any] = lnrecur.ask("subscribe", OFFER, "--via", NOBODY, "--yes", "--ask-each-time")
    until = time.monotonic() + 20
    while not lnrecur.ask("events", "--subscription", told["id"])["events"]:
        assert time.monotonic() < until
        time.sleep(0.02)
    name: str = told["id"]
    return name


def test_an_empty_log_says_so(lnrecur: Commands) -> None:
    if not lnrecur.ask("events")["events"]:
        assert lnrecur.run("events").stdout == "No events yet.\n"


def test_the_last_events_or_those_behind_an_id_or_those_of_one_subscription(lnrecur: Commands) -> None:
    first, second = asks_each_time(lnrecur), asks_each_time(lnrecur)
    everything = lnrecur.ask("events", "--after", "0")["events"]
    assert [event["id"] for event in everything] == list(range(1, len(everything) + 1))
    assert lnrecur.ask("events", "--last", "1")["events"] == everything[-1:]
    assert lnrecur.ask("events", "--after", "1")["events"] == everything[1:]
    assert lnrecur.ask("events", "--last", "0")["events"] == []
    for name in (first, second):
        mine = lnrecur.ask("events", "--subscription", name[:16].upper())["events"]
        assert {event["subscription"] for event in mine} == {name}
        assert mine[0]["object"]["id"] == name
        assert mine[0]["object"]["state"]["phase"] == "needs_approval"


def test_people_see_a_table(lnrecur: Commands) -> None:
    name = asks_each_time(lnrecur)
    result = lnrecur.run("events", "--last", "3")
    assert (result.exit_code, result.stderr) == (0, "")
    for told in ("about", "subscription.needs_approval", f"subscription {name[:12]}", "each_payment"):
        assert told in result.stdout


def test_following_tells_what_happens_meanwhile_one_object_a_line(lnrecur: Commands) -> None:
    before = len(lnrecur.ask("events", "--after", "0")["events"])
    command = [sys.executable, "-m", "lnrecur", "events", "--follow", "--json", "--after", str(before)]
    with subprocess.Popen(
        [*command, "--home", str(lnrecur.daemon.folder)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as following:  # fmt: skip
        try:
            name = asks_each_time(lnrecur)
            assert following.stdout is not None
            event = json.loads(following.stdout.readline())
        finally:
            following.kill()
    assert (event["id"], event["subscription"], event["sequence"]) == (before + 1, name, 1)
