"""What a compiler's command line means, which files it reads, and what a toolchain consists of."""
