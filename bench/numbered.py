"""Log lines that carry a number, so that each can be told from all others wherever it turns up.

They look like the syslog of a small server. The text of a line follows from its number and from
whether it is anomalous, so a report can be checked against what was written without keeping it.
The detector masks digits: all lines of one sentence have one score, whatever their number. That
of the normal sentences is below 0.3 and that of the anomalous ones above 0.96 with the shipped
model, whose threshold is 0.89; the tests check both sides.
"""

from __future__ import annotations

import re

HOST = b"edge-1"
NORMAL = (
    b"CRON[%d]: (root) CMD (test -x /usr/sbin/anacron)",
    b"systemd[1]: Started Session %d of user admin.",
    b"systemd[1]: logrotate.service: Succeeded after %d ms.",
    b"sshd[811]: Accepted publickey for admin from 192.168.1.20 port %d ssh2",
    b"dhclient[%d]: DHCPACK of 192.168.1.20 from 192.168.1.1",
    b"dnsmasq-dhcp[%d]: DHCPREQUEST(br-lan) 192.168.1.20 aa:bb:cc:dd:ee:01",
    b"hostapd: wlan0: STA 0a:1b:2c:3d:4e:5f IEEE 802.11: associated (aid %d)",
    b"ntpd[%d]: adjusting local clock by 0.012s",
    b"kernel: [  812.112233] usb 1-1: new high-speed USB device number %d using xhci_hcd",
    b"sudo[%d]: pam_unix(sudo:session): session closed for user root",
)
ANOMALOUS = (
    b"kernel: [  812.112233] blk_update_request: I/O error, dev sda, sector %d",
    b"kernel: [  812.112233] Out of memory: Killed process %d (java) total-vm:812000kB",
    b"kernel: [  812.112233] EXT4-fs error (device sda1): ext4_find_entry:1455: inode #%d",
    b"smartd[%d]: Device: /dev/sda [SAT], FAILED SMART self-check. BACK UP DATA NOW!",
)
HEADER = (
    b"#Software: gateway access log\n#Version: 1.0\n"
    + b"#Fields: date time host process message sequence\n" * 40  # over the 1 KiB that identify
)
"""What some programs write at the top of every file: equal heads of different files."""
_SPREAD = 2_654_435_761  # odd and near 2^32 / golden ratio: neighbours get unlike values
_NUMBER = re.compile(r" seq=(\d{9})$")


def line(number: int, *, anomalous: bool) -> bytes:
    """The line of a number from 0 to 999,999,999, without its newline."""
    value = number * _SPREAD & 0xFFFFFFFF
    sentences = ANOMALOUS if anomalous else NORMAL
    second = number % 86_400
    return b"Mar  4 %02d:%02d:%02d %s %s seq=%09d" % (
        second // 3600, second // 60 % 60, second % 60, HOST,
        sentences[value % len(sentences)] % (value >> 8 | 1), number,
    )  # fmt: skip


def number_of(text: str) -> int | None:
    """The number of a whole line; nothing if the text does not end in one."""
    found = _NUMBER.search(text)
    return int(found[1]) if found else None
