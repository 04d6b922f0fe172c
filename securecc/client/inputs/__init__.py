"""What a compile reads, and how long that holds."""
