"""What an agent remembers of files, directories and compiles, each within a named bound."""
