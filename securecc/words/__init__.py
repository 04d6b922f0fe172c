"""Floor 0: the values that every other floor speaks in. Nothing here does I/O or decides anything."""
