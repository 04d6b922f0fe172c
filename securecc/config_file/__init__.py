"""Configuration documents: YAML nodes with their places, typed fields, quantities."""
