"""A Kerberos-authenticated compile farm: the commands are securecc, secureccd and securecctl."""

__version__ = "0.2.0"
