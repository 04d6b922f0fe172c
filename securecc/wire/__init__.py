"""The compile protocol: bytes in, events out. No sockets, no clock, no Kerberos library."""
