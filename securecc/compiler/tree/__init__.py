"""Which paths a job's tree may hold, and trees that both sides have."""
