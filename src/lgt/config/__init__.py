"""Configuration: the schema, and reading `config.json` with overrides."""

from lgt.config.load import (
    change_config,
    config_from_dict,
    config_to_dict,
    load_config,
    parse_config,
    read_stored,
)
from lgt.config.schema import (
    CheckpointConfig,
    Config,
    DataConfig,
    InferenceConfig,
    LossConfig,
    ModelConfig,
    TrainingConfig,
)

__all__ = [
    "CheckpointConfig",
    "Config",
    "DataConfig",
    "InferenceConfig",
    "LossConfig",
    "ModelConfig",
    "TrainingConfig",
    "change_config",
    "config_from_dict",
    "config_to_dict",
    "load_config",
    "parse_config",
    "read_stored",
]
