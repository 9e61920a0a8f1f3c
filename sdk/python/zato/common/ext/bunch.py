"""Dicts whose keys are attributes too, as existing service files import them."""

from zato.bunch import Bunch, bunchify, unbunchify

__all__ = ["Bunch", "bunchify", "unbunchify"]
