"""What keeps compiles from going to a server (`securecctl doctor`)."""
