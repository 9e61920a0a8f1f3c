"""See `zato.common.marshal_.api`."""
