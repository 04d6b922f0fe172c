"""Command lines: which options there are, what they mean, and the plan of one compile."""
