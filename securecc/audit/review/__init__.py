"""What a log says once it is added up."""
