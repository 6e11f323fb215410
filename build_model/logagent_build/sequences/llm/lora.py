"""Fine-tuning on this machine: low-rank adapters on a causal language model (FlexLog §2.3, Eq. 3).

The frozen model gets small matrices beside its linear layers (peft); the loss is the
cross-entropy of the label's tokens alone. Rank, alpha and batch are the paper's (§4.3.2: 16, 16,
1); it trains on weights of 4 bits (QLoRA), which needs a GPU of one make: here they are as they
are stored on a GPU, and float32 on a CPU. `LocalModel` answers prompts as any annotator, by
comparing the logits of the two labels.

Guarantees: nothing is fetched from a network, no code of a model's folder is run; an example
longer than the model or the options allow is refused before training, never cut; the same seed
trains the same on a CPU. torch, transformers and peft are imported when it is used.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from logagent import files
from logagent.errors import ConfigError

from logagent_build.annotate.outputs import writable
from logagent_build.annotate.protocol import Arrived, Outcome, Prompt, Reply
from logagent_build.sequences.llm.finetune import Conversation, checked, conversations
from logagent_build.sequences.llm.prompt import WORDS

__all__ = ["LocalModel", "Settings", "fit"]

RECORD = "finetune.json"
_HEAD_BYTES = 1 << 20  # [bytes] of each file of weights; all of them would take a minute
_LONGEST_NORM = 1.0  # of a step's gradient, as is customary for adapters


@dataclass(frozen=True, slots=True)
class Settings:
    """How an adapter is trained."""

    steps: int = 1000
    """Of the optimiser; the paper tunes 500 to 2,500."""
    rank: int = 16
    alpha: int = 16
    batch: int = 1
    """Examples of a step."""
    learning_rate: float = 2e-4
    """Of AdamW, falling linearly to 0; the paper names none."""
    longest_tokens: int = 4096
    """[tokens] of an example: what memory suffices for."""
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.rank, self.alpha, self.batch, self.longest_tokens) < 1:
            raise ConfigError("steps, rank, alpha, batch and longest tokens: at least 1")


def fit(
    data: Path,
    model: Path,
    out: Path,
    settings: Settings | None = None,
    shown: Callable[[int, float], None] = lambda _step, _loss: None,
) -> dict[str, Any]:
    """Train an adapter on a file of examples.

    Args:
        data: see `finetune`.
        model: folder of a causal language model with its tokenizer, in transformers' format.
        out: folder to write the adapter and its record to.
        settings: see there.
        shown: told steps done, and the loss of the last.

    Returns:
        The record, which is written beside the adapter: mean loss of the first and of the last
        tenth of the steps among it.

    Raises:
        ConfigError: the examples or the model cannot be used, or `out` is the model's own folder.
        OSError: the adapter cannot be written; told before training where it can be.
    """
    import torch  # noqa: PLC0415  # heavy
    from peft import LoraConfig, get_peft_model  # noqa: PLC0415  # heavy, optional

    settings = settings or Settings()
    began = time.time()
    if out.resolve() == model.resolve():
        raise ConfigError(f"{out} holds the model; give the adapter a folder of its own")
    writable(out / RECORD)
    found = checked(data)
    base, tokenizer = _loaded(model)
    texts = _Texts(tokenizer)
    limit = min(settings.longest_tokens, _positions(base))
    examples = [texts.example(one) for one in conversations(data)]
    longest = max(len(prompt) + len(answer) for prompt, answer in examples)
    if longest > limit:
        raise ConfigError(
            f"{data}: an example has {longest:,} tokens, at most {limit:,} are taken; write it "
            "with a lower --longest, or fewer --most-meanings"
        )
    torch.manual_seed(settings.seed)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft's own, about names in transformers
        adapted = get_peft_model(base, config)
    losses = _train(adapted, examples, settings, shown)
    adapted.save_pretrained(str(out))
    tenth = max(1, len(losses) // 10)
    record = {
        "model": model.name,
        "data": {"sha256": hashlib.sha256(data.read_bytes()).hexdigest()} | asdict(found),
        "settings": asdict(settings),
        "trained": adapted.get_nb_trainable_parameters()[0],
        "parameters": adapted.get_nb_trainable_parameters()[1],
        "longest_tokens": longest,
        "loss_first": sum(losses[:tenth]) / tenth,
        "loss_last": sum(losses[-tenth:]) / tenth,
        "seconds": round(time.time() - began, 1),
    }
    files.replace(out / RECORD, (json.dumps(record, indent=1) + "\n").encode())
    return record


def _train(
    model: Any,
    examples: Sequence[tuple[list[int], list[int]]],
    settings: Settings,
    shown: Callable[[int, float], None],
) -> list[float]:
    """Train in place; return the loss of each step."""
    import torch  # noqa: PLC0415  # heavy
    from torch.nn import functional  # noqa: PLC0415  # heavy

    trained = [each for each in model.parameters() if each.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, settings.steps)
    source = random.Random(settings.seed)  # noqa: S311  # no secret
    order: list[int] = []
    losses: list[float] = []
    model.train()
    for step in range(settings.steps):
        total = 0.0
        for _ in range(settings.batch):
            if not order:
                order = list(range(len(examples)))
                source.shuffle(order)
            prompt, answer = examples[order.pop()]
            ids = torch.tensor([prompt + answer], device=model.device)  # (1, T)
            wanted = ids[0, len(prompt) :]  # (A,)
            logits = model(input_ids=ids).logits[0, len(prompt) - 1 : -1]  # (A, V)
            loss = functional.cross_entropy(logits.float(), wanted) / settings.batch
            loss.backward()  # type: ignore[no-untyped-call]  # torch's
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(trained, _LONGEST_NORM)
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
        losses.append(total)
        shown(step + 1, total)
    return losses


class LocalModel:
    """An `Annotator`: a model on this machine, with an adapter if there is one.

    It says the label whose first own token has the higher logit after the prompt; so every reply
    is one of the two, whatever the temperature.
    """

    def __init__(self, model: Path, adapter: Path | None = None) -> None:
        """Load it.

        Raises:
            ConfigError: a folder holds no such thing.
        """
        base, self._tokenizer = _loaded(model)
        self._name = f"local {model.name} {_digest(model)}"
        if adapter is not None:
            base, digest = _adapted(base, adapter)
            self._name += f" with adapter {digest[:16]}"
        base.eval()
        self._model = base
        texts = _Texts(self._tokenizer)
        self._texts = texts
        normal, anomalous = (texts.answer(word) for word in WORDS)
        same = 0
        while same < min(len(normal), len(anomalous)) and normal[same] == anomalous[same]:
            same += 1
        if same == min(len(normal), len(anomalous)):
            raise ConfigError(f"{model}: its tokenizer does not tell the labels apart")
        self._shared = normal[:same]
        self._tokens = (normal[same], anomalous[same])

    @property
    def model(self) -> str:
        """Name in keys of prompts: the model's folder, and a hash of the adapter."""
        return self._name

    def ask(self, prompts: Sequence[Prompt], arrived: Arrived | None = None) -> list[Outcome]:
        """See `Annotator.ask`."""
        import torch  # noqa: PLC0415  # heavy

        outcomes: list[Outcome] = []
        for index, prompt in enumerate(prompts):
            began = time.monotonic()
            messages = [(each.role, each.text) for each in prompt.messages]
            ids = self._texts.prompt(messages)
            if len(ids) + len(self._shared) >= _positions(self._model):
                raise ConfigError(
                    f"a prompt has {len(ids):,} tokens, more than the model takes; "
                    "show fewer events (--longest)"
                )
            with torch.inference_mode():
                given = torch.tensor([ids + self._shared], device=self._model.device)
                logits = self._model(input_ids=given).logits[0, -1]  # (V,)
            normal, anomalous = self._tokens
            said = WORDS[bool(logits[anomalous] > logits[normal])]
            seconds = time.monotonic() - began
            outcome = Reply(said, self._name, len(ids), 1, "stop", seconds)
            outcomes.append(outcome)
            if arrived is not None:
                arrived(index, outcome)
        return outcomes


class _Texts:
    """Conversations as tokens, with the model's chat template if it has one."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._chat = bool(tokenizer.chat_template)

    def example(self, one: Conversation) -> tuple[list[int], list[int]]:
        end = self._tokenizer.eos_token_id
        return self.prompt(one.messages), self.answer(one.label) + ([] if end is None else [end])

    def prompt(self, messages: Sequence[tuple[str, str]]) -> list[int]:
        if not self._chat:
            return list(self._tokenizer("\n\n".join(text for _, text in messages))["input_ids"])
        made = [{"role": role, "content": text} for role, text in messages]
        text = self._tokenizer.apply_chat_template(made, add_generation_prompt=True, tokenize=False)
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def answer(self, word: str) -> list[int]:
        text = word if self._chat else f" {word}"
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])


def _loaded(model: Path) -> tuple[Any, Any]:
    """Return model and tokenizer."""
    import torch  # noqa: PLC0415  # heavy
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415  # heavy
    from transformers.utils import logging  # noqa: PLC0415  # heavy

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers'
    if not (model / "config.json").is_file():
        raise ConfigError(f"{model}: no folder of a model (config.json)")
    cuda = torch.cuda.is_available()
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(model), local_files_only=True)
        base: Any = AutoModelForCausalLM.from_pretrained(
            str(model),
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.bfloat16 if cuda else torch.float32,
        )
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"{model}: cannot be loaded: {str(error).splitlines()[0]}") from None
    return base.to("cuda" if cuda else "cpu"), tokenizer


def _digest(model: Path) -> str:
    """Return what tells models in folders of one name apart: 16 hexadecimal digits."""
    parts = hashlib.sha256((model / "config.json").read_bytes())
    for path in sorted(model.glob("*.safetensors")):
        with path.open("rb") as file:
            parts.update(repr((path.name, path.stat().st_size)).encode() + file.read(_HEAD_BYTES))
    return parts.hexdigest()[:16]


def _adapted(base: Any, adapter: Path) -> tuple[Any, str]:
    """Return the model with its adapter, and the adapter's hash."""
    from peft import PeftModel  # noqa: PLC0415  # heavy, optional

    weights = adapter / "adapter_model.safetensors"
    try:
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # as above
            return PeftModel.from_pretrained(base, str(adapter)), digest
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{adapter}: no adapter of this model: {reason}") from None


def _positions(model: Any) -> int:
    return int(getattr(model.config, "max_position_embeddings", None) or 1 << 30)
