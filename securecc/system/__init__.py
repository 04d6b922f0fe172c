"""Operating system calls that every part makes in the same way."""
