"""Who gives way when all places are taken."""

from dataclasses import dataclass

import pytest

from lnrecur.adapters.link.places import origin_of, who_is_idle, who_leaves_the_handshake, who_makes_room


@dataclass(frozen=True)
class Guest:
    origin: str
    opened_at: float = 0.0
    busy_at: float = 0.0


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("an unnamed socket", "an unnamed socket"),
    ],
)
def test_an_origin_is_what_one_owner_has(host: str, origin: str) -> None:
    assert origin_of(host) == origin


def test_nobody_gives_way_while_there_is_room() -> None:
    assert who_leaves_the_handshake([Guest("a")], "a", 2) is None
    assert who_makes_room([Guest("a")], Guest("a"), 2, idle_since=10**9) is None


def test_the_oldest_handshake_of_the_largest_origin_gives_way() -> None:
    hostile = [Guest("bad", opened_at=number) for number in range(3)]
    honest = [Guest("good", opened_at=-1)]
    assert who_leaves_the_handshake(honest + hostile, "good", 4) is hostile[0]
    assert who_leaves_the_handshake(honest + hostile, "bad", 4) is hostile[0]
    assert who_leaves_the_handshake(honest + hostile, "other", 4) is hostile[0]


def test_an_origin_that_holds_the_most_gains_no_place() -> None:
    hostile = [Guest("bad", busy_at=number) for number in range(3)]
    honest = [Guest("good", busy_at=-100)]
    newcomer = Guest("bad", busy_at=9)
    assert who_makes_room(honest + hostile, newcomer, 4, idle_since=-50) is newcomer
    assert who_makes_room(honest + hostile, newcomer, 4, idle_since=1) is hostile[0]


def test_a_newcomer_from_elsewhere_takes_the_quietest_place_of_the_largest_origin_at_once() -> None:
    hostile = [Guest("bad", busy_at=number) for number in (7, 5, 6)]
    honest = [Guest("good", busy_at=-100)]
    assert who_makes_room(honest + hostile, Guest("new", busy_at=9), 4, idle_since=-1000) is hostile[1]


def test_among_equals_only_a_quiet_connection_gives_way() -> None:
    guests = [Guest(str(number), busy_at=number) for number in range(4)]
    newcomer = Guest("new", busy_at=9)
    assert who_makes_room(guests, newcomer, 4, idle_since=-1) is newcomer
    assert who_makes_room(guests, newcomer, 4, idle_since=0) is guests[0]


def test_without_any_place_the_newcomer_goes() -> None:
    newcomer = Guest("new")
    assert who_makes_room([], newcomer, 0, idle_since=0) is newcomer


def test_whoever_fills_all_places_from_one_origin_loses_them_to_others_one_by_one() -> None:
    guests = [Guest("bad", busy_at=100) for _ in range(8)]
    for number in range(7):
        newcomer = Guest(f"honest {number}", busy_at=100)
        leaving = who_makes_room(guests, newcomer, 8, idle_since=0)
        assert leaving is not None
        assert leaving.origin == "bad"
        guests.remove(leaving)
        guests.append(newcomer)


def test_of_our_own_dials_the_quietest_gives_way_if_it_is_quiet() -> None:
    guests = [Guest("a", busy_at=3), Guest("a", busy_at=2)]
    assert who_is_idle(guests, idle_since=1) is None
    assert who_is_idle(guests, idle_since=2) is guests[1]
    assert who_is_idle([], idle_since=2) is None
