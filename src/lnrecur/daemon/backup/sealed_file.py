r"""A file that only its passphrase opens, written and read as a stream.

    lnrecur backup\n
    {"format": 1, "kdf": "scrypt", "n": ..., "r": ..., "p": ..., "salt": "...", ...}\n
    frames: 4 bytes length (big-endian), then that many bytes of ChaCha20-Poly1305

The key is scrypt's of passphrase and salt, a new one for every file, so the nonce may count: frame number 0, 1, 2 ...
Each frame authenticates the SHA-256 of both head lines and whether it is the last one. So frames cannot be changed,
left out, moved, or cut off at the end without being noticed, and nothing of a frame is handed out before it is proved.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any, ClassVar, Final

from lnrecur.crypto.aead import TAG_SIZE, decrypt, encrypt
from lnrecur.crypto.errors import InvalidTag
from lnrecur.crypto.hashes import sha256
from lnrecur.crypto.passphrases import Scrypt
from lnrecur.errors import Fault, LnrecurError

MAGIC: Final = b"lnrecur backup\n"
FORMAT: Final = 1
FRAME_SIZE: Final = 1 << 20
SALT_SIZE: Final = 16
_HEAD_MAX: Final = 4096
_N_MAX: Final = 2**20
_NORMAL: Final = Scrypt()
_LENGTH_SIZE: Final = 4
_NOT_LAST, _LAST = b"\0", b"\1"


class BackupError(LnrecurError):
    """A backup cannot be made or read."""

    fault: ClassVar[Fault] = Fault.ENVIRONMENT


class BadBackup(BackupError):
    """What was handed over is no backup, or a broken one, or the passphrase is another."""

    fault: ClassVar[Fault] = Fault.CALLER


class SealingWriter:
    """Writes a sealed file; only `finish` makes it whole."""

    def __init__(self, file: IO[bytes], passphrase: str, salt: bytes, told: Mapping[str, Any], kdf: Scrypt) -> None:
        """Write the head. `told` is what anybody may read in it."""
        head = {"format": FORMAT, "kdf": "scrypt", "n": kdf.n, "r": kdf.r, "p": kdf.p, "salt": salt.hex(), **told}
        lines = MAGIC + json.dumps(head).encode() + b"\n"
        file.write(lines)
        self._file = file
        self._key = kdf.key(passphrase, salt)
        self._head = sha256(lines)
        self._pending = bytearray()
        self._number = 0

    def write(self, data: bytes) -> int:
        """Take more."""
        self._pending += data
        while len(self._pending) > FRAME_SIZE:
            self._frame(bytes(self._pending[:FRAME_SIZE]), _NOT_LAST)
            del self._pending[:FRAME_SIZE]
        return len(data)

    def finish(self) -> None:
        """Write what is left, as the last frame."""
        self._frame(bytes(self._pending), _LAST)

    def _frame(self, data: bytes, last: bytes) -> None:
        sealed = encrypt(self._key, self._number.to_bytes(12, "big"), data, self._head + last)
        self._file.write(len(sealed).to_bytes(_LENGTH_SIZE, "big") + sealed)
        self._number += 1


class SealedReader:
    """Reads what `SealingWriter` wrote."""

    def __init__(self, file: IO[bytes], passphrase: str) -> None:
        """Read the head.

        Raises:
            BadBackup: it is none, or one of a later format.
        """
        lines, self.head = _read_head(file)
        self._file = file
        self._key = Scrypt(self.head["n"], self.head["r"], self.head["p"]).key(
            passphrase, bytes.fromhex(self.head["salt"])
        )
        self._head = sha256(lines)
        self._open = bytearray()
        self._number = 0
        self._ended = False

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes that are proved to be what was written; empty at the end.

        Raises:
            BadBackup: the passphrase is another, or the file was changed or cut off.
        """
        while not self._ended and (size < 0 or len(self._open) < size):
            self._next_frame()
        taken = bytes(self._open) if size < 0 else bytes(self._open[:size])
        del self._open[: len(taken)]
        return taken

    def _next_frame(self) -> None:
        size = int.from_bytes(self._exactly(_LENGTH_SIZE), "big")
        if not TAG_SIZE <= size <= FRAME_SIZE + TAG_SIZE:
            raise BadBackup("the backup is broken: no part of it is that long")
        sealed = self._exactly(size)
        nonce = self._number.to_bytes(12, "big")
        for last in (_NOT_LAST, _LAST):
            try:
                self._open += decrypt(self._key, nonce, sealed, self._head + last)
            except InvalidTag:
                continue
            self._number += 1
            self._ended = last == _LAST
            if self._ended and self._file.read(1):
                raise BadBackup("the backup is broken: something follows its end")
            return
        told = "the passphrase is wrong, or the backup is broken" if self._number == 0 else "the backup is broken"
        raise BadBackup(told)

    def _exactly(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) < size:
            raise BadBackup("the backup is broken: its end is missing")
        return data


def _read_head(file: IO[bytes]) -> tuple[bytes, dict[str, Any]]:
    if file.read(len(MAGIC)) != MAGIC:
        raise BadBackup("this is no backup of lnrecur")
    line = file.readline(_HEAD_MAX)
    try:
        head = json.loads(line)
        version, kdf = head["format"], head["kdf"]
        numbers, salt = [head[name] for name in ("n", "r", "p")], bytes.fromhex(head["salt"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadBackup("the backup is broken: its head cannot be read") from error
    if version != FORMAT:
        raise BadBackup(f"the backup has format {version!r}, this lnrecur knows format {FORMAT}")
    if kdf != "scrypt" or not all(type(number) is int for number in numbers) or not salt:
        raise BadBackup("the backup is broken: its head makes no sense")
    n, r, p = numbers
    if not 2 <= n <= _N_MAX or n & (n - 1) or (r, p) != (_NORMAL.r, _NORMAL.p):
        raise BadBackup("the backup is broken: its key would be made in a way that lnrecur does not make keys")
    return MAGIC + line, head
