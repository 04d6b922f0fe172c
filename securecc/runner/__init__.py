"""The processes that run compilers: a job, its tree, its limits, its result."""
