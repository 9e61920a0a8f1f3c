from datetime import datetime, timedelta

from zato.server.service import Service


class Times(Service):
    name = "conformance.time.formats"

    def handle(self):
        time = self.time
        now = time.utcnow(needs_format=False)
        texts = [time.now(), time.utcnow(), time.today(), time.yesterday(), time.tomorrow(), time.isonow(), time.isoutcnow()]
        formats = ["%Y-%m-%d %H:%M:%S"] * 2 + ["%Y-%m-%d"] * 3 + ["%Y-%m-%dT%H:%M:%S.%f"] * 2
        parsed = [datetime.strptime(text, format) for text, format in zip(texts, formats)]
        day = time.today(tz="UTC", needs_format=False)
        minute = "2026-02-28T23:59:00"
        self.response.payload = {
            "parsed": len(parsed),
            "tomorrow": time.tomorrow(tz="UTC", needs_format=False) - day >= timedelta(hours=24),
            "yesterday": day - time.yesterday(tz="UTC", needs_format=False) >= timedelta(hours=23),
            "aware": now.utcoffset() == timedelta(0),
            "float": abs(time.utcnow_as_float() - now.timestamp()) < 60,
            "zones": time.now("ZZ", tz="Asia/Kolkata"),
            "format": len(time.now("DD.MM.YYYY HH:mm", tz="Europe/Zurich")),
            "reformatted": time.reformat("2026-05-01 13:04:05", "YYYY-MM-DD HH:mm:ss", "D MMM YY, h:mm A"),
            "later": [time.one_day_from("2026-02-28", "YYYY-MM-DD"), time.one_hour_from(minute), time.one_minute_from(minute)],
        }
