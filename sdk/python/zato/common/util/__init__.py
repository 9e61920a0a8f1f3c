"""See `zato.common.util.api`."""
