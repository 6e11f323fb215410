import json
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from logagent.bundle import FORMAT, Bundle, Manifest, write_bundle
from logagent.errors import BundleError

MANIFEST = Manifest(
    name="tiny",
    normaliser=1,
    embedding={"dim": 2},
    thresholds={"low": 0.9, "normal": 0.7, "high": 0.5},
    domains=["a", "b"],
    categories=["storage", "memory"],
    systems=["nas", "router", "phone"],
    record={"seed": 1},
)
PARTS = {"tokenizer": b"{}", "table": bytes(range(8)), "weights": b"w" * 10, "onnx": b""}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "tiny.bundle"
    write_bundle(target, MANIFEST, PARTS)
    return target


def header_and_rest(path: Path) -> tuple[dict[str, Any], bytes]:
    unpacker = msgpack.Unpacker()
    data = path.read_bytes()
    unpacker.feed(data)
    return unpacker.unpack(), data[unpacker.tell() :]


def refused(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        Bundle.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_what_was_written_is_read(path: Path) -> None:
    bundle = Bundle.load(path)

    assert MANIFEST == bundle.manifest
    assert PARTS == {name: bytes(bundle.part(name)) for name in PARTS}


def test_the_same_model_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    write_bundle(tmp_path / "again", MANIFEST, dict(reversed(PARTS.items())))

    assert path.read_bytes() == (tmp_path / "again").read_bytes()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_one_changed_byte_anywhere_is_found(path: Path, data: st.DataObject) -> None:
    good = path.read_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    flip = data.draw(st.integers(1, 255))
    bad = path.with_name("bad.bundle")
    bad.write_bytes(good[:at] + bytes([good[at] ^ flip]) + good[at + 1 :])

    try:
        bundle = Bundle.load(bad)
    except BundleError:
        return
    # Only the minor version may change without notice: newer minors are compatible by contract.
    assert MANIFEST == bundle.manifest
    assert PARTS == {name: bytes(bundle.part(name)) for name in PARTS}


@pytest.mark.parametrize("keep", [0, 1, 20, 100, -1])
def test_a_truncated_bundle_is_refused(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])

    assert refused(path)


def test_bytes_after_the_end_are_refused(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")

    assert "after its end" in refused(path)


@pytest.mark.parametrize(
    "junk",
    [b"PK\x03\x04 not a bundle", b"\x80\x04\x95pickle", bytes(5000), b"\xdd\xff\xff\xff\xff"],
)
def test_other_files_are_refused(path: Path, junk: bytes) -> None:
    path.write_bytes(junk)

    assert refused(path)


@pytest.mark.parametrize("major", [FORMAT[0] - 1, FORMAT[0] + 1])
def test_another_format_is_refused_with_what_to_do(path: Path, major: int) -> None:
    header, rest = header_and_rest(path)
    header["format"] = [major, 0]
    path.write_bytes(msgpack.packb(header) + rest)

    message = refused(path)
    assert f"format {major}.0" in message
    assert f"reads format {FORMAT[0]};" in message
    assert "install a matching logagent" in message


def test_a_newer_minor_format_with_a_part_more_is_read(path: Path) -> None:
    write_bundle(path, MANIFEST, PARTS | {"zoo": b"new"})
    header, rest = header_and_rest(path)
    header["format"] = [FORMAT[0], 9]
    path.write_bytes(msgpack.packb(header) + rest)

    assert b"new" == bytes(Bundle.load(path).part("zoo"))


def test_an_oversized_part_is_refused_before_memory_is_taken(path: Path) -> None:
    header, rest = header_and_rest(path)
    header["parts"][0][1] = 1 << 40
    path.write_bytes(msgpack.packb(header) + rest)

    assert "oversized" in refused(path)


def test_a_missing_bundle_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "none")
    assert "cannot be read" in refused(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"thresholds": {}},
        {"thresholds": {"normal": 7}},
        {"normaliser": "1"},
        {"domains": None},
        {"domains": [1]},
        {"categories": "storage"},
        {"categories": [None]},
        {"systems": {"nas": 1}},
        {"systems": [1, 2]},
    ],
)
def test_an_unusable_manifest_is_refused(path: Path, change: dict[str, object]) -> None:
    raw = json.loads(bytes(Bundle.load(path).part("manifest"))) | change
    with pytest.raises(ValueError, match="manifest"):
        Manifest.from_json(json.dumps(raw).encode())


def test_a_manifest_without_names_of_kinds_is_one_that_explains_nothing(path: Path) -> None:
    raw = json.loads(bytes(Bundle.load(path).part("manifest")))
    del raw["categories"], raw["systems"]
    manifest = Manifest.from_json(json.dumps(raw).encode())

    assert ([], []) == (manifest.categories, manifest.systems)
    assert MANIFEST.domains == manifest.domains


def test_a_failed_write_leaves_the_old_bundle(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(ValueError, match="table"):
        write_bundle(path, MANIFEST, {name: PARTS[name] for name in ("tokenizer", "weights")})

    assert before == path.read_bytes()
    assert [path] == list(path.parent.iterdir())
