"""Labels lines through a courier; killed again and again by test_killed."""

from __future__ import annotations

import sys
from pathlib import Path

from logagent_build.annotate.courier import Courier
from logagent_build.annotate.endpoint import Settings
from logagent_build.annotate.labelling import Options, label
from logagent_build.annotate.prompt_files import load
from logagent_build.annotate.recorded import Recorded, Store


def main() -> None:
    url, store, out, lines = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    settings = Settings(url, "fake", concurrency=4, patience_seconds=5)
    courier = Courier(settings, store, "r", sys.stderr.write)
    with Store(store) as opened:
        labels = label(
            [f"unit {n} {'fails' if n % 3 else 'works'}" for n in range(lines)],
            Recorded(opened, courier, "r"),
            load("loggpt"),
            options=Options(lines_per_prompt=5),
        )
    courier.close()
    out.write_text("".join(str(int(bool(each.anomalous))) for each in labels))


if __name__ == "__main__":
    main()
