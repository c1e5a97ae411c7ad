"""The HTTP API of real daemons: a subscription driven and followed by a program that knows nothing but the API."""

import logging
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers.cli_daemon import run
from helpers.daemons import Daemon
from lnrecur.daemon.config import Home, Settings, write_settings
from lnrecur.daemon.files import create_home, read_token, running_daemon

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Daemon]]:
    folder = tmp_path_factory.mktemp("api")
    pair = Daemon(folder / "merchant", folder / "money.sqlite"), Daemon(folder / "subscriber", folder / "money.sqlite")
    for daemon in pair:
        daemon.launch()
    for daemon in pair:
        daemon.wait_until_up()
    yield pair
    for daemon in pair:
        if daemon.process is not None:
            daemon.terminate()


def api(daemon: Daemon) -> httpx.Client:
    """A program's way in: the address from daemon.json, the token from its file."""
    told = running_daemon(daemon.home)
    assert told is not None
    headers = {"Authorization": f"Bearer {read_token(daemon.home)}"}
    return httpx.Client(base_url=f"http://{told['http']}", headers=headers, trust_env=False, timeout=40)


def follow(client: httpx.Client, until: str) -> list[dict[str, Any]]:
    """Wait for events, one after another, until one of this name has come."""
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + 30
    while not any(event["name"] == until for event in found):
        assert time.monotonic() < deadline, found
        after = found[-1]["id"] if found else 0
        found += client.get("/v1/events", params={"after": after, "wait": 10}).json()["events"]
    return found


def test_a_program_sells_subscribes_and_follows_the_payments(daemons: tuple[Daemon, Daemon]) -> None:
    merchant, subscriber = daemons
    with api(merchant) as selling, api(subscriber) as paying:
        offer = selling.post(
            "/v1/offers",
            json={
                "amount_msat": 5000,
                "description": "news",
                "recurrence": {"unit": "seconds", "period": 1, "payments": 2, "seconds_before": 1, "seconds_after": 60},
            },
        ).json()
        assert offer["peer_address"] == merchant.address
        body = {"offer": offer["offer"], "mandate": {"max_per_period_msat": 5000}, "via": [offer["peer_address"]]}
        subscription = paying.post("/v1/subscriptions", json=body).json()
        assert subscription["phase"] == "awaiting_first_invoice"
        events = follow(paying, "subscription.completed")
        assert [event["id"] for event in events] == sorted({event["id"] for event in events})
        shown = paying.get(f"/v1/subscriptions/{subscription['id']}").json()
        follow(selling, "subscription.completed")
        [sold] = selling.get("/v1/subscriptions", params={"role": "payee"}).json()["subscriptions"]
        received = selling.get("/v1/payments").json()["payments"]
    assert (shown["phase"], shown["payments"], shown["total_msat"]) == ("completed", 2, 10_000)
    assert (sold["payer_id"], sold["total_msat"]) == (subscription["payer_id"], 10_000)
    assert [line["payment_hash"] for line in received] == [line["payment_hash"] for line in shown["book"]]
    for line in received:
        assert sha256(bytes.fromhex(line["preimage"])).hexdigest() == line["payment_hash"]


def test_the_token_of_one_daemon_opens_no_other(daemons: tuple[Daemon, Daemon]) -> None:
    merchant, subscriber = daemons
    with api(merchant) as selling:
        answer = selling.get("/v1/info", headers={"Authorization": f"Bearer {read_token(subscriber.home)}"})
        assert answer.status_code == 401
        assert selling.get("/v1/info").json()["money_node"]["play_money"] is True


@pytest.fixture
def starting(monkeypatch: pytest.MonkeyPatch) -> None:
    """`lnrecur run` in this process, for starts that fail: the log of the tests stays as it is."""
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)


@pytest.mark.usefixtures("starting")
def test_a_second_daemon_in_the_same_folder_is_refused_with_one_line(daemons: tuple[Daemon, Daemon]) -> None:
    merchant, _ = daemons
    second = run("run", home=merchant.folder)
    assert (second.exit_code, second.stderr) == (1, f"lnrecur: a daemon runs in {merchant.folder} already\n")
    with api(merchant) as selling:
        assert selling.get("/v1/info").status_code == 200


@pytest.mark.usefixtures("starting")
def test_a_port_that_is_taken_is_one_line(daemons: tuple[Daemon, Daemon], tmp_path: Path) -> None:
    told = running_daemon(daemons[0].home)
    assert told is not None
    home = Home.find(tmp_path / "other")
    create_home(home)
    write_settings(home.config, Settings(peer_listen="", playmoney_file=str(tmp_path / "money.sqlite")))
    done = run("run", "--http-listen", told["http"], home=home.data_dir)
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith(f"lnrecur: cannot serve HTTP on {told['http']}: Address already in use")
    assert running_daemon(home) is None


@pytest.mark.usefixtures("starting")
@pytest.mark.parametrize("secret", ["seed", "token"])
def test_a_secret_that_others_can_read_stops_the_daemon(tmp_path: Path, secret: str) -> None:
    home = Home.find(tmp_path)
    create_home(home)
    path = getattr(home, secret)
    path.chmod(0o644)
    done = run("run", home=tmp_path)
    assert (done.exit_code, done.stderr) == (1, f"lnrecur: {path} can be read by others: run `chmod 600 {path}`\n")
