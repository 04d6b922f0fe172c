"""A server's default port and Kerberos service."""

from typing import Final

PORT: Final = 3643
"""TCP."""
SERVICE: Final = "securecc"
"""The first component of the server's principal: ``securecc/HOST@REALM``."""
