"""See `zato.common.ext.dataclasses` and `zato.common.ext.bunch`."""
