"""LGT, Latent Geometric Thermodynamics: style transfer by a geometric free energy on latents.

Public names are imported on first use (PEP 562), so ``import lgt`` itself loads neither PyTorch
nor any other large library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lgt.codec import decode_latent, encode_image, load_vae
    from lgt.config import Config, load_config
    from lgt.errors import (
        CheckpointError,
        CodecError,
        ConfigError,
        InputError,
        LGTError,
        TrainingError,
    )
    from lgt.image import preprocess, save_image
    from lgt.nn import LGTUNet
    from lgt.paint.transfer import LGTInference
    from lgt.pipeline import LGTPipeline
    from lgt.video import transfer_video

__version__ = "0.2.0.dev0"

_HOME_OF = {
    "CheckpointError": "lgt.errors",
    "CodecError": "lgt.errors",
    "Config": "lgt.config",
    "ConfigError": "lgt.errors",
    "InputError": "lgt.errors",
    "LGTError": "lgt.errors",
    "LGTInference": "lgt.paint.transfer",
    "LGTPipeline": "lgt.pipeline",
    "LGTUNet": "lgt.nn",
    "TrainingError": "lgt.errors",
    "decode_latent": "lgt.codec",
    "encode_image": "lgt.codec",
    "load_config": "lgt.config",
    "load_vae": "lgt.codec",
    "preprocess": "lgt.image",
    "save_image": "lgt.image",
    "transfer_video": "lgt.video",
}

__all__ = [
    "CheckpointError",
    "CodecError",
    "Config",
    "ConfigError",
    "InputError",
    "LGTError",
    "LGTInference",
    "LGTPipeline",
    "LGTUNet",
    "TrainingError",
    "__version__",
    "decode_latent",
    "encode_image",
    "load_config",
    "load_vae",
    "preprocess",
    "save_image",
    "transfer_video",
]


def __getattr__(name: str) -> object:
    """Import a public name from the module that defines it."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'lgt' has no attribute {name!r}")
    try:
        module = import_module(_HOME_OF[name])
    except ModuleNotFoundError as error:
        from lgt.extras import MissingExtraError, missing

        if (text := missing(error.name or "")) is None:
            raise
        raise MissingExtraError(f"lgt.{name}: {text}", name=error.name) from error
    value: object = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
