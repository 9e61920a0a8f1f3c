"""See `zato.common.exception` and `zato.common.typing_`."""
