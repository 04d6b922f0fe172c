import msgspec

from securecc.audit import events
from securecc.audit.events import Repair


def test_the_other_kinds():
    kinds = {
        "connection": events.connection("denied", peer="p", principal=b"\xff@R", reference="r", reason="no rule"),
        "daemon": events.daemon("reload-refused", detail="policy.yaml:3:1: no", policy="abc", layers=["seccomp"]),
        "strangers": events.strangers("10.0.0.1", "2026-11-21T08:00:00.000000Z", {"acl": 3}),
        "repair": Repair("torn", 1, "", ""),
    }
    for kind, value in kinds.items():
        assert msgspec.to_builtins(value)["kind"] == kind
    assert kinds["connection"].principal == "\\xff@R"
