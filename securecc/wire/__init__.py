"""Floor 1: the compile protocol as bytes in, events out. No sockets, no clock, no Kerberos library."""
