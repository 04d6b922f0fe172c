"""What all audit records are. Pure values; docs/audit.md lists the fields of each kind.

Text is what a peer sent, so all of it goes through `securecc.audit.text`.
"""

from typing import Literal

import msgspec

Decision = Literal["allowed", "denied"]


class Record(msgspec.Struct, frozen=True, tag_field="kind"):
    """Base of all records. `seq`, `prev`, `time` and `hash` are added when it is written."""
