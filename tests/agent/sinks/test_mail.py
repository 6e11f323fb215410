"""Mail through stand-ins for sendmail: one that keeps it, hangs, fails, is not there."""

from __future__ import annotations

import email
import email.policy
import os
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logagent.config_rules import Mailboxes
from logagent.sinks import Alert, Pending, SinkError, mail
from logagent.sinks.delivery import Blocked, Channel, Delivery
from logagent.sinks.mail import MailSink, message_of
from logagent.sinks.spool import Spool

from .fakes import Clock, alert

KEEP = 'cat > "$0.$$.tmp" && mv "$0.$$.tmp" "$0.$$.mail"; echo "$@" > "$0.arguments"'


class Post:
    """A sendmail of our own, and a sink that uses it."""

    def __init__(self, folder: Path, script: str = KEEP, **options: Any) -> None:
        self.folder = folder
        self.command = folder / "sendmail"
        self.says(script)
        options = {
            "batch_seconds": 0.0,
            "wait_seconds": 5.0,
            "command": str(self.command),
        } | options
        self.sink = MailSink(["ops@example.net", "root"], "router", **options)

    def says(self, script: str) -> None:
        """Replace the program; the running one keeps its file."""
        new = self.folder / "sendmail.new"
        new.write_text(f"#!/bin/sh\n{script}\n")
        new.chmod(0o755)
        new.rename(self.command)

    def mails(self) -> list[Any]:
        files = sorted(self.folder.glob("*.mail"), key=os.path.getmtime)
        return [
            email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            for file in files
        ]


def sent(post: Post, *alerts: Alert) -> None:
    for each in alerts:
        post.sink.write(each)
    post.sink.sync()


def test_several_alerts_are_one_mail(tmp_path: Path) -> None:
    post = Post(tmp_path)
    with closing(post.sink):
        sent(post, alert(1), alert(2))
    (one,) = post.mails()

    assert "ops@example.net, root" == one["To"]
    assert "[logagent] router: 2 alerts, error" == one["Subject"]
    assert one["From"] is None
    assert "auto-generated" == one["Auto-Submitted"]
    text = one.get_content()
    assert text.index("disk 1 failed") < text.index("disk 2 failed")
    assert alert(2).id in text
    assert "-oi -t\n" == (tmp_path / "sendmail.arguments").read_text()


def test_alerts_are_gathered_before_the_first_mail(tmp_path: Path) -> None:
    post = Post(tmp_path, batch_seconds=60.0)
    with closing(post.sink):
        with pytest.raises(Pending) as caught:
            post.sink.write(alert(1))
        assert 59 < caught.value.wait_seconds <= 60
        post.sink.sync()
    assert [] == post.mails()


def test_a_full_mail_leaves_the_rest_for_the_next(tmp_path: Path) -> None:
    post = Post(tmp_path, most_alerts=2)
    with closing(post.sink):
        post.sink.write(alert(1))
        post.sink.write(alert(2))
        with pytest.raises(Pending):
            post.sink.write(alert(3))
        post.sink.sync()
        sent(post, alert(3))
    assert ["2 alerts", "1 alert"] == [
        each["Subject"].split(": ")[1].split(",")[0] for each in post.mails()
    ]


def test_nobody_waits_for_a_slow_sendmail_and_the_mail_goes_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    post = Post(tmp_path, f'read x < "{tmp_path}/go"; {KEEP}', wait_seconds=0.01)
    with closing(post.sink):
        post.sink.write(alert(1))
        for _ in range(3):
            with pytest.raises(Pending, match="on its way"):
                post.sink.sync()
            post.sink.write(alert(1))  # offered again, as a spool does
            with pytest.raises(Pending, match="on its way"):
                post.sink.write(alert(2))
        (tmp_path / "go").write_text("go\n")
        eventually(post.sink.sync)
        post.sink.write(alert(1))
        post.sink.sync()
    assert 1 == len(post.mails())


def eventually(action: Callable[[], object]) -> None:
    stop = time.monotonic() + 10
    while True:
        try:
            action()
        except Pending:
            assert time.monotonic() < stop
        else:
            return


def test_a_mail_whose_alerts_are_not_offered_again_ends_all_the_same(tmp_path: Path) -> None:
    """A full spool may have dropped them."""
    post = Post(tmp_path, f"sleep 0.05; {KEEP}", wait_seconds=0.001)
    with closing(post.sink):
        post.sink.write(alert(1))
        with pytest.raises(Pending):
            post.sink.sync()
        eventually(lambda: post.sink.write(alert(2)))
        post.sink._wait_seconds = 5.0
        post.sink.sync()
    assert 2 == len(post.mails())


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'no such\033[2J user' >&2; echo more >&2; exit 67", "ended with 67: no such"),
        ("exit 1", "ended with 1"),
        ("kill -9 $$", "ended with -9"),
        ("exec >&- 2>&-; exit 75", "ended with 75"),
    ],
)
def test_a_sendmail_that_fails_is_told_and_tried_again(
    tmp_path: Path, script: str, said: str
) -> None:
    post = Post(tmp_path, script)
    with closing(post.sink):
        with pytest.raises(SinkError, match=said) as caught:
            sent(post, alert(1))
        assert str(caught.value).isprintable()
        post.says(KEEP)
        sent(post, alert(1))
    assert 1 == len(post.mails())


def test_a_sendmail_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "_SEND_SECONDS", 0.05)
    post = Post(tmp_path, "exec sleep 100")
    with closing(post.sink):
        with pytest.raises(SinkError, match=r"not done in 0\.05 s, killed"):
            sent(post, alert(1))
        with pytest.raises(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)


def test_no_sendmail_is_a_sink_error(tmp_path: Path) -> None:
    post = Post(tmp_path, command="/no/sendmail")
    before = len(os.listdir("/proc/self/fd"))
    with closing(post.sink), pytest.raises(SinkError, match="/no/sendmail: No such file"):
        sent(post, alert(1))
    assert before == len(os.listdir("/proc/self/fd"))


def test_a_mail_longer_than_a_pipe_goes_to_a_sendmail_that_reads_late(tmp_path: Path) -> None:
    post = Post(tmp_path, f"sleep 0.02; {KEEP}", most_alerts=200)
    with closing(post.sink):
        sent(post, *(Alert(f"{n:016x}", b"{}", "x" * 900, 4) for n in range(200)))
    (one,) = post.mails()

    assert 200 == one.get_content().count("WARNING")


def test_with_a_spool_nothing_is_lost_and_nothing_is_mailed_twice(tmp_path: Path) -> None:
    """The whole way, with a sendmail that fails at first and then takes its time."""
    post = Post(tmp_path, "exit 75", batch_seconds=0.01, most_alerts=3, wait_seconds=0.0)
    clock = Clock()
    spool = Spool(tmp_path / "spool")

    class Half:
        def random(self) -> float:
            return 0.5

    delivery = Delivery([Channel(post.sink, spool)], lambda *_: None, Half(), clock=clock)
    with closing(delivery):
        for number in range(7):
            delivery.deliver(alert(number))
        stop = time.monotonic() + 20
        while len(spool):
            assert time.monotonic() < stop
            clock.now += 400
            delivery.tick(clock.now)
            with suppress(Blocked):  # a mail that failed while positions are saved
                delivery.sync()
            if delivery.status()[0]["state"] == "down":
                post.says(KEEP)
            time.sleep(0.001)
    texts = [each.get_content() for each in post.mails()]

    assert [3, 3, 1] == [text.count("disk") for text in texts]
    assert all("".join(texts).count(alert(number).id) == 1 for number in range(7))


@given(st.lists(st.tuples(st.text(max_size=50), st.text(max_size=300)), min_size=1, max_size=5))
def test_nothing_in_an_alert_becomes_a_header_or_ends_the_mail(
    texts: list[tuple[str, str]],
) -> None:
    alerts = [Alert(id_, b"{}", text, 3) for id_, text in texts]
    data = message_of(alerts, "ro\r\nBcc: x@y\nuter", ["a@b"], "c@d")
    made = email.message_from_bytes(data, policy=email.policy.default)

    assert [
        "From",
        "To",
        "Subject",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
        "Auto-Submitted",
    ] == made.keys()
    assert all(len(line) <= 200 and line != b"." for line in data.split(b"\n"))
    assert len(alerts) == made.get_content().count("    id ") or any(
        "    id " in t for _, t in texts
    )


@pytest.mark.parametrize("text", ["", "a b", "a,b", "a\nb", "<a@b>", "a@b\r\nBcc: c", "ä@b", "a;b"])
def test_what_is_no_plain_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not allowed"):
        Mailboxes()([text])
    assert ("ops@example.net", "root") == Mailboxes()(["ops@example.net", "root"])
