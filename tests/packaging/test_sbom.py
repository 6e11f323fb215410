"""The bill of materials lists the wheel, the model in it and what pip takes, and repeats itself."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import sbom

METADATA = """Metadata-Version: 2.4
Name: logagent
Version: 1.2.3
Summary: Finds.
License-Expression: Apache-2.0

Words: of the README
"""
REPORT: dict[str, Any] = {
    "install": [
        {
            "download_info": {"url": "file:///somewhere/logagent.whl"},
            "metadata": {"name": "logagent", "version": "1.2.3", "requires_dist": ["numpy>=1"]},
        },
        {
            "download_info": {
                "url": "https://index.example/numpy.whl",
                "archive_info": {"hashes": {"sha256": "ab" * 32}},
            },
            "metadata": {
                "name": "NumPy",
                "version": "9.0",
                "classifier": ["License :: OSI Approved :: BSD License"],
                "requires_dist": ["not_installed; extra == 'test'"],
            },
        },
    ]
}


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    made = tmp_path / "logagent-1.2.3-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("logagent-1.2.3.dist-info/METADATA", METADATA)
        archive.writestr("logagent/data/default.bundle", b"weights")
    return made


def test_the_wheel_is_named_with_its_hash_and_its_model(wheel: Path) -> None:
    main = sbom.bill(wheel, None, 0)["metadata"]["component"]

    assert ("logagent", "1.2.3") == (main["name"], main["version"])
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == main["hashes"][0]["content"]
    assert [{"expression": "Apache-2.0"}] == main["licenses"]
    (model,) = main["components"]
    assert hashlib.sha256(b"weights").hexdigest() == model["hashes"][0]["content"]


def test_what_pip_takes_is_listed_with_hash_licence_and_who_needs_it(wheel: Path) -> None:
    made = sbom.bill(wheel, REPORT, 0)

    (numpy,) = made["components"]
    assert "pkg:pypi/numpy@9.0" == numpy["purl"]
    assert "ab" * 32 == numpy["hashes"][0]["content"]
    assert [{"license": {"name": "BSD License"}}] == numpy["licenses"]
    assert [
        {"ref": "pkg:pypi/logagent@1.2.3", "dependsOn": ["pkg:pypi/numpy@9.0"]},
        {"ref": "pkg:pypi/numpy@9.0", "dependsOn": []},
    ] == made["dependencies"]


def test_no_address_of_an_index_is_told(wheel: Path) -> None:
    told = json.dumps(sbom.bill(wheel, REPORT, 0))

    assert "index.example" not in told
    assert "somewhere" not in told


def test_the_same_input_gives_the_same_bill(wheel: Path) -> None:
    one, other = (sbom.bill(wheel, REPORT, 86400) for _ in range(2))

    assert one == other
    assert "1970-01-02T00:00:00Z" == one["metadata"]["timestamp"]
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    assert one["serialNumber"] != sbom.bill(wheel, REPORT, 86400)["serialNumber"]
