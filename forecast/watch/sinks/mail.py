"""Alerts as e-mail, one message for all that came together."""

import json
import smtplib
from email.message import EmailMessage

from forecast.watch.secrets import secret
from forecast.watch.sinks.sink import Sink


class Mail(Sink):
    """A mailbox, by SMTP."""

    def __init__(
        self,
        to: str,
        sender: str = "forecast@localhost",
        host: str = "127.0.0.1",
        port: int = 25,
        user: str | None = None,
        password_variable: str | None = None,  # name of the variable of the environment that holds the password
        tls: bool = False,  # STARTTLS
    ) -> None:
        self.to, self.sender, self.host, self.port, self.tls = to, sender, host, port, tls
        self.login = None if user is None else (user, secret(password_variable) or "")
        self.name = f"mail:{to}"

    def deliver(self, bodies: list[bytes], at: int) -> int:
        alerts = [json.loads(body) for body in bodies]
        message = EmailMessage()
        message["From"], message["To"] = self.sender, self.to
        first = "".join(c for c in alerts[0]["text"] if c.isprintable())
        message["Subject"] = first if len(alerts) == 1 else f"{len(alerts)} alerts: {first}"
        message["Message-ID"] = f"<{alerts[0]['id']}-{alerts[0]['revision']}-{len(alerts)}@forecast>"
        message.set_content("\n".join(f"{alert['state']:7} {alert['text']}  [{alert['id']}]" for alert in alerts))
        with smtplib.SMTP(self.host, self.port, timeout=10.0) as server:
            if self.tls:
                server.starttls()
            if self.login:
                server.login(*self.login)
            server.send_message(message)
        return at
