"""Alerts posted to an address as JSON, one request each, in order; any answer but 2xx counts as not delivered.

The header `Idempotency-Key` is the id of the event with its revision: whoever receives it twice can know.
"""

import json
import urllib.request
from urllib.error import HTTPError, URLError

from forecast.errors import ForecastError, InputError
from forecast.watch.secrets import secret
from forecast.watch.sinks.sink import Sink


class Webhook(Sink):
    """An HTTP or HTTPS address."""

    def __init__(
        self,
        url: str,
        token_variable: str | None = None,  # name of the variable of the environment that holds a bearer token
        timeout: float = 10.0,  # seconds
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise InputError(f"sinks: url={url!r} is no http:// or https:// address")
        self.url, self.token, self.timeout = url, secret(token_variable), timeout
        self.name = f"webhook:{url.partition('?')[0]}"

    def deliver(self, bodies: list[bytes], at: int) -> int:
        for body in bodies:
            self._post(body)
        return at

    def _post(self, body: bytes) -> None:
        alert = json.loads(body)
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"{alert['id']}-{alert['revision']}"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.url, body, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                answer.read(1024)
        except HTTPError as error:
            raise ForecastError(f"answered {error.code}") from error
        except URLError as error:
            raise ForecastError(f"cannot be reached ({error.reason})") from error
