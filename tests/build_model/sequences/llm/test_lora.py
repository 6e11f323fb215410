"""Fine-tuning, end to end, on a CPU: a tiny model with random weights, built here."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="fine-tuning needs the [finetune] extra")
pytest.importorskip("rich", reason="the command line needs the [build] extra")

from logagent.errors import ConfigError
from logagent_build import cli
from logagent_build.annotate.prompt_files import load
from logagent_build.annotate.protocol import Reply
from logagent_build.sequences.data import Sequences
from logagent_build.sequences.llm import finetune, lora
from logagent_build.sequences.llm.voter import LLMVoter, Options
from typer.testing import CliRunner

from .sequences_of import Fake, reply, sequences

NEEDED = ("torch", "transformers", "tokenizers", "peft")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(MISSING), reason=f"fine-tuning needs {', '.join(MISSING)}: the [finetune] extra"
    ),
]
SHORT = """
name = "short"
version = 1
purpose = "sequence"
source = "this test: few tokens"
temperature = 0.0
answer = "word"
thoughts = []
marker = ""
tokens_per_line = 0
tokens_fixed = 8
few_shot = "none"
reasons = false
system = "Judge."
user = "{information}{sequence} label:"
"""
NORMAL = ["open", "read", "close"]


def data() -> Sequences:
    """Attacks begin with execve; all else is the same."""
    rows = []
    for at in range(40):
        rest = f"{NORMAL[at % 3]} {NORMAL[at // 3 % 3]} {NORMAL[at // 9 % 3]}"
        rows.append(f"{'x!execve' if at % 2 else 'stat'} {rest}")
    return sequences(*rows)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make prompt, examples, and a model of 80,000 random weights with its tokenizer."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("lora")
    (folder / "short.toml").write_text(SHORT)
    finetune.write(folder / "data.jsonl", data(), voter(folder).maker())
    told = finetune.conversations(folder / "data.jsonl")
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(
        [text for one in told for _, text in one.messages] + [" normal anomalous"] * 9, trainer
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=bpe.get_vocab_size(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
        initializer_range=0.5,  # or the frozen output layer could say nothing loud
        bos_token_id=None,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder / "model")
    fast = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="</s>")  # type: ignore[no-untyped-call]  # theirs
    fast.save_pretrained(folder / "model")
    return folder


def voter(folder: Path, model: lora.LocalModel | None = None) -> LLMVoter:
    file = load(str(folder / "short.toml"), "sequence")
    asked = model or Fake(lambda _prompt: reply("0"))
    return LLMVoter(asked, Options(shots=0, meanings=0), file=file)


def test_an_adapter_is_trained_saved_loaded_and_tells_the_labels_apart(made: Path) -> None:
    settings = lora.Settings(steps=160, learning_rate=1e-2)
    losses: list[float] = []

    record = lora.fit(
        made / "data.jsonl",
        made / "model",
        made / "adapter",
        settings,
        lambda _n, x: losses.append(x),
    )

    assert 160 == len(losses)
    assert record["loss_last"] < record["loss_first"] / 4
    assert record["trained"] < record["parameters"] / 3
    assert record == json.loads((made / "adapter" / lora.RECORD).read_text())
    tuned = lora.LocalModel(made / "model", made / "adapter")
    truth = data().anomalous
    right = (voter(made, tuned).predict(data()) == truth).mean()
    before = (voter(made, lora.LocalModel(made / "model")).predict(data()) == truth).mean()
    assert right > 0.8
    assert right > before + 0.15
    assert "with adapter" in tuned.model != lora.LocalModel(made / "model").model


def test_the_commands_write_train_and_vote(made: Path, tmp_path: Path) -> None:
    rows = data()
    path = tmp_path / "s.jsonl"
    lines = []
    for events, label in zip(rows.events, rows.anomalous, strict=True):
        names = [rows.vocabulary[at] for at in events]
        lines.append(json.dumps({"events": names, "label": int(label)}) + "\n")
    path.write_text("".join(lines))

    prompt = ("--prompt", str(made / "short.toml"))

    def run(*words: object) -> str:
        done = CliRunner().invoke(cli.app, [str(word) for word in words])
        assert 0 == done.exit_code, done.output
        return done.output

    run("finetune-data", path, "-o", tmp_path / "d.jsonl", *prompt, "--price", 3)
    record = json.loads((tmp_path / "d.jsonl.json").read_text())
    assert 40 == record["counts"]["written"] + record["counts"]["equal"]
    assert record["training"]["dollars"] == pytest.approx(record["training"]["tokens"] * 3e-6)
    run("finetune", tmp_path / "d.jsonl", "--model", made / "model", "-o", tmp_path / "a",
        "--steps", 3, "--rank", 2, "--alpha", 4)  # fmt: skip
    local = f"local:{made / 'model'}"
    for _ in range(2):
        run("vote", path, "--annotator", local, "--adapter", tmp_path / "a", *prompt,
            "--shots", 0, "-o", tmp_path / "v.jsonl")  # fmt: skip
    voted = json.loads((tmp_path / "v.jsonl.json").read_text())
    assert 40 == sum(voted["right"].values()) == voted["sequences"]
    assert voted["simulation"] is False
    assert 0 == voted["paid"]["requests"]  # the second time, from the store


def test_a_models_own_chat_template_is_used(made: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    shutil.copytree(made / "model", tmp_path / "chat")
    tokenizer = AutoTokenizer.from_pretrained(str(made / "model"))
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
    )
    tokenizer.save_pretrained(tmp_path / "chat")
    model = lora.LocalModel(tmp_path / "chat")
    plain = lora.LocalModel(made / "model")
    prompt = voter(made).prompts(data())[0]
    long, short = (asked.ask([prompt])[0] for asked in (model, plain))

    assert isinstance(long, Reply)
    assert isinstance(short, Reply)
    assert long.input_tokens > short.input_tokens
    assert {long.text, short.text} <= {"normal", "anomalous"}


def test_what_cannot_be_trained_on_is_refused_before(made: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder of a model"):
        lora.fit(made / "data.jsonl", tmp_path, tmp_path / "a")
    with pytest.raises(ConfigError, match="at most 20 are taken"):
        lora.fit(made / "data.jsonl", made / "model", tmp_path, lora.Settings(longest_tokens=20))
    with pytest.raises(ConfigError, match="no adapter of this model"):
        lora.LocalModel(made / "model", tmp_path)
    shutil.copytree(made / "model", tmp_path / "broken")
    (tmp_path / "broken" / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        lora.LocalModel(tmp_path / "broken")
    long = sequences(" ".join(f"e{at}" for at in range(400)))
    with pytest.raises(ConfigError, match="more than the model takes"):
        voter(made, lora.LocalModel(made / "model")).predict(long)


def test_where_an_adapter_cannot_go_is_told_before_training(made: Path, tmp_path: Path) -> None:
    def never(_step: int, _loss: float) -> None:
        pytest.fail("trained")

    (tmp_path / "file").touch()
    few = lora.Settings(steps=1)
    with pytest.raises(ConfigError, match="holds the model"):
        lora.fit(made / "data.jsonl", made / "model", made / "model", few, never)
    with pytest.raises(OSError, match="file"):
        lora.fit(made / "data.jsonl", made / "model", tmp_path / "file", few, never)
