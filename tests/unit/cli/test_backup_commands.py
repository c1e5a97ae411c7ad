"""lnrecur backup, restore, words and init --seed: what comes back, and what is refused."""

from __future__ import annotations

import json
import sqlite3
import stat
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from helpers.cli_daemon import run
from helpers.disks import small_disk
from helpers.postgresql import PostgresServer
from lnrecur.adapters.store import open_postgresql_manager, open_sqlite_manager
from lnrecur.adapters.store.copying import copy_postgresql, copy_sqlite
from lnrecur.daemon.config import Home
from lnrecur.ports import Change, OfferRecord, RecurrenceManager, Seat
from lnrecur.recurrence.effects import Book, Emit, SendInvoiceRequest
from lnrecur.recurrence.inbound_model import Inbound
from lnrecur.recurrence.mandate import Mandate
from lnrecur.recurrence.offering import OfferPolicy
from lnrecur.recurrence.outbound_model import Outbound, Terms
from lnrecur.values import Msat, NodeId, OfferId, PaymentHash, Point, Preimage, RecurrenceId, UnixSeconds

sys.path.append(str(Path(__file__).parents[2] / "contract"))
pytest.register_assert_rewrite("recurrence_manager")

from recurrence_manager import everything  # noqa: E402

NOW = UnixSeconds(1_750_000_000)
PREIMAGE = Preimage(b"\x2a" * 32)
PASSPHRASE = "correct horse battery"


def fill(manager: RecurrenceManager) -> None:
    """Something of everything."""
    manager.join(Seat("here"), NodeId(b"\x02" * 33))
    manager.add_offer(OfferRecord(OfferId(b"\x01" * 32), b"offer", OfferPolicy(), NOW, "shop ☂"))
    for number in range(1, 5):
        state = Outbound(
            RecurrenceId(number.to_bytes(32, "big")), b"o", Mandate(Msat(5)), Terms(), NOW, wake_at=NOW, problem="ä"
        )
        booking = Book(0, PaymentHash(number.to_bytes(32, "big")), PREIMAGE, Msat(1), Msat(0), NOW, NOW)
        extras: dict[str, Any] = {"outbox": (SendInvoiceRequest(b"r"),), "bookings": (booking,)}
        manager.commit_outbound(Change(state, None, NOW, events=(Emit("a.b", {"n": number}),), **extras))
    for number in range(4):
        payer = Inbound(OfferId(b"\x01" * 32), Point(b"\x02" + bytes([number]) * 32), wake_at=NOW)
        manager.commit_inbound(Change(payer, None, NOW, receipt_cursor=str(number)))
    manager.claim_outbounds(NOW, 2)
    [entry, *_] = manager.claim_outbox(NOW, 2)
    manager.effect_done(entry.id)


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    file = tmp_path / "passphrase"
    file.write_text(f"{PASSPHRASE}\nnot this\n")
    return file


@pytest.fixture
def home(tmp_path: Path) -> Home:
    assert run("init", home=tmp_path / "home").exit_code == 0
    return Home.find(tmp_path / "home")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A passphrase that is quick to guess."""
    from lnrecur.crypto.passphrases import Scrypt
    from lnrecur.daemon.backup import archive

    monkeypatch.setattr(archive, "Scrypt", lambda: Scrypt(n=2))


pytestmark = pytest.mark.usefixtures("quick")


def back_up(home: Home, file: Path, passphrase: Path) -> Result:
    return run("backup", file, "--passphrase-file", passphrase, home=home.data_dir)


def restore(folder: Path, file: Path, passphrase: Path) -> Result:
    return run("restore", file, "--passphrase-file", passphrase, home=folder)


def use_database(home: Home, url: str) -> None:
    home.config_dir.mkdir(exist_ok=True)
    with home.config.open("a") as config:
        config.write(f'database = "{url}"\n')


def opened(home: Home, url: str | None) -> Any:
    return closing(open_sqlite_manager(home.database) if url is None else open_postgresql_manager(url))


@pytest.mark.parametrize("source", ["sqlite", "postgresql"])
@pytest.mark.parametrize("target", ["sqlite", "postgresql"])
def test_everything_comes_back_from_any_database_to_any_other(
    source: str, target: str, home: Home, passphrase: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    def database(kind: str) -> str | None:
        if kind == "sqlite":
            return None
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.url(server.new_database())

    url, other = database(source), database(target)
    copy, file = Home.find(tmp_path / "copy"), tmp_path / "backup"
    if url is not None:
        use_database(home, url)
    with opened(home, url) as manager:
        fill(manager)
        held = everything(manager)
        done = back_up(home, file, passphrase)  # while the daemon is at work
        assert done.exit_code == 0, done.output
        manager.leave()
        unclaimed = everything(manager)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert PREIMAGE not in file.read_bytes()
    if url != other:
        copy.config_dir.mkdir()
        copy.config.touch()
    if other is not None:
        use_database(copy, other)
    done = restore(copy.data_dir, file, passphrase)
    assert done.exit_code == 0, done.output
    for name in ("seed", "http-token"):
        assert (copy.data_dir / name).read_bytes() == (home.data_dir / name).read_bytes()
        assert stat.S_IMODE((copy.data_dir / name).stat().st_mode) == 0o600
    with opened(copy, other) as restored:
        assert everything(restored)[:-1] == held[:-1]
        assert everything(restored) == unclaimed
        assert list(restored.workers()) == []
        last = restored.commit_outbound(
            Change(Outbound(RecurrenceId(b"\xee" * 32), b"o", Mandate(Msat(5)), Terms(), NOW), None, NOW,
                   outbox=(SendInvoiceRequest(b"new"),))
        )  # fmt: skip
        assert last[0].id == 5, "no id is given twice"
    assert not [path for path in copy.data_dir.iterdir() if path.name.startswith(".")]


def test_a_backup_of_version_1_is_migrated(home: Home, passphrase: Path, tmp_path: Path) -> None:
    old = Path(__file__).parents[1] / "adapters" / "data" / "store-version-1.sql"
    with closing(sqlite3.connect(home.database)) as connection:
        connection.executescript(old.read_text())
    file = tmp_path / "backup"
    assert back_up(home, file, passphrase).exit_code == 0
    done = restore(tmp_path / "copy", file, passphrase)
    assert done.exit_code == 0, done.output
    with closing(open_sqlite_manager(Home.find(tmp_path / "copy").database)) as restored:
        assert len(restored.payments()) == 21


def test_a_daemon_that_never_ran_has_a_backup_too(home: Home, passphrase: Path, tmp_path: Path) -> None:
    done = run("backup", tmp_path / "b", "--passphrase-file", passphrase, "--json", home=home.data_dir)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["bytes"] == (tmp_path / "b").stat().st_size
    assert restore(tmp_path / "copy", tmp_path / "b", passphrase).exit_code == 0
    assert (tmp_path / "copy" / "seed").read_text() == home.seed.read_text()


def test_a_backup_overwrites_nothing_and_a_restore_neither(home: Home, passphrase: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    file.write_text("another backup")
    refused = back_up(home, file, passphrase)
    assert (refused.exit_code, file.read_text()) == (2, "another backup")
    file.unlink()
    assert back_up(home, file, passphrase).exit_code == 0
    before = {path.name: path.read_bytes() for path in home.data_dir.iterdir()}
    refused = restore(home.data_dir, file, passphrase)
    assert refused.exit_code == 2
    assert "exists already: restore into an empty folder" in refused.output
    assert {path.name: path.read_bytes() for path in home.data_dir.iterdir()} == before


def test_a_wrong_passphrase_or_a_broken_file_restores_nothing(home: Home, passphrase: Path, tmp_path: Path) -> None:
    file, wrong, copy = tmp_path / "backup", tmp_path / "wrong", tmp_path / "copy"
    wrong.write_text("correct horse")
    assert back_up(home, file, passphrase).exit_code == 0
    broken = tmp_path / "broken"
    broken.write_bytes(file.read_bytes()[:-1])
    for damaged, told_by in ((file, wrong), (broken, passphrase), (home.config, passphrase)):
        refused = restore(copy, damaged, told_by)
        assert refused.exit_code == 2, refused.output
        assert not list(copy.iterdir())


def test_a_full_or_read_only_disk_is_told_and_leaves_nothing_behind(
    home: Home, passphrase: Path, tmp_path: Path
) -> None:
    with closing(open_sqlite_manager(home.database)) as manager:
        fill(manager)
    good = tmp_path / "good"
    assert back_up(home, good, passphrase).exit_code == 0
    with small_disk(tmp_path / "small", 1) as disk:
        there = Home.find(disk.folder / "there")
        for trouble, told in ((disk.fill, "No space left"), (lambda: disk.set_read_only(True), "Read-only")):
            trouble()
            refused = [back_up(home, disk.folder / "backup", passphrase), restore(there.data_dir, good, passphrase)]
            for result in refused:
                assert result.exit_code == 1, result.output
                assert told in result.stderr
                assert "cannot be read" not in result.stderr
            assert not (disk.folder / "backup").exists()
            assert not there.seed.exists()


def test_a_backup_of_a_newer_lnrecur_is_refused_and_nothing_restored(
    home: Home, passphrase: Path, tmp_path: Path
) -> None:
    open_sqlite_manager(home.database).close()
    with closing(sqlite3.connect(home.database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert back_up(home, tmp_path / "backup", passphrase).exit_code == 0
    refused = restore(tmp_path / "copy", tmp_path / "backup", passphrase)
    assert refused.exit_code == 1
    assert "start the newer lnrecur that wrote it" in refused.stderr
    assert not list((tmp_path / "copy").iterdir())


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_copy_that_is_taken_while_others_write_is_of_one_moment(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Each commit adds one payment, one event and one to the state's count: a copy has as many of each."""
    url = ""
    if kind == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.url(server.new_database())
    source, key, over = tmp_path / "source.sqlite", RecurrenceId(b"\x07" * 32), threading.Event()
    manager = open_postgresql_manager(url) if url else open_sqlite_manager(source)

    def write() -> None:
        number = 0
        while not over.is_set():
            number += 1
            state = Outbound(key, b"o", Mandate(Msat(5)), Terms(), NOW, wake_at=NOW, payments=number)
            booking = Book(number, PaymentHash(number.to_bytes(32, "big")), PREIMAGE, Msat(1), Msat(0), NOW, NOW)
            extras: dict[str, Any] = {"events": (Emit("a.b"),), "bookings": (booking,)}
            manager.commit_outbound(Change(state, number - 1 or None, NOW, **extras))

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    try:
        for number in range(5):
            copy = tmp_path / f"{number}.sqlite"
            copy_postgresql(url, copy) if url else copy_sqlite(source, copy)
            with closing(open_sqlite_manager(copy)) as copied:
                found = copied.outbound(key)
                payments = 0 if found is None else found.state.payments
                assert (len(copied.payments()), len(copied.events(limit=10**6))) == (payments, payments)
                seen.append(payments)
    finally:
        over.set()
        writer.join()
        manager.close()
    assert seen == sorted(seen)
    assert seen[-1] > seen[0], "it went on meanwhile"


def test_a_database_that_is_not_empty_is_not_filled(
    home: Home, passphrase: Path, tmp_path: Path, postgres: PostgresServer
) -> None:
    with closing(open_sqlite_manager(home.database)) as manager:
        fill(manager)
    assert back_up(home, tmp_path / "backup", passphrase).exit_code == 0
    url = postgres.url(postgres.new_database())
    with closing(open_postgresql_manager(url)) as other:
        other.save_receipt_cursor("theirs")
    copy = Home.find(tmp_path / "copy")
    use_database(copy, url)
    refused = restore(copy.data_dir, tmp_path / "backup", passphrase)
    assert refused.exit_code == 2
    assert "the database is not empty" in refused.output
    assert not copy.seed.exists()
    with closing(open_postgresql_manager(url)) as other:
        assert (list(other.offers()), other.receipt_cursor()) == ([], "theirs")


@pytest.mark.parametrize("typed", ["short\nshort\n", "long enough\nsomething else\n"])
def test_a_passphrase_is_long_enough_and_typed_twice(home: Home, tmp_path: Path, typed: str) -> None:
    refused = run("backup", tmp_path / "backup", home=home.data_dir, answer=typed)
    assert refused.exit_code != 0
    assert not (tmp_path / "backup").exists()


def test_the_words_of_a_seed_bring_its_keys_back(home: Home, tmp_path: Path) -> None:
    shown = run("words", "--json", home=home.data_dir)
    words = json.loads(shown.stdout)["words"]
    assert len(words) == 24
    assert words[0] in run("words", home=home.data_dir).stdout
    back = run("init", "--seed", home=tmp_path / "again", answer=" ".join(words) + "\n")
    assert back.exit_code == 0, back.output
    assert (tmp_path / "again" / "seed").read_text() == home.seed.read_text()
    assert words[3] not in back.output
    refused = run("init", "--seed", home=tmp_path / "third", answer=" ".join(words[:-1]) + "\n")
    assert refused.exit_code == 2
    assert not (tmp_path / "third" / "seed").exists()
