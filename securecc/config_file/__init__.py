"""Configuration documents: YAML with the place of every node, typed fields, quantities."""
