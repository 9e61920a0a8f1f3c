"""Dicts whose keys are attributes too, as existing service files import them, also as the module `bunch` where no other has that name."""

from tenon.bunch import Bunch, bunchify, unbunchify

__all__ = ["Bunch", "bunchify", "unbunchify"]
