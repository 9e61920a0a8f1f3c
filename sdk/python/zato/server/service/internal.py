"""Base classes of services, as existing service files import them."""

from tenon.service import Service


class AdminService(Service):
    """A service; there is nothing special about it here."""


class AdminSIO:
    """The base of nested classes SimpleIO."""


class GetListAdminSIO(AdminSIO):
    """The same for lists, which may be asked for page by page."""

    input_optional = ("cur_page", "paginate", "query")


__all__ = ["AdminSIO", "AdminService", "GetListAdminSIO"]
