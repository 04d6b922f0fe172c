"""Checks of what keeps compiles from going to a server."""
