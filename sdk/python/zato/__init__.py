"""Names under which existing service files import what `tenon` has."""
