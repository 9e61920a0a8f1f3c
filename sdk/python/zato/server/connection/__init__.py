"""See `zato.server.connection.http_soap`."""
