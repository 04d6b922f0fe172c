"""The front of `secureccd`: network, keytab, policy, audit and store; it hands what it admits to a runner."""
