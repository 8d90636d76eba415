"""Train for so many minutes of processor time, whatever a step costs, and keep the checkpoint.

    python benchmarks/timed_training.py --minutes 10 --config examples/painters_features.json
    python benchmarks/timed_training.py --minutes 10 --config examples/painters_features.json \\
        -s training.objective=ot_cfm -s checkpoint.save_dir=checkpoints/ot_cfm

What follows `--minutes` goes to `lgt train` as it is. Runs of equal time compare objectives that
take steps of different cost; `lgt evaluate` then measures their checkpoints.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time

from lgt.cli.app import main as run_lgt


def interrupt_after(seconds: float) -> None:
    """Stop this program as Ctrl-C does, once it has used so much processor time."""
    while time.process_time() < seconds:
        time.sleep(0.5)
    signal.raise_signal(signal.SIGINT)


def main() -> None:
    """Run the training."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, required=True, help="of processor time")
    known, rest = parser.parse_known_args()
    threading.Thread(
        target=interrupt_after, args=(time.process_time() + 60 * known.minutes,), daemon=True
    ).start()
    sys.argv = ["lgt", "train", *rest]
    run_lgt()


if __name__ == "__main__":
    main()
