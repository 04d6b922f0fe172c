"""The front of `secureccd`: network, keytab, policy, audit and store; it hands admitted jobs to a runner."""
