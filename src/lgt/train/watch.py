"""What a run leaves for its user: CSV log, record, HTML report, TensorBoard.

Only the log is needed by anyone; a failure of the rest is told once and never stops a run.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from lgt.config import Config, config_to_dict
from lgt.data.dataset import LatentDataset
from lgt.errors import LGTError
from lgt.report.log import Reporter, TrainingLog
from lgt.report.record import SessionRecord, describe_machine, next_number
from lgt.report.run_page import write_report
from lgt.train.tensorboard import TensorBoard, require_tensorboard


class RunWatch:
    """Takes the events of a run and writes them down, in the main process.

    Args:
        config: The configuration.
        reporter: Told what must not be missed.
        is_main: Whether this is the main process; the others write nothing.

    Raises:
        InputError: `checkpoint.tensorboard` is true without TensorBoard.
    """

    def __init__(self, config: Config, reporter: Reporter, *, is_main: bool) -> None:
        self.config, self.reporter, self.is_main = config, reporter, is_main
        self.save_dir = Path(config.checkpoint.save_dir)
        self.record = SessionRecord()
        self.step = 0
        self._log: TrainingLog | None = None
        self._board: TensorBoard | None = None
        self._failed: set[str] = set()
        if config.checkpoint.tensorboard:
            require_tensorboard()

    def warn(self, text: str) -> None:
        """Show a line, and keep it for the report."""
        self.reporter.message(text)
        self.record.warnings.append({"step": self.step, "text": text})
        self._save_record()

    def begin(
        self,
        dataset: LatentDataset,
        *,
        first_step: int,
        total_steps: int,
        steps_per_epoch: int,
        num_processes: int,
        device: str,
    ) -> None:
        """Open the files of a session."""
        self.step = first_step
        if not self.is_main:
            return
        self._log = TrainingLog(self.save_dir / "logs")
        self._take_over()
        counts = dataset.style_ids.bincount(minlength=dataset.num_styles).tolist()
        record = self.record
        record.started = datetime.now().isoformat(timespec="seconds")
        record.number = next_number(self.save_dir / "logs")
        record.first_step, record.total_steps = first_step, total_steps
        record.steps_per_epoch, record.num_processes = steps_per_epoch, num_processes
        record.styles = dict(zip(dataset.style_names, counts, strict=True))
        record.latent_shape = list(dataset.latents.shape[1:])
        record.config = config_to_dict(self.config)
        self._guard("the record", lambda: record.machine.update(describe_machine(device)))
        self._save_record()
        if self.config.checkpoint.tensorboard:
            folder = self.save_dir / "tensorboard"
            self._guard("TensorBoard", lambda: self._open_board(folder, first_step))

    def take_step(self, step: int, values: dict[str, float]) -> None:
        """Take the numbers of one step."""
        self.step = step
        self._tell_board(lambda board: board.step(step, values))

    def take_epoch(self, row: dict[str, float]) -> None:
        """Write a row of the log."""
        if self._log is not None:
            self._log.write(row)
        self._tell_board(lambda board: board.epoch(int(row["step"]), row))

    def take_checkpoint(self, path: Path, epoch: int, sheet: Path | None) -> None:
        """Note a checkpoint and its contact sheet, and write the report anew."""
        name = None if sheet is None else sheet.name
        self.record.checkpoints.append(
            {"step": self.step, "epoch": epoch, "file": path.name, "sheet": name}
        )
        self._save_record()
        if sheet is not None:
            self._tell_board(lambda board: board.sheet(self.step, sheet))
        self._tell_board(lambda board: board.flush())
        self._report()

    def end(self, how: str, text: str = "") -> None:
        """Note how the session ended, write the last report and close the files."""
        if self._log is None:
            return
        if how == "failed":  # One reason is enough: what else can not be written need not be told.
            self._failed |= {"the record", "the report", "TensorBoard"}
        self._log.close()
        self.record.ended = {"step": self.step, "how": how, "text": text}
        self._save_record()
        self._report()
        self._tell_board(lambda board: board.close())
        self._log = self._board = None

    def _open_board(self, folder: Path, first_step: int) -> None:
        self._board = TensorBoard(folder, first_step)

    def _tell_board(self, tell: Callable[[TensorBoard], None]) -> None:
        board = self._board
        if board is not None:
            self._guard("TensorBoard", lambda: tell(board))

    def _report(self) -> None:
        if self._log is not None:
            self._guard("the report", lambda: write_report(self.save_dir))

    def _save_record(self) -> None:
        log = self._log
        if log is not None:
            self._guard("the record", lambda: self.record.save(log.path.with_suffix(".json")))

    def _take_over(self) -> None:
        """Go on with the record of a session that began in the same second."""
        path = self._log.path.with_suffix(".json") if self._log is not None else None
        if path is not None and path.exists():
            try:
                earlier = SessionRecord.load(path)
            except (OSError, ValueError):
                return
            self.record.checkpoints = earlier.checkpoints
            self.record.warnings = earlier.warnings + self.record.warnings

    def _guard(self, what: str, write: Callable[[], Any]) -> None:
        """Write something; if that fails, say so once."""
        try:
            write()
        except Exception as error:  # Of whatever kind: the run is worth more.
            if what in self._failed:
                return
            self._failed.add(what)
            text = str(error) if isinstance(error, LGTError) else f"{type(error).__name__}: {error}"
            line = f"WARNING: {what} could not be written ({text}); training goes on"
            self.reporter.message(line)
            self.record.warnings.append({"step": self.step, "text": line})
