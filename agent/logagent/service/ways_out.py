"""From a configuration to the sinks that few want; imported only where one of them is.

Guarantees: each costs memory only where it is wanted; nothing is connected to yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from logagent.config import Config
from logagent.inputs import Report
from logagent.sinks import Alert, Sink, SinkError
from logagent.sinks.jsonl import JsonlSink
from logagent.sinks.secret_files import told_to_others

__all__ = ["more_sinks"]

_ASIDE_BYTES = 1024 * 1024  # of refused alerts; as much again is kept of older ones


def more_sinks(config: Config, hostname: str, report: Report) -> Iterator[Sink]:
    """Yield the sinks of the journal, the web, MQTT and mail, as far as they are wanted.

    Args:
        config: in force.
        hostname: of this machine.
        report: hears of secrets that others may read, and of alerts that were refused.
    """
    for key, path in config.secret_files().items():
        if told_to_others(path):
            report("secret-readable", f"{path}: holds a secret, and others may read it ({key})")
    webhook, mqtt, mail = config.webhook, config.mqtt, config.mail
    if config.sinks.journal:
        from logagent.sinks.journal import JournalSink  # noqa: PLC0415

        yield JournalSink()
    if webhook.url or webhook.url_file:
        from logagent.sinks.webhook import WebhookSink  # noqa: PLC0415

        yield WebhookSink(
            webhook.url,
            webhook.format,
            url_file=webhook.url_file,
            template=webhook.template,
            token_file=webhook.token_file,
            ca_file=webhook.ca_file,
            timeout_seconds=webhook.timeout_seconds,
            aside=_aside(config.state.folder() / "rejected" / "webhook.jsonl"),
            report=report,
        )
    if mqtt.address:
        from logagent.sinks.mqtt import MqttSink  # noqa: PLC0415

        yield MqttSink(
            mqtt.address,
            hostname,
            prefix=mqtt.topic_prefix,
            client_id=mqtt.client_id,
            username=mqtt.username,
            password_file=mqtt.password_file,
            ca_file=mqtt.ca_file,
            keepalive_seconds=mqtt.keepalive_seconds,
            home_assistant=mqtt.home_assistant,
            discovery_prefix=mqtt.discovery_prefix,
        )
    if mail.to:
        from logagent.sinks.mail import MailSink  # noqa: PLC0415

        yield MailSink(
            mail.to,
            hostname,
            sender=mail.sender,
            command=mail.command,
            batch_seconds=mail.batch_seconds,
            most_alerts=mail.batch_alerts,
        )


def _aside(file: Path) -> Callable[[Alert], None]:
    """Return what keeps an alert that its receiver refused."""

    def keep(alert: Alert) -> None:
        try:
            file.parent.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise SinkError(f"{file.parent}: {error.strerror}") from error
        sink = JsonlSink(str(file), _ASIDE_BYTES, 1)
        try:
            sink.write(alert)
            sink.sync()
        finally:
            sink.close()

    return keep
