"""Values, errors and limits that all parts share."""
