"""Our requests that wait for an answer: the path_id that the answer will carry, and the peer that took the request.

Only memory. What is forgotten is asked again by the plan of its subscription.
"""

from __future__ import annotations

from lnrecur.values import NodeId, RecurrenceId


class Unanswered:
    """One request for each subscription at the most."""

    def __init__(self) -> None:
        self._subjects: dict[bytes, RecurrenceId] = {}
        self._path_ids: dict[RecurrenceId, bytes] = {}
        self._taken_by: dict[RecurrenceId, NodeId | None] = {}

    def expect(self, subject: RecurrenceId, path_id: bytes) -> None:
        """A request goes out; its answer will carry this path_id. A newer request takes the older one's place."""
        older = self._path_ids.get(subject)
        if older is not None:
            del self._subjects[older]
        self._subjects[path_id], self._path_ids[subject] = subject, path_id

    def subject_of(self, path_id: bytes) -> RecurrenceId | None:
        """Whose answer carries this path_id; also after the first answer, for there may be another one."""
        return self._subjects.get(path_id)

    def taken(self, subject: RecurrenceId, peer: NodeId | None) -> None:
        """The request was handed to this peer; None: nobody could be found to take it."""
        self._taken_by[subject] = peer

    def settled(self, subject: RecurrenceId) -> None:
        """An answer came, none is wanted any more, or the request is being sent right now."""
        self._taken_by.pop(subject, None)

    def lost_with(self, peer: NodeId) -> list[RecurrenceId]:
        """What may have been lost with the last connection to this peer, and what nobody took."""
        return [subject for subject, taken_by in self._taken_by.items() if taken_by in (None, peer)]
