"""What front and runner share as one daemon: settings, file permissions, reload, the service manager."""
