"""The audit log: what is recorded, how records are chained, signed, kept and read. docs/audit.md is normative."""
