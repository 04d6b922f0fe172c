"""What this machine is like: its compilers, directories, locales, terminals and slots."""
