"""Messages between front and runner, and the packets that carry them."""
