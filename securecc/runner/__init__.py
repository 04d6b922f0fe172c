"""The processes that run compilers: what came from the front becomes a job, its tree, its end and its harvest."""
