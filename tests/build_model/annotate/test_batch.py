"""Requests to files, responses from them, in whatever state they come back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from logagent.errors import ConfigError
from logagent_build.annotate import batch
from logagent_build.annotate.batch import BatchFiles
from logagent_build.annotate.errors import AnnotatorError, WaitForResponses
from logagent_build.annotate.fence import read_block
from logagent_build.annotate.labelling import label
from logagent_build.annotate.prompt_files import load
from logagent_build.annotate.protocol import Failure, Message, Outcome, Prompt, Reply
from logagent_build.annotate.recorded import Recorded, Store

from .server import Model

PROMPTS = [Prompt((Message("user", str(n)),), 0.0, 9, {"type": "object"}) for n in range(6)]


def response(key: str, text: str, **more: Any) -> str:
    body = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "model": "m-1"}
    wrapped = {"status_code": 200, "request_id": "r", "body": body}
    return json.dumps({"id": "b", "custom_id": key, "response": wrapped, "error": None} | more)


def ask(
    tmp_path: Path, lines: list[str], prompts: list[Prompt] = PROMPTS
) -> tuple[BatchFiles, list[Outcome]]:
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n")
    files = BatchFiles("m", tmp_path / "out.jsonl", [tmp_path / "in.jsonl"])
    return files, files.ask(prompts)


def test_requests_are_written_in_the_batch_format(tmp_path: Path) -> None:
    with pytest.raises(WaitForResponses) as caught:
        BatchFiles("m", tmp_path / "out.jsonl").ask(PROMPTS)
    rows = [json.loads(row) for row in (tmp_path / "out.jsonl").read_text().splitlines()]

    assert [prompt.key("m") for prompt in PROMPTS] == [row["custom_id"] for row in rows]
    assert {("POST", "/v1/chat/completions")} == {(row["method"], row["url"]) for row in rows}
    assert {"custom_id", "method", "url", "body"} == rows[0].keys()
    assert [{"role": "user", "content": "0"}] == rows[0]["body"]["messages"]
    assert ("m", 9, 0.0) == tuple(
        rows[0]["body"][k] for k in ("model", "max_tokens", "temperature")
    )
    assert {"type": "object"} == rows[0]["body"]["response_format"]["json_schema"]["schema"]
    assert f"6 requests written to {tmp_path / 'out.jsonl'}; " in str(caught.value)
    assert "--responses FILE" in str(caught.value)
    assert 75 == caught.value.exit_code


def test_responses_may_come_in_any_order_and_twice(tmp_path: Path) -> None:
    lines = [response(prompt.key("m"), prompt.messages[0].text) for prompt in PROMPTS]
    files, outcomes = ask(tmp_path, [*lines[::-1], "", response(PROMPTS[0].key("m"), "other")])

    assert [*"012345"] == [each.text for each in outcomes if isinstance(each, Reply)]
    assert {"used": 6, "duplicates": 1} == files.counts


def test_what_is_missing_broken_or_failed_in_passing_is_written_again(tmp_path: Path) -> None:
    keys = [prompt.key("m") for prompt in PROMPTS]
    lines = [
        response(keys[1], "fine"),
        response(keys[2], "", response=None, error={"code": "batch_expired", "message": "late"}),
        response(keys[3], "", response={"status_code": 500, "body": {}}),
        response(keys[4], "", response={"status_code": 200, "body": {"choices": []}}),
        response(keys[5], "fine")[:-30],
        "7",
        "null",
        "[" * 200_000,
        '{"id": "no custom id"}',
        response("unknown", "whatever"),
    ]
    with pytest.raises(WaitForResponses) as caught:
        ask(tmp_path, lines)
    rows = [json.loads(row) for row in (tmp_path / "out.jsonl").read_text().splitlines()]

    assert [keys[n] for n in (0, 2, 3, 4, 5)] == [row["custom_id"] for row in rows]
    assert 5 == caught.value.requests


def test_a_later_response_takes_the_place_of_a_broken_one(tmp_path: Path) -> None:
    key = PROMPTS[0].key("m")
    broken = response(key, "", response={"status_code": 200, "body": {"choices": []}})

    assert ["fine"] == [
        each.text
        for each in ask(tmp_path, [broken, response(key, "fine")], PROMPTS[:1])[1]
        if isinstance(each, Reply)
    ]


def test_what_was_refused_is_a_failure(tmp_path: Path) -> None:
    refusal = {"status_code": 400, "body": {"error": {"message": "content policy"}}}
    _, (outcome,) = ask(
        tmp_path, [response(PROMPTS[0].key("m"), "", response=refusal)], PROMPTS[:1]
    )

    assert isinstance(outcome, Failure)
    assert not outcome.retryable
    assert "content policy" in outcome.reason


def test_only_refusals_are_told_rather_than_asked_again_in_halves(tmp_path: Path) -> None:
    refusal = {"status_code": 400, "body": {"error": {"message": "no such parameter"}}}
    many = [Prompt((Message("user", f"x {n}"),), 0.0, 9) for n in range(30)]
    with pytest.raises(AnnotatorError, match="no such parameter"):
        ask(tmp_path, [response(each.key("m"), "", response=refusal) for each in many], many)


def test_a_response_without_the_envelope_is_read(tmp_path: Path) -> None:
    body = {"choices": [{"message": {"content": "bare"}, "finish_reason": "stop"}]}
    _, (outcome,) = ask(tmp_path, [response(PROMPTS[0].key("m"), "", response=body)], PROMPTS[:1])

    assert isinstance(outcome, Reply)
    assert "bare" == outcome.text


def test_large_batches_are_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "FILE_REQUESTS", 4)
    with pytest.raises(WaitForResponses, match=r"out\.jsonl, .*out-2\.jsonl"):
        BatchFiles("m", tmp_path / "out.jsonl").ask(PROMPTS)

    assert 4 == len((tmp_path / "out.jsonl").read_text().splitlines())
    assert 2 == len((tmp_path / "out-2.jsonl").read_text().splitlines())


def test_a_labelling_goes_on_from_responses_given_once(tmp_path: Path) -> None:
    """Each exchange leaves some open; what came once is in the store."""
    lines = [f"unit {n} {'fails' if n % 3 else 'works'}" for n in range(60)]
    responses: list[Path] = []
    written: list[str] = []
    for exchange in range(10):
        with Store(tmp_path / "s") as store:
            files = BatchFiles("m", tmp_path / "out.jsonl", responses)
            try:
                labels = label(lines, Recorded(store, files), load("loggpt"))
                break
            except WaitForResponses as wait:
                rows = [json.loads(row) for row in wait.paths[0].read_text().splitlines()]
        written += [row["custom_id"] for row in rows]
        answered = [
            response(
                row["custom_id"],
                Model().text(read_block(row["body"]["messages"][-1]["content"]), {}),
            )
            for number, row in enumerate(rows)
            if exchange > 2 or number % 2
        ]
        responses = [tmp_path / f"in-{exchange}.jsonl"]
        responses[0].write_text("\n".join(answered))

    assert [bool(n % 3) for n in range(60)] == [each.anomalous for each in labels]
    assert len(written) > len(set(written)) > 15


def test_a_file_that_is_no_responses_is_refused_and_odd_lines_are_told(tmp_path: Path) -> None:
    given = tmp_path / "in.jsonl"
    given.write_text("a line of a log\nand another\n")
    with pytest.raises(ConfigError, match="none of its 2 lines is a response"):
        BatchFiles("m", tmp_path / "out.jsonl", [given])
    given.write_text(
        'no response\n{"custom_id": "k", "response": {"status_code": 500, "body": {}}}\n'
    )
    files = BatchFiles("m", tmp_path / "out.jsonl", [given])
    assert "1 are no responses, 1 failed, and are asked again" in files.doubtful()
    assert "" == BatchFiles("m", tmp_path / "out.jsonl").doubtful()
