"""What the text of a source says about other files, and what compilers print about the files they read."""
