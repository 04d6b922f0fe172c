"""The base of all audit records, which are pure values; docs/audit.md lists the fields of each kind.

Text may come from a peer, so all of it goes through `securecc.audit.records.escaped_text`.
"""

from typing import ClassVar, Literal

import msgspec

Decision = Literal["allowed", "denied"]


class Record(msgspec.Struct, frozen=True, tag_field="kind"):
    """Base of all records. `seq`, `prev`, `time` and `hash` are added when it is written.

    If a record that `permits` something cannot be written, that thing is refused; any other record reports what has
    already happened, and is kept until it can be written. A `pressing` record may use the disk space that is reserved
    for the ends of what was permitted.
    """

    pressing: ClassVar[bool] = False

    @property
    def permits(self) -> bool:
        """Whether something may happen only once this is written."""
        return False
