"""What a compiler is made of, and the digest by which client and server match it."""
