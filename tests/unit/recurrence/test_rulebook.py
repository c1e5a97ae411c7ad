"""The rulebook: every rule once, and the command that lists them."""

import json
import pkgutil

import pytest
from click.testing import CliRunner

from lnrecur.bolt12 import answer_rules, rules
from lnrecur.cli.main import main
from lnrecur.recurrence.rulebook import GROUPS, Listed, all_rules

TABLES = (
    rules.OFFER_RULES,
    rules.INVOICE_REQUEST_RULES,
    rules.INVOICE_RULES,
    answer_rules.ANSWERING_REQUEST_RULES,
    answer_rules.UNPROMPTED_WRITER_RULES,
    answer_rules.ANSWERING_INVOICE_RULES,
)


def test_the_rules_of_the_draft_are_listed_without_a_gap() -> None:
    listed = [rule.id for rule in all_rules()]
    for group, last in {"T": 10, "O": 11, "Q": 22, "V": 11, "BO": 10, "BR": 13, "BI": 14, "BE": 2, "P": 6}.items():
        assert [name for name in listed if name.rstrip("0123456789") == group] == [
            f"{group}{number}" for number in range(1, last + 1)
        ]
    assert {rule.group for rule in all_rules()} == set(GROUPS)


def test_no_two_rules_share_an_id() -> None:
    ids = [rule.id for table in TABLES for rule in table]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("rule", [rule for rule in all_rules() if rule.keeper], ids=lambda rule: rule.id)
def test_a_rule_is_kept_where_it_says(rule: Listed) -> None:
    assert pkgutil.resolve_name(rule.keeper) is not None


def test_the_command_lists_all_or_some() -> None:
    told = json.loads(CliRunner().invoke(main, ["rules", "--json"]).stdout)["rules"]
    assert [rule["id"] for rule in told] == [rule.id for rule in all_rules()]
    some = json.loads(CliRunner().invoke(main, ["rules", "o4", "BE", "--json"]).stdout)["rules"]
    assert [rule["id"] for rule in some] == ["O4", "BE1", "BE2"]
    assert "the period is greater than 0" in CliRunner().invoke(main, ["rules", "O4"]).stdout


def test_an_unknown_rule_is_named() -> None:
    result = CliRunner().invoke(main, ["rules", "O4", "X9"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no rule X9" in result.stderr
