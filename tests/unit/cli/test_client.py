"""The command's way to the daemon, and what it says when there is none."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from helpers.cli_daemon import run
from lnrecur.cli.client import Client, DaemonFailed, DaemonRefused, DaemonUnreachable, OutcomeUnknown, path_to
from lnrecur.cli.errors import error_document, exit_code
from lnrecur.daemon.config import Home
from lnrecur.daemon.files import DaemonLock, create_home, read_token
from lnrecur.errors import UsageError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv("LNRECUR_HTTP_LISTEN", raising=False)
    found = Home.find(tmp_path)
    create_home(found)
    return found


@contextmanager
def answering(status: int, body: bytes) -> Iterator[tuple[str, list[str]]]:
    """Something on a port that answers all alike; yields its address and the tokens it is shown."""
    shown: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.append(self.headers.get("Authorization", ""))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}", shown
        server.shutdown()


COMMANDS = [
    ("offer", "create", "coffee"),
    ("offer", "list"),
    ("offer", "show", "00"),
    ("subscriptions", "list"),
    ("subscriptions", "show", "00"),
    ("subscriptions", "cancel", "00"),
    ("subscriptions", "approve", "00"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_daemon_every_command_says_how_to_start_it(home: Home, command: tuple[str, ...]) -> None:
    result = run(*command, home=home.data_dir)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"lnrecur: no daemon runs in {home.data_dir}: start it with `lnrecur run`\n"


def test_with_json_it_is_a_document_that_may_be_tried_again(home: Home) -> None:
    result = run("offer", "list", "--json", home=home.data_dir)
    assert (result.exit_code, result.stderr) == (1, "")
    error = json.loads(result.stdout)["error"]
    assert (error["code"], error["fault"], error["retry"]) == ("DaemonUnreachable", "environment", True)


def test_without_an_identity_it_says_how_to_make_one(tmp_path: Path) -> None:
    result = run("offer", "list", home=tmp_path)
    assert (result.exit_code, result.stderr) == (
        1,
        f"lnrecur: {tmp_path / 'http-token'} is missing: run `lnrecur init` first\n",
    )


def test_a_daemon_that_died_is_not_asked_at_its_old_port(home: Home) -> None:
    with answering(200, b"{}") as (address, shown):
        home.lock.write_text(json.dumps({"http": address}))
        with pytest.raises(DaemonUnreachable, match="no daemon runs"):
            Client(home)
    assert shown == []


def test_a_running_daemon_is_found_and_shown_the_token(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("LNRECUR_HTTP_LISTEN", "127.0.0.1:0")  # what the daemon was told, not where it came to be
    with answering(200, b'{"offers": []}') as (address, shown):
        lock = DaemonLock(home)
        lock.tell(http=address, peer=None, node_id="")
        assert Client(home).get("/v1/offers") == {"offers": []}
        lock.release()
    assert shown == [f"Bearer {read_token(home)}"]


def test_a_daemon_that_serves_no_http_is_told_as_such(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LNRECUR_HTTP_LISTEN", "127.0.0.1:1")
    lock = DaemonLock(home)
    try:
        lock.tell(http="", peer=None, node_id="02" * 33)
        with pytest.raises(DaemonUnreachable, match="serves no HTTP: see http_listen"):
            Client(home)
    finally:
        lock.release()


def test_a_daemon_whose_lock_cannot_be_seen_is_named_by_the_environment(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with answering(200, b"[]") as (address, _):
        monkeypatch.setenv("LNRECUR_HTTP_LISTEN", address)
        assert Client(home).get("/v1/offers") == []
    with pytest.raises(DaemonUnreachable, match="no daemon answers on"):
        Client(home).get("/v1/offers")


@pytest.mark.parametrize("address", ["here", "127.0.0.1:http", "http://127.0.0.1:1"])
def test_an_address_that_is_none_is_told(home: Home, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("LNRECUR_HTTP_LISTEN", address)
    result = run("offer", "list", home=home.data_dir, LNRECUR_HTTP_LISTEN=address)
    assert result.exit_code in (1, 2)
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>"), (200, b"\xff"), (404, b"<html>"), (500, b"[]"), (400, b'{"error": "no"}')]
)
def test_something_else_on_the_port_is_told_as_such(
    home: Home, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes
) -> None:
    with answering(status, body) as (address, _):
        monkeypatch.setenv("LNRECUR_HTTP_LISTEN", address)
        with pytest.raises(DaemonUnreachable, match="is no lnrecur daemon"):
            Client(home).get("/v1/offers")


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [(400, DaemonRefused, 2), (404, DaemonRefused, 2), (502, DaemonFailed, 1), (503, DaemonFailed, 1)],
)
def test_the_daemon_says_whose_fault_it_is(
    home: Home, monkeypatch: pytest.MonkeyPatch, status: int, kind: type[DaemonRefused], code: int
) -> None:
    body = {"error": {"code": "NotFound", "message": "no such offer", "field": "id", "fault": "caller", "retry": False}}
    with answering(status, json.dumps(body).encode()) as (address, _):
        monkeypatch.setenv("LNRECUR_HTTP_LISTEN", address)
        with pytest.raises(DaemonRefused) as raised:
            Client(home).get("/v1/offers/0")
    assert type(raised.value) is kind
    assert exit_code(raised.value) == code
    told = error_document(raised.value)["error"]
    assert (told["message"], told["field"], told["daemon_code"]) == ("no such offer", "id", "NotFound")


@contextmanager
def losing(answers: list[tuple[int, bytes] | None]) -> Iterator[tuple[str, list[str]]]:
    """A server that hangs up without an answer where there is None; yields its address and the keys it is shown."""
    shown: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            shown.append(self.headers["Idempotency-Key"])
            answer = answers.pop(0)
            if answer is not None:
                self.send_response(answer[0])
                self.send_header("Content-Length", str(len(answer[1])))
                self.end_headers()
                self.wfile.write(answer[1])
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}", shown
        server.shutdown()


STORE_AWAY = (503, b'{"error": {"code": "StoreUnavailable", "message": "gone", "fault": "environment", "retry": true}}')
NO_RATE = (503, b'{"error": {"code": "RateUnavailable", "message": "none", "fault": "environment", "retry": true}}')


@pytest.mark.parametrize("first", [None, STORE_AWAY], ids=["the connection breaks", "the store goes away"])
def test_an_order_whose_fate_is_unknown_is_given_once_more_under_the_same_key(
    home: Home, monkeypatch: pytest.MonkeyPatch, first: tuple[int, bytes] | None
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    with losing([first, (200, b'{"id": "00"}')]) as (address, shown):
        monkeypatch.setenv("LNRECUR_HTTP_LISTEN", address)
        assert Client(home).order("/v1/payments", {}) == {"id": "00"}
    assert len(shown) == 2
    assert shown[0] == shown[1] != ""


def test_an_order_whose_fate_stays_unknown_says_how_to_find_out(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    with losing([None, None]) as (address, _):
        monkeypatch.setenv("LNRECUR_HTTP_LISTEN", address)
        with pytest.raises(OutcomeUnknown, match="--idempotency-key mine, which never orders it twice"):
            Client(home).order("/v1/payments", {}, "mine")


@pytest.mark.parametrize("answer", [NO_RATE, (400, b'{"error": {"message": "no"}}')])
def test_an_order_that_was_refused_is_not_repeated(
    home: Home, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, bytes]
) -> None:
    with losing([answer]) as (address, shown):
        monkeypatch.setenv("LNRECUR_HTTP_LISTEN", address)
        with pytest.raises(DaemonRefused):
            Client(home).order("/v1/payments", {})
    assert len(shown) == 1


def test_every_order_has_a_key_of_its_own(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with losing([(200, b"{}"), (200, b"{}")]) as (address, shown):
        monkeypatch.setenv("LNRECUR_HTTP_LISTEN", address)
        for _ in range(2):
            Client(home).order("/v1/payments", {})
    assert len(set(shown)) == 2


@pytest.mark.parametrize("name", ["", "..", "a/b", "0?x=1", "0#", " ", "xyz", "0" * 67, "\u0661", "%30"])
def test_a_name_that_is_no_id_never_becomes_a_path(name: str) -> None:
    with pytest.raises(UsageError, match="is no id"):
        path_to("offers", name)


def test_an_id_becomes_a_path() -> None:
    assert path_to("subscriptions", "0aF", "cancel") == "/v1/subscriptions/0aF/cancel"
