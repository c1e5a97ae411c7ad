"""What lightningd is told of our log."""

from __future__ import annotations

import logging

import pytest

from lnrecur.plugin.logs import LightningdLog


class Wire:
    """Keeps the lines; cannot write some."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def log(self, level: str, line: str) -> None:
        if "unwritable" in line:
            raise ValueError(line)
        self.lines.append((level, line))


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def log(wire: Wire) -> logging.Logger:
    made = logging.Logger("lnrecur.test")
    made.addHandler(LightningdLog(wire))  # type: ignore[arg-type]
    return made


def test_each_line_has_a_level_lightningd_knows(wire: Wire, log: logging.Logger) -> None:
    log.debug("a")
    log.info("b\nc")
    log.warning("d")
    log.critical("e")
    assert wire.lines == [
        ("debug", "lnrecur.test: a"),
        ("info", "lnrecur.test: b"),
        ("info", "c"),
        ("warn", "lnrecur.test: d"),
        ("error", "lnrecur.test: e"),
    ]


def test_a_line_that_cannot_be_written_ends_nothing(
    wire: Wire, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    log.info("a number: %d", "none")
    log.info("unwritable")
    log.info("what follows")
    assert wire.lines == [("info", "lnrecur.test: what follows")]
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Logging error" in printed.err
