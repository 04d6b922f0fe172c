"""Where checkpoints are sent."""
