import itertools
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from logagent.words import plain_words
from logagent_build.tokenizer import learn_merges, train_tokenizer

WORDS = st.dictionaries(st.text("abcde", min_size=1, max_size=8), st.integers(1, 9), max_size=12)


def by_counting_anew(words: Counter[str], count: int) -> list[tuple[str, str]]:
    """The definition: count all pairs, merge the most frequent, the first in order among equals."""
    spelled = {word: [word[0], *("##" + letter for letter in word[1:])] for word in words}
    merges: dict[str, tuple[str, str]] = {}
    while len(merges) < count:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, symbols in spelled.items():
            for pair in itertools.pairwise(symbols):
                pairs[pair] += words[word]
        if not pairs:
            break
        left, right = min(pairs, key=lambda pair: (-pairs[pair], pair))
        if pairs[left, right] < 2:
            break
        merged = left + right.removeprefix("##")
        merges.setdefault(merged, (left, right))
        for symbols in spelled.values():
            at = 0
            while at + 1 < len(symbols):
                if (symbols[at], symbols[at + 1]) == (left, right):
                    symbols[at : at + 2] = [merged]
                at += 1
    return list(merges.values())


@given(WORDS, st.integers(0, 12))
@settings(max_examples=200, deadline=None)
def test_merges_are_those_of_the_definition(words: dict[str, int], count: int) -> None:
    assert by_counting_anew(Counter(words), count) == learn_merges(Counter(words), count)


def test_the_same_texts_give_the_same_tokenizer() -> None:
    texts = [b"link is down", b"link is up", b"OutOfMemory: killed", b"killed again"]

    one = train_tokenizer(texts, ["is down"], 346)
    other = train_tokenizer(list(reversed(texts)), ["is down"], 346)
    assert one.to_str() == other.to_str()
    assert ["link", "is"] == one.encode("link is").tokens
    assert 0 == one.token_to_id("[UNK]")


def test_every_word_can_be_spelled() -> None:
    tokenizer = train_tokenizer([b"up"], [])

    assert ["z", "##q", "##9", "##x"] == tokenizer.encode("zq9x").tokens
    (umlaut,) = plain_words(["ü".encode()], 10)
    assert [umlaut[0], f"##{umlaut[1]}"] == tokenizer.encode(umlaut).tokens


def test_numbers_in_a_row_give_no_piece_twice() -> None:
    """``#`` begins the marks of pieces inside a word, and is a letter itself."""
    tokenizer = train_tokenizer([b"##abc ##abd ##ab ###a ####b x##a"] * 5, [])
    ids = tokenizer.get_vocab().values()

    assert sorted(ids) == list(range(len(ids)))
    assert tokenizer.get_vocab_size() > max(tokenizer.encode("##abc x###a").ids)
