"""Where a server listens and as which Kerberos service it proves itself, unless settings say otherwise."""

from typing import Final

PORT: Final = 3643
"""TCP."""
SERVICE: Final = "securecc"
"""The first component of the server's principal: ``securecc/HOST@REALM``."""
