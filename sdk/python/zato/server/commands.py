"""What `self.commands` gives, as existing service files import it."""

from tenon.commands import CommandResult

__all__ = ["CommandResult"]
