"""Times: the stamp of a line, in the forms that logs use."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from logagent.times import Stamp, TimeParser, parse_since


def at(*when: int, fraction: float = 0.0) -> float:
    """Give the seconds since 1970 of a time in UTC."""
    return datetime(*when, tzinfo=UTC).timestamp() + fraction  # type: ignore[misc,arg-type]  # year, month, ...


NOW = at(2024, 7, 1, 12)

LINES = [
    (b"Jun 14 15:16:01 combo sshd[1]: failure", at(2024, 6, 14, 15, 16, 1)),
    (b"Jul  1 09:00:55 host kernel[0]: IOThunderbolt", at(2024, 7, 1, 9, 0, 55)),
    (b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed", at(2023, 10, 11, 22, 14, 15)),
    (b"Sep  9 06:00:41.220: %STACKMGR-4-SWITCH_ADDED: x", at(2023, 9, 9, 6, 0, 41, fraction=0.22)),
    (b"<165>1 2003-10-11T22:14:15.003Z host app - ID47 - x",
     at(2003, 10, 11, 22, 14, 15, fraction=0.003)),
    (b"2024-01-02T03:04:05+02:00 host app: x", at(2024, 1, 2, 1, 4, 5)),
    (b"2024-01-02 03:04:05 x", at(2024, 1, 2, 3, 4, 5)),
    (b"2024-01-02 03:04:05.123456-0530 x", at(2024, 1, 2, 8, 34, 5, fraction=0.123456)),
    (b"2024-01-02 03:04:05.5 UTC [77] LOG: x", at(2024, 1, 2, 3, 4, 5, fraction=0.5)),
    (b"2015-10-18 18:01:47,978 INFO [main] x", at(2015, 10, 18, 18, 1, 47, fraction=0.978)),
    (b"nova.log.1.2017-05-16_13:53:08 2017-05-16 00:00:00.008 25746 INFO x",
     at(2017, 5, 16, fraction=0.008)),
    (b"2016-12-31T23:59:60Z leap", at(2017, 1, 1)),
    (b"[   12.481920] usb 1-1: new device", Stamp(12.48192, "uptime")),
    (b"<6>[    0.000000] Linux version", Stamp(0.0, "uptime")),
    (b"ptp4l[264885.740]: port 1", Stamp(264885.74, "uptime")),
    (b"Jun 18 09:47:37 h kernel: [47551.479005] AER", at(2024, 6, 18, 9, 47, 37)),
    (b"Wed Feb  7 06:11:00 2024 daemon.info pppd: x", at(2024, 2, 7, 6, 11)),
    (b"Wed Feb  7 06:11:00 UTC 2024 x", at(2024, 2, 7, 6, 11)),
    (b"[Sun Dec 04 04:47:44 2005] [notice] x", at(2005, 12, 4, 4, 47, 44)),
    (b"[Mon Feb 24 04:01:23.586872 2025] [core] x", at(2025, 2, 24, 4, 1, 23, fraction=0.586872)),
    (b"1117838570 2005.06.03 R02-M1", 1117838570.0),
    (b"- 1117838570 2005.06.03 R02-M1-N0 2005-06-03-15.42.50.675872 x", 1117838570.0),
    (b"KERNDTLB 1117838573 2005.06.03 R02-M1", 1117838573.0),
    (b"- 1131566461 2005.11.09 dn228 Nov 9 12:01:01 dn228 crond: x", 1131566461.0),
    (b"1719301378123 x", 1719301378.123),
    (b"1730305369.686      1 10.3.23.247 TCP_DENIED/407", 1730305369.686),
    (b"[1711091152] HOST DOWNTIME ALERT: x", 1711091152.0),
    (b"134681 node-246 unix.hw state_change 1077804742 1 x", 1077804742.0),
    (b"type=AVC msg=audit(1722845803.002:922): avc: granted", 1722845803.002),
    (b"[INFO] [1708571329.668975631] [battery]: x", 1708571329.668975631),
    (b"03-17 16:13:38.811  1702  2395 D WindowManager: x",
     at(2024, 3, 17, 16, 13, 38, fraction=0.811)),
    (b'10.1.1.5 - bob [10/Oct/2023:13:55:36 +0100] "GET / HTTP/1.1" 200 5',
     at(2023, 10, 10, 12, 55, 36)),
    (b'2001:db8:10:20:30:40:50:60 - - [10/Oct/2023:13:55:36 +0000] "GET /?at=11:22:33" 200 5',
     at(2023, 10, 10, 13, 55, 36)),
    (b"E [05/Aug/2023:09:02:41 +0200] [Job 419] x", at(2023, 8, 5, 7, 2, 41)),
    (b"[28-Jul-2023 04:12:50 UTC] PHP x", at(2023, 7, 28, 4, 12, 50)),
    (b"20-Jun 02:15 bacula-dir JobId 4413: x", at(2024, 6, 20, 2, 15)),
    (b"2023/10/12 06:25:02 [error] 1#1: *1 open() failed", at(2023, 10, 12, 6, 25, 2)),
    (b"081109 203615 148 INFO dfs.DataNode: x", at(2008, 11, 9, 20, 36, 15)),
    (b"17/06/09 20:10:40 INFO executor: x", at(2017, 6, 9, 20, 10, 40)),
    (b"06/14/24 20:10:40 x", at(2024, 6, 14, 20, 10, 40)),
    (b"20171223-22:15:29:606|Step_LSC|30002312|x", at(2017, 12, 23, 22, 15, 29, fraction=0.606)),
    (b"20171224-0:7:1:5|Step_LSC|30002312|x", at(2017, 12, 24, 0, 7, 1, fraction=0.005)),
    (b"20050418.024441 qn-06-13 I gmetd - x", at(2005, 4, 18, 2, 44, 41)),
    (b"[10.30 16:49:06] chrome.exe - x", at(2023, 10, 30, 16, 49, 6)),
    (b"R02 2005-06-03-15.42.50.675872 x", at(2005, 6, 3, 15, 42, 50, fraction=0.675872)),
    (b"I0507 11:59:44.523502    7034 server.go:234] x",
     at(2024, 5, 7, 11, 59, 44, fraction=0.523502)),
    (b"1:M 01 Feb 2024 04:02:00.220 * Ready", at(2024, 2, 1, 4, 2, fraction=0.22)),
    (b"01/31/2023 10:36:53 PM LogName=Security", at(2023, 1, 31, 22, 36, 53)),
    (b"Error,7/19/2024 12:04:38 AM,Service", at(2024, 7, 19, 0, 4, 38)),
    (b"21/12/2023 - 07:22:52 - <Info> - x", at(2023, 12, 21, 7, 22, 52)),
    (b"25.09.23 01:28:42 WLAN", at(2023, 9, 25, 1, 28, 42)),
    (b'{"level":"info","ts":1719301378.3,"msg":"x"}', 1719301378.3),
    (b'{"time":"2024-03-01T02:01:00Z","severity":"INFO"}', at(2024, 3, 1, 2, 1)),
    (b'{"msg":"until 2030-01-01 00:00:00","@timestamp": "2024-03-01T02:01:00.5Z"}',
     at(2024, 3, 1, 2, 1, fraction=0.5)),
    (b'{"t":{"$date":"2024-06-18T19:42:52.012+00:00"},"s":"I"}',
     at(2024, 6, 18, 19, 42, 52, fraction=0.012)),
    (b'{"MESSAGE":"' + b"x" * 500 + b'","__REALTIME_TIMESTAMP" : "1719301378123456"}',
     1719301378.123456),
    (b'level=error ts=2024-05-07T14:20:30Z msg="x"', at(2024, 5, 7, 14, 20, 30)),
    (b'time="2024-05-07T14:20:30Z" level=error', at(2024, 5, 7, 14, 20, 30)),
    (b"level=info msg=" + b"x" * 200 + b" t=1719301378", 1719301378.0),
    (b"<189>date=2023-06-21 time=10:06:22 devname=x", at(2023, 6, 21, 10, 6, 22)),
    (b"Jun 14 15:16:01 h openssl: expires 2030-01-01 00:00:00", at(2024, 6, 14, 15, 16, 1)),
]  # fmt: skip


def parser(now: float = NOW, **options: int) -> TimeParser:
    """Make a parser in UTC at a fixed time."""
    return TimeParser(clock=lambda: now, tz=UTC, default_year=options.get("default_year"))


@pytest.mark.parametrize(("line", "expected"), LINES, ids=[repr(line[:40]) for line, _ in LINES])
def test_a_stamp_is_read_in_the_forms_that_logs_use(line: bytes, expected: float | Stamp) -> None:
    """One line of every form; stamps without a zone are UTC here."""
    stamp = parser().parse(line)

    assert stamp is not None
    wanted = expected if isinstance(expected, Stamp) else Stamp(expected, "epoch")
    assert wanted.kind == stamp.kind
    assert wanted.seconds == pytest.approx(stamp.seconds, abs=1e-5)


def test_a_parser_that_has_seen_other_forms_reads_the_same() -> None:
    """Remembering the last form makes it faster, not different."""
    used = parser()
    for line, _ in LINES * 2:
        assert parser().parse(line) == used.parse(line), line


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"no stamp here",
        b"Feb 31 10:00:00 host x",
        b"2024-02-30 10:00:00 x",
        b"2023-02-29 10:00:00 x",
        b"2024-13-01 10:00:00 x",
        b"2024-01-01 99:00:00 x",
        b"2024-01-01 10:61:00 x",
        b"0001-01-01 00:00:00 x",
        b"9999-12-31 23:59:59 x",
        b"2024-01-01T10:00:00+99:99 x",
        b"[99/Foo/2023:13:55:36 +0000] x",
        b"999999 999999 x",
        b"0000000000000000000",
        b"9999999999999 x",
        b"15:16:01 only a clock",
        b"eth0: mac 00:11:22:33:44:55 1234567890123456",
        b"    at java.lang.Thread.run(Thread.java:748)",
        b"x" * 200 + b" 2024-01-02 03:04:05",
    ],
)
def test_a_line_without_a_possible_stamp_has_none(line: bytes) -> None:
    """Impossible days and hours are no error, they are no stamp."""
    stamp = parser().parse(line)

    assert stamp is None or not 0 < stamp.seconds


HOSTILE = st.one_of(
    st.binary(max_size=200),
    st.from_regex(
        rb"\A[<\[]?[0-9]{0,5}[-/. ]?([0-9]{2}|Feb|Dec)[-/. ][0-9]{1,4}[T :_-][0-9]{1,2}:[0-9]{2}"
        rb"(:[0-9]{2})?([.,:][0-9]{0,12})?( ?[+-][0-9]{2}:?[0-9]{2}|Z)?( [0-9]{4})?"
    ),
    st.tuples(st.integers(0, len(LINES) - 1), st.binary(max_size=6), st.integers(0, 60)).map(
        lambda edit: LINES[edit[0]][0][: edit[2]] + edit[1] + LINES[edit[0]][0][edit[2] :]
    ),
)


@given(HOSTILE, st.floats(0, 4e9), st.sampled_from([None, 1, 2023, 9999]))
@example(b"Jan  1 00:00:00 x", 0.0, None)
@example(b"Feb 29 10:00:00 x", 0.0, None)
def test_no_line_raises(line: bytes, now: float, default_year: int | None) -> None:
    """Whatever the bytes and the machine's clock, there is a finite time or none."""
    for tz in (UTC, None, timezone(timedelta(hours=-12))):
        reader = TimeParser(clock=lambda: now, tz=tz, default_year=default_year)
        for text in (line, b"Jun 14 15:16:01 combo", line):
            stamp = reader.parse(text)

            assert stamp is None or abs(stamp.seconds) < 1e11


@given(st.datetimes(datetime(2002, 1, 1), datetime(2150, 1, 1)))
def test_iso_stamps_round_trip(when: datetime) -> None:
    """What isoformat writes is read back."""
    stamp = parser().parse(when.replace(tzinfo=UTC).isoformat().encode() + b" x")

    assert stamp is not None
    assert when.replace(tzinfo=UTC).timestamp() == pytest.approx(stamp.seconds, abs=1e-5)


@given(st.datetimes(datetime(2002, 1, 1), datetime(2150, 1, 1)), st.integers(0, 363))
def test_a_missing_year_puts_the_line_in_the_past_year(when: datetime, age_days: int) -> None:
    """A line nearly a year old gets its own year back."""
    now = when.replace(tzinfo=UTC).timestamp() + age_days * 86400
    whole = when.replace(microsecond=0, tzinfo=UTC).timestamp()
    stamp = parser(now).parse(when.strftime("%b %e %H:%M:%S host x").encode())

    assert stamp is not None
    assert whole == stamp.seconds


@pytest.mark.parametrize(
    ("now", "line", "expected"),
    [
        (at(2024, 1, 1, 0, 5), b"Dec 31 23:59:00 h x", at(2023, 12, 31, 23, 59)),
        (at(2023, 12, 31, 23, 59), b"Jan  1 00:30:00 h x", at(2024, 1, 1, 0, 30)),
        (at(2023, 6, 1), b"Feb 29 10:00:00 h x", at(2020, 2, 29, 10)),
        (at(2024, 6, 1), b"Jun  3 10:00:00 h x", at(2023, 6, 3, 10)),
    ],
)
def test_a_year_is_chosen_so_that_no_line_is_far_in_the_future(
    now: float, line: bytes, expected: float
) -> None:
    """New year's eve in both directions, and leap days."""
    assert Stamp(expected, "epoch") == parser(now).parse(line)


def test_a_default_year_is_taken_as_it_is() -> None:
    """For old logs whose year the operator knows."""
    line = b"Jun 14 15:16:01 combo x"

    assert Stamp(at(2005, 6, 14, 15, 16, 1), "epoch") == parser(default_year=2005).parse(line)
    assert parser(default_year=2005).parse(b"Feb 29 15:16:01 combo x") is None


def test_a_stamp_without_a_zone_is_in_the_zone_of_the_machine_or_the_one_given() -> None:
    """Local unless told otherwise."""
    line = b"2024-01-02 03:04:05 x"
    local = TimeParser().parse(line)
    east = TimeParser(tz=timezone(timedelta(hours=2))).parse(line)

    assert Stamp(datetime(2024, 1, 2, 3, 4, 5).timestamp(), "epoch") == local
    assert Stamp(at(2024, 1, 2, 1, 4, 5), "epoch") == east


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-06-14", at(2024, 6, 14)),
        ("2024-06-14T10:00", at(2024, 6, 14, 10)),
        ("2024-06-14 10:00:30", at(2024, 6, 14, 10, 0, 30)),
        ("2024-06-14T10:00:00+02:00", at(2024, 6, 14, 8)),
        ("2024-06-14T10:00:00Z", at(2024, 6, 14, 10)),
        ("30m", NOW - 1800),
        ("2h", NOW - 7200),
        ("3d", NOW - 3 * 86400),
        ("1w", NOW - 7 * 86400),
        ("90s", NOW - 90),
        ("1h30m", NOW - 5400),
        (" 2 hours ago ", NOW - 7200),
        ("now", NOW),
        ("Today", at(2024, 7, 1)),
        ("yesterday", at(2024, 6, 30)),
        ("@1718355600", 1718355600.0),
    ],
)
def test_since_takes_dates_ages_and_days(text: str, expected: float) -> None:
    """What an operator types."""
    assert expected == parse_since(text, NOW, UTC)


@pytest.mark.parametrize("text", ["", "ago", "soon", "3 parsecs", "2024-02-31", "-3d", "5", "3dd"])
def test_since_explains_what_it_takes(text: str) -> None:
    """The message has an example of each form."""
    with pytest.raises(ValueError, match=r"cannot read .* as a time; give a date .* an age"):
        parse_since(text, NOW, UTC)


@given(
    st.text(max_size=30) | st.from_regex(r"@?[0-9]{1,12} ?[smhdw]?", fullmatch=True),
    st.floats(0, 4e9),
)
def test_since_gives_a_time_or_a_value_error(text: str, now: float) -> None:
    """Nothing else leaves."""
    message = ""
    try:
        assert isinstance(parse_since(text, now), float)
    except ValueError as error:
        message = str(error)

    assert message == "" or "cannot read" in message
