"""What a job's compiler may see and do: the layers of confinement, and the tree inside them."""
