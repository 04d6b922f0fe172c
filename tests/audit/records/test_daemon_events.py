import msgspec

from securecc.audit.records import daemon_events
from securecc.audit.records.daemon_events import Repair


def test_the_other_kinds() -> None:
    kinds = {
        "connection": daemon_events.connection("denied", peer="p", principal="a b@R", reference="r", reason="no rule"),
        "daemon": daemon_events.daemon(
            "reload-refused", detail="policy.yaml:3:1: no", policy="abc", layers=["seccomp"]
        ),
        "strangers": daemon_events.strangers("10.0.0.1", "2026-11-21T08:00:00.000000Z", {"acl": 3}),
        "repair": Repair("torn", 1, "", ""),
    }
    for kind, value in kinds.items():
        assert msgspec.to_builtins(value)["kind"] == kind
    assert msgspec.to_builtins(kinds["connection"])["principal"] == "a b@R"
