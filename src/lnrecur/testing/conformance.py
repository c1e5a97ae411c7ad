"""The conformance suite: its cases, who answers them, and what came of it.

A case hands over one question and says the one right answer (docs/conformance.md). Whoever answers is a `Subject`:
lnrecur itself (`conformance_self.py`) or any program (`conformance_program.py`). The form of questions and answers is
conformance/PROTOCOL.md; both kinds of subject speak it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Protocol

from lnrecur.errors import Fault, LnrecurError
from lnrecur.testing.conformance_judge import complaint

Document = dict[str, Any]

PERIODS: Final = "offer-period-test"
"""The file in the form that Core Lightning's own test reads: a bare list."""
GROUPS: Final = (
    PERIODS, "period-limits", "windows", "prices", "offers", "payee", "payer", "requests", "errors",
)  # fmt: skip
_UNIT_RULES: Final = ("T3", "T4", "T5")
_CHECKOUT: Final = Path(__file__).resolve().parents[3] / "conformance" / "vectors"


class VectorsMissing(LnrecurError):
    """The vectors of the suite are not where they are installed, or cannot be read."""

    fault = Fault.ENVIRONMENT


class SubjectFailed(LnrecurError):
    """The program under test gave no answer that could be judged; the text says what it did instead."""

    fault = Fault.CALLER


@dataclass(frozen=True, slots=True)
class Case:
    """One question and the right answer."""

    id: str
    group: str
    op: str
    given: Mapping[str, Any]
    expect: Mapping[str, Any]
    breaks: str | None
    """The one rule that the case breaks; None where nothing is wrong."""
    shows: tuple[str, ...]
    """The rules it is evidence for."""
    comment: str

    @property
    def question(self) -> Document:
        """The line that is asked."""
        return {"id": self.id, "op": self.op, **self.given}


class Outcome(StrEnum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class Result:
    """A case and what was answered. `told` says what is wrong with the answer."""

    case: Case
    outcome: Outcome
    answer: Document | None = None
    told: str = ""


class Subject(Protocol):
    """Whoever answers."""

    @property
    def name(self) -> str:
        """What the report calls it."""

    def answer(self, question: Document) -> Document:
        """Answer one question.

        Raises:
            SubjectFailed: there was no answer.
        """


@dataclass(frozen=True, slots=True)
class Report:
    """What a subject made of the suite."""

    subject: str
    results: tuple[Result, ...]

    def counts(self) -> dict[str, Counter[Outcome]]:
        """How many of each group's cases ended how."""
        found: dict[str, Counter[Outcome]] = {}
        for result in self.results:
            found.setdefault(result.case.group, Counter())[result.outcome] += 1
        return found

    @property
    def total(self) -> Counter[Outcome]:
        """All groups together."""
        return Counter(result.outcome for result in self.results)

    @property
    def failures(self) -> list[Result]:
        """What failed, in order."""
        return [result for result in self.results if result.outcome is Outcome.FAILED]

    @property
    def passed(self) -> bool:
        """Whether nothing failed and something passed."""
        return not self.failures and bool(self.total[Outcome.PASSED])


def run_suite(cases: Iterable[Case], subject: Subject, each: Callable[[Result], None] = lambda _: None) -> Report:
    """Ask every question; `each` is told of every result as it comes."""
    results = []
    for case in cases:
        result = _ask(case, subject)
        each(result)
        results.append(result)
    return Report(subject.name, tuple(results))


def _ask(case: Case, subject: Subject) -> Result:
    try:
        answer = subject.answer(case.question)
    except SubjectFailed as failed:
        return Result(case, Outcome.FAILED, None, str(failed))
    if answer.get("unsupported") is True:
        return Result(case, Outcome.UNSUPPORTED, answer)
    told = complaint(case.given, case.expect, answer)
    return Result(case, Outcome.PASSED if told is None else Outcome.FAILED, answer, told or "")


def vectors_folder() -> Path:
    """Where the vectors are: beside the installed package, or in the checkout it was installed from.

    Raises:
        VectorsMissing: neither.
    """
    packaged = Path(str(files("lnrecur.testing"))) / "vectors"
    for folder in (packaged, _CHECKOUT):
        if (folder / f"{PERIODS}.json").is_file():
            return folder
    raise VectorsMissing(f"no conformance vectors in {packaged}, and none in {_CHECKOUT}: is the package complete?")


def load_suite(groups: Sequence[str] = GROUPS, folder: Path | None = None) -> list[Case]:
    """The cases of these groups, in the order of the files.

    Raises:
        VectorsMissing: a file is missing, or is not what generate.py wrote.
    """
    folder = vectors_folder() if folder is None else folder
    found: list[Case] = []
    for group in groups:
        path = folder / f"{group}.json"
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            found += _periods(document) if group == PERIODS else _cases(document)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise VectorsMissing(f"{path} cannot be read: {error}") from error
    return found


def _cases(document: Document) -> list[Case]:
    return [
        Case(
            id=told["id"],
            group=document["group"],
            op=document["op"],
            given=told["given"],
            expect=told["expect"],
            breaks=told["breaks"],
            shows=tuple(told["shows"]),
            comment=told["comment"],
        )
        for told in document["cases"]
    ]


def _periods(document: Sequence[Document]) -> list[Case]:
    found = []
    comment = ""
    for at, told in enumerate(document):
        comment = told.get("comment", comment)
        given = {name: told[name] for name in ("basetime", "time_unit", "period", "n")}
        expect = {"seconds_since_epoch": told["expect"]["seconds_since_epoch"]}
        rules = ("T2", _UNIT_RULES[told["time_unit"]], *(("T6",) if "T6" in comment else ()))
        found.append(Case(f"{PERIODS}/{at:03}", PERIODS, "period_start", given, expect, None, rules, comment))
    return found
