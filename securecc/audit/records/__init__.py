"""What is recorded: one file a family of records."""
