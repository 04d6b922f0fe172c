"""What this machine is like: compilers, directories, locales, terminals."""
