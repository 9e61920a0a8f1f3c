"""Models, as existing service files import them."""

from tenon.convert import Invalid as ModelValidationError
from tenon.convert import Missing as ElementMissing
from tenon.model import Model, ModelCtx

__all__ = ["ElementMissing", "Model", "ModelCtx", "ModelValidationError"]
