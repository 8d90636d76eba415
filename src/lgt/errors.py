"""Errors that a user can act on.

Every message says what is wrong, what was seen and what to do. Command-line entry points print the
message alone (no traceback) and exit with ``exit_code``.
"""

from __future__ import annotations


class LGTError(Exception):
    """Base of every error that LGT raises on purpose."""

    exit_code = 1


class InputError(LGTError, ValueError):
    """A value, a file or a folder given by the user is not usable."""

    exit_code = 2


class AbsentDeviceError(InputError):
    """A device is named that this machine does not have."""


class ConfigError(InputError):
    """One or more configuration keys are wrong; the message lists all of them."""


class CodecError(LGTError):
    """An image codec could not be found, loaded or applied."""


class CheckpointError(InputError):
    """A checkpoint is missing, damaged, of another version or does not fit its use."""


class StorageError(LGTError):
    """A file could not be written: the disk is full, or does not take it."""


class TrainingError(LGTError):
    """Training can not go on: the energy is not finite, or the style condition has collapsed."""


class LGTWarning(UserWarning):
    """Something that was asked for has no effect, or not the one expected; work goes on.

    The command line prints the message alone.
    """
