"""What makes Home Assistant show the agent by itself: discovery messages of its MQTT integration.

Two entities of one device: an event for every alert, with the alert's fields as attributes, and a
binary sensor that is on for `_ON_SECONDS` after an alert.
"""

from __future__ import annotations

import json
from typing import Any

from logagent import __version__

__all__ = ["discovery", "node_id"]

_ON_SECONDS = 600
"""[s] Long enough for whoever looks now and then, short enough to tell a new alert."""


def node_id(host: str) -> str:
    """Return `host` in the characters that an id there and a level of a topic may have."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in host)
    return name[:64] or "localhost"


def discovery(
    prefix: str, host: str, alert_topic: str, status_topic: str
) -> list[tuple[str, bytes]]:
    """Return (topic, payload) of the messages, to be retained.

    Args:
        prefix: what Home Assistant listens to, by default ``homeassistant``.
        host: the machine's name.
        alert_topic: where alerts are published, as JSON.
        status_topic: where ``online`` and ``offline`` are.
    """
    node = f"logagent_{node_id(host)}"
    common: dict[str, Any] = {
        "availability_topic": status_topic,
        "state_topic": alert_topic,
        "qos": 1,
        "device": {
            "identifiers": [node],
            "name": f"logagent on {host}",
            "model": "logagent",
            "sw_version": __version__,
        },
        "origin": {"name": "logagent", "sw_version": __version__},
    }
    event = common | {
        "name": "Alert",
        "unique_id": f"{node}_alert",
        "icon": "mdi:text-box-search",
        "event_types": ["anomaly"],
        "value_template": '{{ dict(value_json, event_type="anomaly") | to_json }}',
    }
    sensor = common | {
        "name": "Log anomaly",
        "unique_id": f"{node}_anomaly",
        "device_class": "problem",
        "value_template": "ON",
        "off_delay": _ON_SECONDS,
        "json_attributes_topic": alert_topic,
    }
    return [
        (f"{prefix}/event/{node}/alert/config", _dumps(event)),
        (f"{prefix}/binary_sensor/{node}/anomaly/config", _dumps(sensor)),
    ]


def _dumps(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
