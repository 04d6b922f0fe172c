"""secureccd: the front (network, keytab, policy, audit, store) and the runner (trees, sandboxes)."""
