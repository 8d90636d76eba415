"""The work folder beside an output: what is finished of it, so that a run can go on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from lgt.errors import InputError
from lgt.files import atomic_write, fitted_name, remove_stale_temporaries
from lgt.video.smooth import TemporalFilter

_JOB, _LOCK = "job.json", "lock"


class WorkFolder:
    """Finished segments of a video and the state of the filter after the last one.

    Every file appears complete or not at all, and the state of a segment appears before the
    segment, so a run that is killed at any moment can go on from its last segment.

    Args:
        output: The file that is being made; the folder is `OUTPUT.lgt-part`.
        job: All that decides the frames; a folder with another job starts anew.

    Raises:
        InputError: The folder can not be made, or another process is at work in it.
    """

    def __init__(self, output: Path, job: Mapping[str, Any]) -> None:
        self.path = output.with_name(fitted_name(output.name, ".lgt-part"))
        text = json.dumps(job, sort_keys=True, indent=1)
        self.was_other = False
        """Whether there were segments of another job, which are gone."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(self.path / _LOCK)
            if self._job() != text:
                self.was_other = bool(self.segments())
                for file in self.path.glob("s*-*"):  # segments and states
                    file.unlink()
            remove_stale_temporaries(self.path, older_than=0)
            with atomic_write(self.path / _JOB) as temporary:
                temporary.write_text(text, encoding="utf-8")
        except OSError as error:
            raise InputError(f"{self.path}: can not make the work folder ({error})") from error

    def _job(self) -> str:
        try:
            return (self.path / _JOB).read_text(encoding="utf-8")
        except OSError:
            return ""

    def segment(self, index: int) -> Path:
        """Return the file of a segment."""
        return self.path / f"segment-{index:06d}.bin"

    def segments(self) -> list[Path]:
        """Return the finished segments, in order, up to the first gap."""
        found: list[Path] = []
        while (path := self.segment(len(found))).is_file():
            found.append(path)
        return found

    def _state(self, index: int) -> Path:
        return self.path / f"state-{index:06d}.npz"

    def save_state(self, index: int, smoother: TemporalFilter, num_frames: int) -> None:
        """Keep the filter as it is at the end of a segment.

        Args:
            index: Of the segment.
            smoother: The filter; its values are rounded to float16, as they are kept, so that
                going on gives what going through gives.
            num_frames: Frames up to here.
        """
        smoother.round()
        arrays: dict[str, Any] = {"frames": num_frames}
        if smoother.keep and smoother.source is not None:
            arrays["source"] = smoother.source.astype(np.float16)
            for number, painting in enumerate(smoother.paintings):
                arrays[f"painting{number}"] = painting.astype(np.float16)
        try:
            with atomic_write(self._state(index)) as temporary, temporary.open("wb") as file:
                np.savez(file, **arrays)
        except OSError as error:
            raise InputError(f"{self.path}: can not be written to ({error})") from error

    def load_state(self, index: int, smoother: TemporalFilter) -> int:
        """Put the filter into the state of :meth:`save_state`; return the number of frames."""
        with np.load(self._state(index)) as arrays:
            if "source" in arrays:
                smoother.source = arrays["source"].astype(np.float32)
                smoother.paintings = [
                    arrays[f"painting{number}"].astype(np.float32)
                    for number in range(len(arrays.files) - 2)
                ]
            return int(arrays["frames"])

    def forget(self, index: int) -> None:
        """Delete the state of a segment that later ones have replaced."""
        if index >= 0:
            self._state(index).unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.close()

    def close(self) -> None:
        """Let other processes into the folder."""
        self._lock.close()


def _locked(path: Path) -> IO[bytes]:
    """Open a file and lock it as long as this process lives, where the system has such locks."""
    file = path.open("ab")
    try:
        import fcntl
    except ImportError:  # Windows
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise InputError(
            f"{path.parent}: another run is at work on this video; wait for it, or stop it first"
        ) from None
    return file
