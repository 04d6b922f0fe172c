"""`securecctl audit`: each of its actions is a file here."""

from securecc.cli.audit.command import add_arguments

__all__ = ["add_arguments"]
