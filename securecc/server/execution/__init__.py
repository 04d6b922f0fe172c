"""The executor of a job and its wrappers, and the way to the runner."""
