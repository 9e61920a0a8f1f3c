from bunch import Bunch as OtherBunch
from zato.bunch import Bunch, bunchify
from zato.common.api import CHANNEL, DATA_FORMAT, SCHEDULER
from zato.common.exception import BadRequest, Forbidden, NotFound, ZatoException
from zato.common.ext.dataclasses import dataclass as ext_dataclass
from zato.common.json_internal import dumps, loads
from zato.common.marshal_.api import Model as MarshalModel
from zato.common.typing_ import any_, anydict, anylist, anynone, callable_, cast_, dict_, dictlist, intlist, intnone, list_, list_field, optional, stranydict, strdict, strlist, strnone, union_
from zato.common.util.api import as_bool, asbool, fs_safe_now, new_cid, spawn_greenlet, utcnow
from zato.common.util.file_system import fs_safe_name
from zato.common.util.json_ import dumps as util_dumps
from zato.common.util.time_ import utcnow as util_utcnow
from zato.input_output import Elem
from zato.server.commands import CommandResult
from zato.server.connection.http_soap import BadRequest as HttpBadRequest
from zato.server.service import *  # noqa: F403
from zato.server.service import (
    CSV,
    UTC,
    UUID,
    AsIs,
    Bool,
    Boolean,
    Date,
    DateTime,
    Decimal,
    Dict,
    DictList,
    Float,
    ForceType,
    Int,
    Integer,
    List,
    ListOfDicts,
    Model,
    Nested,
    Opaque,
    PubSubMessage,
    RESTAdapter,
    Service,
    Text,
    Unicode,
    ZatoException as FromService,
    bunchify as from_service,
    dataclass,
)
from zato.server.service.internal import AdminService
from zato.server.service.reqresp import HTTPRequestData, Request
from zato.simpleio import AsIs as SimpleAsIs


@ext_dataclass(init=False)
class Thing(MarshalModel):
    names: strlist = list_field()
    note: strnone = None
    one: any_ = None


class Imports(Service):
    name = "conformance.service.imports"

    def handle(self):
        thing = cast_("Thing", Thing.from_dict({"names": ["a"]}))
        self.response.payload = {
            "thing": thing.to_dict(),
            "bunch": bunchify({"a": {"b": 1}}).a.b,
            "same": OtherBunch(a=1).a == Bunch(a=1).a,
            "plain": Bunch(a=Bunch(b=1)).toDict(),
            "json": loads(dumps({"a": [1]})),
            "asbool": [asbool("true"), asbool("0")],
            "cid": len(new_cid()) > 10,
            "year": utcnow().year > 2000,
            "channel": self.channel.type == CHANNEL.HTTP_SOAP,
            "adapter": issubclass(RESTAdapter, Service),
            "model": MarshalModel is Model,
            "same classes": [HttpBadRequest is BadRequest, FromService is ZatoException, SimpleAsIs is AsIs, issubclass(AsIs, Elem), issubclass(AdminService, Service)],
            "request": [isinstance(self.request, Request), isinstance(self.request.http, HTTPRequestData)],
        }
