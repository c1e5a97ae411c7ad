"""docs/interop/cln.md has the table of Core Lightning's deviations as the engine knows it."""

from pathlib import Path

from lnrecur.recurrence.habits import DEVIATIONS

PAGE = (Path(__file__).parents[2] / "docs" / "interop" / "cln.md").read_text()


def test_every_deviation_is_on_the_page_as_the_engine_knows_it() -> None:
    table = PAGE.split("## Deviation by deviation")[1]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines() if "| " in line][2:]
    told = [[str(row.number), row.theirs, row.paying, row.selling] for row in DEVIATIONS]
    assert [[cell.strip(" |") for cell in row] for row in rows] == told
