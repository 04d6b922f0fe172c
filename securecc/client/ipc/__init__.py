"""Launcher and agent on one machine: the socket, the frames, the connection."""
