"""What the user has set, and the record of what happened."""
