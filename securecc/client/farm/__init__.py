"""Servers: which there are, and the connection to each."""
