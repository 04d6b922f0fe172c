"""A Kerberos-authenticated compile farm: the commands are securecc, secureccd and securecctl."""

__version__ = "0.1.0"
