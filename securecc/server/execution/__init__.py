"""The executor of a job, its wrappers, and the client of the runner."""
