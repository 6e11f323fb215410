"""What `logagent doctor` looks at, one module per part of the machine.

Every check is a small function from a `Case` (the machine, the configuration, and what was found
out before) to `Finding`s. Guarantees: checks change nothing; none raises (`examination.examine`
turns what one raises into a finding); no secret is in a finding; no name is looked up and nothing
is connected to unless `Case.network` is set; every wait is bounded. What a finding quotes may come
from hostile names and is made printable by `Finding`.

Left to others: how findings are shown and which exit code follows (`logagent.doctor_command`).
"""

from logagent.doctor.case import Case
from logagent.doctor.examination import examine
from logagent.doctor.findings import Finding, Status
from logagent.doctor.machine import Account, Machine

__all__ = ["Account", "Case", "Finding", "Machine", "Status", "examine"]
