"""The process that runs compilers: jobs, their trees, their limits, their results."""
