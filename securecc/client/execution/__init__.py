"""The executors of one compile, each around another: judged, watched, accepted, retried, placed."""
