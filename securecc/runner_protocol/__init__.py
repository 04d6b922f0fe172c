"""What front and runner say to each other, and the packets that carry it."""
