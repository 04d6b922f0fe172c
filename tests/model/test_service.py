"""What clients and servers take for granted of each other."""

from securecc.client.state.host_list import Host
from securecc.client.state.settings import Settings
from securecc.daemon.settings import DaemonSettings
from securecc.model.service import PORT, SERVICE


def test_both_sides_have_the_same_defaults() -> None:
    assert Host("farm1").port == DaemonSettings.__dataclass_fields__["port"].default == PORT
    assert Settings().service == DaemonSettings.__dataclass_fields__["service"].default == SERVICE
