from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from logagent.keys import fast_keys, loose_keys
from logagent.normalise import MAX_TEMPLATE_BYTES, templates

PAIRS = Path(__file__).parents[2] / "corpora" / "minimal_pairs.tsv"


def template(line: bytes) -> bytes:
    return templates([line]).templates[0]


def fast_key(line: bytes) -> bytes:
    return fast_keys(line)[0]


def loose_key(line: bytes) -> bytes:
    return loose_keys(line)[0]


def remembered_apart(one: bytes, other: bytes) -> bool:
    """Whether no cache can mistake one line for the other.

    Fast keys are not remembered for coded lines, so equal ones do no harm there.
    """
    coded = templates([one, other]).coded.all()
    return loose_key(one) != loose_key(other) and (coded or fast_key(one) != fast_key(other))


LINES = st.lists(st.binary(max_size=60).map(lambda line: line.replace(b"\n", b" ")), min_size=1)
LOGLIKE = st.lists(
    st.text(alphabet="ab fx019=:-\"[](),.#'rcode5\r", max_size=40).map(str.encode), min_size=1
)

# Two lines that differ only in a number that carries meaning.
MEANINGFUL = [
    (b"scan done, 0 errors", b"scan done, 12 errors"),
    (b"errs: wr 0, rd 0, flush 0", b"errs: wr 0, rd 14, flush 0"),
    (b"failed=0 uploaded=12", b"failed=12 uploaded=0"),
    (b'{"errors":0}', b'{"errors":7}'),
    (b"throttled=0x0", b"throttled=0x50005"),
    (b'"GET / HTTP/1.1" 200 5120', b'"GET / HTTP/1.1" 503 5120'),
    (b'"GET / HTTP/1.1" status: 200 len: 5120', b'"GET / HTTP/1.1" status: 503 len: 5120'),
    (b"exit status 0", b"exit status 139"),
    (b"(exitCode=0, image=backup)", b"(exitCode=137, image=backup)"),
    (b"RESULT tag=97 err=0 text=", b"RESULT tag=97 err=49 text="),
    (b"ioctl failed, errno 5", b"ioctl failed, errno 28"),
    (b"child rc=1", b"child rc=0"),
    (b"killed by signal 9", b"killed by signal 15"),
    (b"write returned ret: -5", b"write returned ret: -28"),
    (b"child status[1] x", b"child status[0] x"),
]


@pytest.mark.parametrize(("one", "other"), MEANINGFUL)
def test_numbers_that_carry_meaning_keep_lines_apart(one: bytes, other: bytes) -> None:
    assert template(one) != template(other)
    assert remembered_apart(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"Jun 14 15:16:01 combo sshd[19939]: hello", b"Jun 12 05:06:11 combo sshd[2]: hello"),
        (b"from 10.0.0.1 port 22", b"from 192.168.17.4 port 51022"),
        (b"took 0.2477829 s", b"took 1.5 s"),
        (b"eth0: up", b"eth1: up"),
        (b"blk_38865049064139660 done", b"blk_-6952295868487656571 done".replace(b"-", b"")),
    ],
)
def test_other_numbers_do_not(one: bytes, other: bytes) -> None:
    assert template(one) == template(other)
    assert fast_key(one) == fast_key(other)
    assert loose_key(one) == loose_key(other)


def test_fresh_identifiers_share_a_loose_key() -> None:
    one = b"[req-38101a0b-2096-447d-96ea-a692162415ae 113d3a99c3da401fbd62cc2caa5b96d2] ok"
    other = b"[req-addf9ec4-1164-4db3-99a8-3f4ad9f8a0a6 54f9db41204e40cdbaed93350435a90e] ok"

    assert loose_key(one) == loose_key(other)
    assert template(one) == template(other)


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        (b"req-38101a0b-2096-447d-96ea-a692162415ae ok", b"req-*-*-*-*-* ok"),
        (b"id 38101a0b-fade-beef-96ea-a692162415ae", b"id *-*-*-*-*"),
        (b"at 0x7fed806eb5d in f", b"at * in f"),
        (b"key aGVsbG8gd29ybGQ1234abcdZ", b"key *"),
        (b"Http11NioProtocol on ext4-fs and md5", b"HttpNioProtocol on ext-fs and md"),
        (b"deadbeef is a word without a digit", b"deadbeef is a word without a digit"),
        (b"found 3 of 4", b"found # of #"),
        (b"src=5 is not rc=5", b"src=# is not rc=5"),
        (b"status 123456789", b"status #"),
        (b'"GET / HTTP/1.1" 404 7', b'"GET / HTTP/." 4xx #'),
        (b'"GET / HTTP/1.1" status: 404 len: 7', b'"GET / HTTP/." status: 4xx len: #'),
        (b"windows line\r", b"windows line"),
        (b"", b""),
    ],
)
def test_variables_are_masked(line: bytes, masked: bytes) -> None:
    assert masked == template(line)


@given(LINES)
@example([b"", b"0", b"\r", b"00", b"0x", b"x0"])
def test_every_line_gets_one_key_and_one_template_whatever_is_beside_it(lines: list[bytes]) -> None:
    block = b"\n".join(lines)
    together = templates(lines)

    assert [fast_key(line) for line in lines] == fast_keys(block)
    assert [loose_key(line) for line in lines] == loose_keys(block)
    assert [template(line) for line in lines] == together.templates
    assert len(lines) == len(together.coded)


@given(LOGLIKE)
def test_a_coded_line_is_told_apart_from_the_same_with_another_number(lines: list[bytes]) -> None:
    for line, coded in zip(lines, templates(lines).coded, strict=True):
        other = line.replace(b"5", b"1").replace(b"9", b"1")
        if coded and template(line) != template(other):
            assert loose_key(line) != loose_key(other)


@given(LOGLIKE, st.integers(1, 9), st.integers(1, 9))
def test_an_exit_code_always_counts(lines: list[bytes], a: int, b: int) -> None:
    one = [line + b" exit code %d" % a for line in lines]
    other = [line + b" exit code %d" % b for line in lines]

    assert templates(one).coded.all()
    for left, right in zip(one, other, strict=True):
        assert (a != b) == remembered_apart(left, right)


@given(LOGLIKE)
def test_masking_a_template_again_changes_only_what_it_wrote(lines: list[bytes]) -> None:
    once = templates(lines).templates
    # No digit is left that is not a kept one, so the digits cannot grow.
    twice = templates(once).templates

    assert all(len(after) <= len(before) for before, after in zip(once, twice, strict=True))


def test_only_the_first_part_of_a_long_line_is_read() -> None:
    line = b"x" * MAX_TEMPLATE_BYTES

    assert template(line) == template(line + b" panic")


def test_no_lines_give_no_templates() -> None:
    assert [] == templates([]).templates


def test_minimal_pairs_that_differ_only_in_digits_get_different_keys() -> None:
    """Of the 350 pairs written for the project, those that differ only in numbers.

    Two are out of reach, and named here so that the gap is known: they compare two numbers of
    the same line ("1 out of 2 mirrors", "expected=8110 actual=7904").
    """
    if not PAIRS.exists():
        pytest.skip("corpora/ is not here: tests run outside a checkout")
    rows = [row.split("\t", 2) for row in PAIRS.read_text().splitlines()]
    lines = [row[2].encode() for row in rows]
    missed = []
    numeric = 0
    for normal, anomalous in zip(lines[::2], lines[1::2], strict=True):
        if normal.translate(None, b"0123456789") != anomalous.translate(None, b"0123456789"):
            continue
        numeric += 1
        apart = template(normal) != template(anomalous)
        if not (apart and remembered_apart(normal, anomalous)):
            missed.append(anomalous)

    assert numeric >= 13
    assert 2 == len(missed)
    assert all(b"out of 2 mirrors" in line or b"expected=" in line for line in missed)
