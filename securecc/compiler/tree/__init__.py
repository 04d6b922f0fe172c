"""Which paths a tree of files may hold, and trees that both sides have."""
