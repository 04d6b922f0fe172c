"""Everything between the listening socket and an authenticated connection."""
