import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.words import plain_words

TEMPLATES = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.text("aZ09#*. :=_-éß\n", max_size=60).map(lambda text: text.encode()),
    ),
    max_size=20,
)


def by_regular_expression(template: bytes, limit: int) -> list[str]:
    """The definition, one line at a time."""
    text = template[:limit].decode("latin-1")
    text = re.sub("(?<=[a-z])(?=[A-Z])", " ", text)
    text = "".join(each.lower() if each < "\x80" else chr(0x100 + ord(each)) for each in text)
    return re.sub("[^a-z0-9#\u0180-\u01ff]+", " ", text).split()


@given(TEMPLATES, st.integers(1, 50))
def test_words_are_those_of_the_definition(templates: list[bytes], limit: int) -> None:
    expected = [by_regular_expression(template, limit) for template in templates]

    assert expected == [text.split() for text in plain_words(templates, limit)]


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (b"java.lang.OutOfMemoryError: Java heap", "java lang out of memory error java heap"),
        (b"eth: Link is Down", "eth link is down"),
        (b'"GET /x HTTP/." 5xx # "-"', "get x http 5xx #"),
        (b"HTTPServer", "httpserver"),
        ("Gerät fehlt".encode(), "ger\u01c3\u01a4t fehlt"),
        (b"", ""),
    ],
)
def test_humps_are_set_apart_and_punctuation_is_space(template: bytes, words: str) -> None:
    assert words == " ".join(plain_words([template], 1024)[0].split())
