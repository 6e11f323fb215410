"""What is in a wheel and what it needs, as a bill of materials: CycloneDX 1.6, JSON.

    python3 packaging/sbom.py WHEEL [PIP_REPORT] > logagent.cdx.json

PIP_REPORT is what `pip install --dry-run --ignore-installed --report FILE WHEEL` wrote: the
packages that pip would install with the wheel, with the hashes of their files. Without it only the
wheel and the model in it are listed.

Guarantees: the same input gives the same bytes. The time is SOURCE_DATE_EPOCH's, the serial number
comes from the wheel's hash, and no address of an index is written.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import uuid
import zipfile
from datetime import UTC, datetime
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

__all__ = ["bill"]

Json = dict[str, Any]


def bill(wheel: Path, report: Json | None, seconds: int) -> Json:
    """Return the bill of a wheel.

    Args:
        wheel: the file.
        report: pip's installation report, or none.
        seconds: time of the bill, since 1970.
    """
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        about = next(name for name in names if name.endswith(".dist-info/METADATA"))
        main = _component(_metadata(archive.read(about).decode("utf-8")), digest)
        models = [
            _model(name, archive.read(name)) for name in sorted(names) if name.endswith(".bundle")
        ]
    main["type"] = "application"
    needed = sorted(
        (_needed(one) for one in (report or {}).get("install", [])
         if _plain(one["metadata"]["name"]) != main["name"]),
        key=lambda one: str(one["bom-ref"]),
    )  # fmt: skip
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": main | {"components": models},
        },
        "components": needed,
        "dependencies": _dependencies(main, needed, report),
    }


def _metadata(text: str) -> Json:
    headers = HeaderParser().parsestr(text)
    return {
        "name": headers["Name"],
        "version": headers["Version"],
        "summary": headers["Summary"],
        "license_expression": headers["License-Expression"],
        "license": headers["License"],
        "classifier": headers.get_all("Classifier") or [],
    }


def _component(metadata: Json, digest: str | None) -> Json:
    name, version = _plain(metadata["name"]), metadata["version"]
    address = f"pkg:pypi/{name}@{version}"
    made: Json = {"type": "library", "bom-ref": address, "name": name, "version": version}
    if metadata.get("summary"):
        made["description"] = metadata["summary"]
    if digest:
        made["hashes"] = [{"alg": "SHA-256", "content": digest}]
    return made | _licenses(metadata) | {"purl": address}


def _licenses(metadata: Json) -> Json:
    """Return what a package says of its licence: an SPDX expression, or words."""
    expression = metadata.get("license_expression")
    if expression:
        return {"licenses": [{"expression": expression}]}
    words = (metadata.get("license") or "").strip()
    if 0 < len(words) <= 100 and "\n" not in words:
        return {"licenses": [{"license": {"name": words}}]}
    told = [one for one in metadata.get("classifier") or [] if one.startswith("License ::")]
    return (
        {"licenses": [{"license": {"name": one.split(" :: ")[-1]}} for one in told]} if told else {}
    )


def _model(name: str, data: bytes) -> Json:
    digest = hashlib.sha256(data).hexdigest()
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{digest}",
        "name": name,
        "hashes": [{"alg": "SHA-256", "content": digest}],
        "licenses": [{"expression": "Apache-2.0"}],
    }


def _needed(install: Json) -> Json:
    hashes = install.get("download_info", {}).get("archive_info", {}).get("hashes", {})
    return _component(install["metadata"], hashes.get("sha256"))


def _dependencies(main: Json, needed: list[Json], report: Json | None) -> list[Json]:
    """Return who needs whom, among the packages that are listed."""
    refs = {str(one["name"]): str(one["bom-ref"]) for one in [main, *needed]}
    found = []
    for install in (report or {}).get("install", []):
        metadata = install["metadata"]
        wanted = {
            _plain(match[0])
            for text in metadata.get("requires_dist") or []
            if (match := re.match(r"[A-Za-z0-9._-]+", text)) and "extra ==" not in text
        }
        found.append({
            "ref": refs[_plain(metadata["name"])],
            "dependsOn": sorted(refs[name] for name in wanted if name in refs),
        })  # fmt: skip
    return sorted(found, key=lambda one: str(one["ref"]))


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> int:
    """Print the bill."""
    wheel = Path(sys.argv[1])
    report = json.loads(Path(sys.argv[2]).read_text("utf-8")) if len(sys.argv) > 2 else None
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    print(json.dumps(bill(wheel, report, seconds), indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
