"""The servers of a farm, and the connection to each."""
