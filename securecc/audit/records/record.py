"""What all audit records are. Pure values; docs/audit.md lists the fields of each kind.

Text is what a peer sent, so all of it goes through `securecc.audit.records.escaped_text`.
"""

from typing import ClassVar, Literal

import msgspec

Decision = Literal["allowed", "denied"]


class Record(msgspec.Struct, frozen=True, tag_field="kind"):
    """Base of all records. `seq`, `prev`, `time` and `hash` are added when it is written.

    A record that `permits` something is refused, and the thing with it, when it cannot be written; any other tells what
    has happened already, and is kept until it can be. A `pressing` one may use the room that is kept for the ends of
    what was permitted.
    """

    pressing: ClassVar[bool] = False

    @property
    def permits(self) -> bool:
        """Whether something may happen only once this is written."""
        return False
