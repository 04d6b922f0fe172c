"""One compile, from the request of a launcher to its outcome."""
