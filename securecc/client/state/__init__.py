"""The user's settings, and the record of what became of compiles."""
