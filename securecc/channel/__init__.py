"""TCP, TLS and Kerberos joined into one authenticated channel."""
