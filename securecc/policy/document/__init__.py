"""The text of a policy, section by section."""
