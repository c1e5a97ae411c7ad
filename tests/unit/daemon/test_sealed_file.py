"""A sealed file gives back what was written, and nothing else."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lnrecur.crypto.passphrases import Scrypt
from lnrecur.daemon.backup import sealed_file
from lnrecur.daemon.backup.sealed_file import FRAME_SIZE, MAGIC, BadBackup, SealedReader, SealingWriter

QUICK = Scrypt(n=2)
PASSPHRASE = "correct horse ☂"


def sealed(data: bytes, passphrase: str = PASSPHRASE) -> bytes:
    file = io.BytesIO()
    writer = SealingWriter(file, passphrase, b"\x07" * 16, {"made_at": "then"}, QUICK)
    writer.write(data)
    writer.finish()
    return file.getvalue()


def opened(file: bytes, passphrase: str = PASSPHRASE) -> bytes:
    return SealedReader(io.BytesIO(file), passphrase).read()


@pytest.mark.parametrize("size", [0, 1, FRAME_SIZE - 1, FRAME_SIZE, FRAME_SIZE + 1, 2 * FRAME_SIZE + 5])
def test_what_was_written_is_read(size: int) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    assert opened(sealed(data[:size])) == data[:size]


@given(st.binary(max_size=50), st.integers(1, 9))
def test_it_is_read_in_pieces_of_any_size(data: bytes, size: int) -> None:
    reader, pieces = SealedReader(io.BytesIO(sealed(data)), PASSPHRASE), []
    while piece := reader.read(size):
        assert len(piece) <= size
        pieces.append(piece)
    assert b"".join(pieces) == data


def test_it_tells_what_anybody_may_read_and_nothing_else() -> None:
    file = sealed(b"a preimage that nobody may see")
    assert b"preimage" not in file
    assert SealedReader(io.BytesIO(file), PASSPHRASE).head["made_at"] == "then"


def test_another_passphrase_opens_nothing() -> None:
    with pytest.raises(BadBackup, match="passphrase is wrong"):
        opened(sealed(b"data"), "correct horse")


@given(st.data())
def test_a_file_that_was_changed_anywhere_is_refused(data: st.DataObject) -> None:
    file = bytearray(sealed(b"some data that matters"))
    at = data.draw(st.integers(0, len(file) - 1))
    file[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(BadBackup):
        opened(bytes(file))


@given(st.data())
def test_a_file_that_was_cut_off_is_refused(data: st.DataObject) -> None:
    file = sealed(b"some data that matters")
    with pytest.raises(BadBackup):
        opened(file[: data.draw(st.integers(0, len(file) - 1))])


def test_frames_cannot_be_left_out_exchanged_or_put_behind_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed_file, "FRAME_SIZE", 4)
    file = sealed(b"111122223333")
    head = file[: file.index(b"\n", len(MAGIC)) + 1]
    size = 4 + 4 + 16
    frames = [file[len(head) + size * number : len(head) + size * (number + 1)] for number in range(3)]
    assert opened(head + b"".join(frames)) == b"111122223333"
    for order in ((0, 2), (1, 0, 2), (0, 1), (0, 1, 2, 2), (0, 1, 1, 2)):
        with pytest.raises(BadBackup):
            opened(head + b"".join(frames[number] for number in order))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"format": 2}, "format 2, this lnrecur knows format 1"),
        ({"kdf": "md5"}, "makes no sense"),
        ({"n": 2**21}, "does not make keys"),
        ({"n": 3}, "does not make keys"),
        ({"r": 10**9}, "does not make keys"),
        ({"n": "2"}, "makes no sense"),
        ({"salt": ""}, "makes no sense"),
        ({"salt": "zz"}, "cannot be read"),
    ],
)
def test_a_head_that_asks_for_something_else_is_refused_before_any_work(change: dict[str, object], told: str) -> None:
    file = sealed(b"data")
    end = file.index(b"\n", len(MAGIC))
    head = json.dumps({**json.loads(file[len(MAGIC) : end]), **change}).encode()
    with pytest.raises(BadBackup, match=told):
        opened(MAGIC + head + file[end:])


@pytest.mark.parametrize("file", [b"", b"PK\x03\x04", MAGIC, MAGIC + b"\n", MAGIC + b"[]\n", MAGIC + b"{" * 9999])
def test_what_is_no_backup_is_refused(file: bytes) -> None:
    with pytest.raises(BadBackup):
        opened(file)
