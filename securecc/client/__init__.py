"""The user's side: the native launcher and the per-user agent that it talks to."""
