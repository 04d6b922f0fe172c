"""What a job's compiler may see and do: the walls, each of its own kind, and the tree between them."""
