"""Whether this machine would have answered the questions of a run as the server did."""
