"""Jobs that services schedule."""

from datetime import date, datetime, timezone
from typing import Any, Dict, Union

from .host import HostReturn, call, check, json_body_of, milliseconds
from .invoking import service_name
from .times import from_iso


class Schedule:
    """`self.schedule`."""

    def __init__(self, service: Any) -> None:
        self._service = service

    def onetime(
        self,
        *args: Any,
        target: Any = None,
        name: str = "",
        prefix: str = "",
        start_date: Union[str, datetime, date] = "",
        after_seconds: float = 0,
        after_minutes: float = 0,
        data: Any = "",
    ) -> Any:
        """Has a service run once, at `start_date` (in UTC unless it says otherwise) or after a time, and gives the job's name.

        `self.schedule.onetime(self, 'my.service', after_minutes=5, data={…})`; the service itself may be left out. The job
        is an object of the cluster like any other, and removes itself after its run.
        """
        given = list(args)
        # The service that schedules comes first where service files were written for it.
        if given and given[0] is self._service:
            given.pop(0)
        names = ("target", "name", "prefix", "start_date", "after_seconds", "after_minutes", "data")
        if len(given) > len(names):
            raise TypeError(f"onetime() takes {len(names)} arguments, not {len(given)}")
        values = {
            "target": target,
            "name": name,
            "prefix": prefix,
            "start_date": start_date,
            "after_seconds": after_seconds,
            "after_minutes": after_minutes,
            "data": data,
        }
        values.update(zip(names, given))
        return self._onetime(values)

    def _onetime(self, values: Dict[str, Any]) -> Any:
        target = values["target"]
        if not target:
            raise TypeError("onetime() needs the service to run")
        tail: Dict[str, Any] = {"op": "schedule-onetime", "service": service_name(target)}
        for name in ("name", "prefix"):
            if values[name]:
                tail[name] = str(values[name])
        if values["start_date"]:
            if values["after_seconds"] or values["after_minutes"]:
                raise ValueError("give either start_date or a time after which, not both")
            tail["at"] = _as_rfc_3339(values["start_date"])
        else:
            seconds = float(values["after_seconds"] or 0) + 60 * float(values["after_minutes"] or 0)
            tail["after_ms"] = milliseconds(seconds, "after_seconds")
        data = values["data"]
        body, is_json = json_body_of(None if data == "" else data)

        def convert(answer: HostReturn) -> str:
            check(answer)
            return str(answer.described().get("name") or "")

        return call(self._service.request, tail, convert, body, is_json)


def _as_rfc_3339(moment: Any) -> str:
    if isinstance(moment, str):
        try:
            moment = from_iso(moment.strip())
        except ValueError:
            raise ValueError(f"start_date '{moment}' is no date and time as ISO 8601 has them") from None
    elif isinstance(moment, date) and not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return str(moment.astimezone(timezone.utc).isoformat()).replace("+00:00", "Z")
