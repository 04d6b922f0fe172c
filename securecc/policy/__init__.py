"""Who may compile what from where: the policy document and the pure decision over it."""
