"""`securecctl doctor`: what keeps compiles from going where they should, on a client or on a server."""

from securecc.cli.doctor.command import add_arguments

__all__ = ["add_arguments"]
