"""The user's settings, and the record of the outcome of compiles."""
