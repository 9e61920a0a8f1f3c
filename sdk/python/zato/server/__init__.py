"""See `zato.server.service`."""
