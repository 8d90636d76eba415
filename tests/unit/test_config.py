"""The configuration: what is accepted, and what each mistake is answered with."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from lgt.config import (
    Config,
    config_from_dict,
    config_to_dict,
    load_config,
    parse_config,
)
from lgt.config.document import commented_json, markdown
from lgt.config.presets import PRESETS, preset
from lgt.config.reference import all_keys
from lgt.errors import ConfigError, InputError
from lgt.model.checkpoint import Checkpoint
from lgt.model.shipped import EMBEDDED, find_model


def message_of(text: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, overrides)
    return str(caught.value)


def test_no_file_gives_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config() == Config()


def test_config_json_of_the_working_directory_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text('{"training": {"batch_size": 3}}')
    assert load_config().training.batch_size == 3
    assert load_config(overrides=["training.batch_size=5"]).training.batch_size == 5


def test_comments_trailing_commas_and_byte_order_mark_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(
        '\ufeff{ /* a\nblock */ "loss": {"w_style": 2, // twice\n "num_projections": 1e2,},}',
        encoding="utf-8",
    )
    loss = load_config(path).loss
    assert (loss.w_style, loss.num_projections) == (2.0, 100)


def test_the_file_of_the_repository_is_complete_and_equals_the_defaults(repository: Path) -> None:
    text = (repository / "config.json").read_text(encoding="utf-8")
    assert text == commented_json(), "run `make docs`"
    assert parse_config(text) == Config()
    assert (repository / "docs" / "configuration.md").read_text(encoding="utf-8") == markdown()
    named = re.findall(r'^ {4}"(\w+)":', text, re.MULTILINE)
    assert named == [key.name for key in all_keys()]


def test_every_key_says_what_it_means() -> None:
    keys = all_keys()
    assert len(keys) > 50
    for key in keys:
        assert key.meaning.endswith("."), f"{key.dotted} needs a docstring that is a sentence"
        assert "<" not in key.legal, f"{key.dotted}: legal values can not be described: {key.legal}"


def test_all_mistakes_are_reported_together() -> None:
    assert message_of('{"inference": {"num_steps": 0, "cfg_scal": 2}}') == (
        "config.json has 2 problems:\n"
        "  - inference: unknown key 'cfg_scal'; did you mean 'cfg_scale'?\n"
        "  - inference.num_steps: must be at least 1 (got 0)"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"modle": {}}', "unknown section 'modle'; did you mean 'model'?"),
        ('{"zzz": {}}', "unknown section 'zzz'; sections are model, loss"),
        ('{"batch_size": 8}', "unknown section 'batch_size'; did you mean training.batch_size?"),
        (
            '{"model": {"batch_size": 8}}',
            "model: unknown key 'batch_size'; did you mean training.batch_size?",
        ),
        (
            '{"model": {"learning_rat": 8}}',
            "model: unknown key 'learning_rat'; did you mean training.learning_rate?",
        ),
        ('{"loss": {"qqq": 8}}', "loss: unknown key 'qqq'; `lgt config explain loss` lists"),
        ('{"loss": 3}', "loss: must be an object of keys (got 3)"),
        ('{"training": {"batch_size": 1.5}}', "must be a whole number (got 1.5)"),
        ('{"training": {"batch_size": "8"}}', 'must be a whole number (got "8")'),
        ('{"training": {"batch_size": true}}', "must be a whole number (got true)"),
        ('{"training": {"batch_size": null}}', "must be a whole number (got null)"),
        ('{"training": {"learning_rate": 0}}', "learning_rate: must be greater than 0 (got 0)"),
        ('{"training": {"learning_rate": NaN}}', "must be a finite number (got NaN)"),
        ('{"training": {"learning_rate": Infinity}}', "must be a finite number (got Infinity)"),
        ('{"training": {"ema_decay": 1.0}}', "ema_decay: must be less than 1 (got 1)"),
        ('{"training": {"label_drop_prob": 1}}', "must be below 1 (got 1): no style label would"),
        ('{"training": {"compile": "yes"}}', 'compile: must be true or false (got "yes")'),
        (
            '{"training": {"solver": "huen"}}',
            "must be one of 'euler' or 'heun' (got \"huen\"); did you mean 'heun'?",
        ),
        ('{"training": {"start_time_range": [0.7, 0.2]}}', "must go from low to high"),
        ('{"training": {"start_time_range": [0, 1, 1]}}', "no more than 2 entries"),
        ('{"training": {"start_time_range": [0]}}', "start_time_range[1]: is absent"),
        ('{"model": {"base_channels": 12}}', "must be a multiple of 8 (got 12)"),
        ('{"model": {"style_kernel_size": 4}}', "style_kernel_size: must be odd (got 4)"),
        ('{"loss": {"patch_dilations": []}}', "must have 1 or more entries (got [])"),
        ('{"loss": {"patch_dilations": [1, 0]}}', "patch_dilations[1]: must be at least 1 (got 0)"),
        ('{"data": {"style_subdirs": []}}', "style_subdirs: must have 1 or more entries"),
        ('{"data": {"style_subdirs": ["a", ""]}}', "must not hold an empty name"),
        ('{"data": {"style_subdirs": ["a", "a"]}}', "must name each style once (twice: a)"),
        (
            '{"data": {"source_subdirs": ["photo"]}}',
            "data.source_subdirs: photo not among data.style_subdirs (style0, style1)",
        ),
        (
            '{"loss": {"content_by_style": {"durer": 1.5}}}',
            "loss.content_by_style: durer not among data.style_subdirs (style0, style1)",
        ),
        (
            '{"loss": {"content_by_style": {"style0": -1}}}',
            "loss.content_by_style.style0: must be at least 0 (got -1)",
        ),
        (
            '{"training": {"target_shares": {"durer": 2}}}',
            "training.target_shares: durer not among data.style_subdirs (style0, style1)",
        ),
        (
            '{"training": {"target_shares": {"style0": 0, "style1": 0}}}',
            "training.target_shares: 0 for every style; leave one above 0",
        ),
        ('{"loss": {"content_by_style": 2}}', "must be an object of names and values (got 2)"),
        (
            '{"model": {"num_styles": 3}}',
            "model.num_styles: 3, but data.style_subdirs names 2 (style0, style1); "
            "set num_styles to 2",
        ),
    ],
)
def test_a_mistake_is_named_with_the_value_seen(text: str, problem: str) -> None:
    message = message_of(text)
    assert message.startswith("config.json has 1 problem:\n  - ")
    assert problem in message


def test_rules_over_several_keys_are_checked_beside_wrong_values() -> None:
    message = message_of('{"model": {"num_styles": 3}, "training": {"batch_size": 0}}')
    assert "has 2 problems" in message
    assert "set num_styles to 2" in message
    assert "batch_size: must be at least 1" in message


def test_a_rule_is_not_reported_for_a_key_that_is_wrong_already() -> None:
    message = message_of('{"model": {"num_styles": "x"}, "data": {"style_subdirs": ["a"]}}')
    assert "has 1 problem:" in message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('{\n "model": {\n  "num_styles": 2\n  "style_dim": 3\n }\n}', ["line 4, column 3"]),
        ('{"a": True}', ["line 1, column 7", 'unexpected "T"']),
        ('{"model": {"style_dim": 3}', ["line 1, column 27", "end of input"]),
        ('{\n"a": "b\n}', ["line 2", "end of line"]),
        ('{"a": {},\n"a": {}}', ["key 'a' is given twice", "lines 1, 2"]),
        ("  \n", ["config.json is empty", "lgt config init"]),
        ("[1]", ["must hold an object of sections"]),
    ],
)
def test_syntax_errors_say_where(text: str, parts: list[str]) -> None:
    message = message_of(text)
    for part in parts:
        assert part in message


def test_a_missing_file_or_a_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.json does not exist; `lgt config init"):
        load_config(tmp_path / "nowhere.json")
    with pytest.raises(ConfigError, match="can not be read"):
        load_config(tmp_path)
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="can not be read"):
        load_config(tmp_path / "binary.json")


def test_overrides_parse_json_and_fall_back_to_text() -> None:
    config = parse_config(
        "{}",
        [
            "data.codec=dct:48",
            "data.data_root=2024",
            "training.learning_rate=3e-4",
            "inference.use_cfg=false",
            'data.style_subdirs=["a", "b", "c"]',
            "model.num_styles=3",
            "training.start=noise",
            "training.batch_size=4",
            "training.batch_size=5",
        ],
    )
    assert config.data.codec == "dct:48"
    assert config.data.data_root == "2024"
    assert config.training.learning_rate == 3e-4
    assert config.inference.use_cfg is False
    assert config.data.style_subdirs == ("a", "b", "c")
    assert config.training.start == "noise"
    assert config.training.batch_size == 5


@pytest.mark.parametrize("item", ["batch_size=3", "training.batch_size", "=3", "training.=3", ""])
def test_a_malformed_override_is_said(item: str) -> None:
    assert "must be section.key=value" in message_of("{}", item)


def test_mistakes_of_file_and_overrides_come_together() -> None:
    message = message_of('{"loss": {"w_style": -1}}', "loss.w_styl=3", "training.batch_size=0")
    assert "has 3 problems" in message
    assert "did you mean 'w_style'?" in message


def test_a_dictionary_gives_the_same_configuration_back() -> None:
    config = parse_config('{"loss": {"patch_dilations": [1]}, "training": {"seed": 7}}')
    values = config_to_dict(config)
    assert config_from_dict(json.loads(json.dumps(values))) == config
    with pytest.raises(ConfigError, match="checkpoint has 1 problem"):
        config_from_dict({"model": {"gone": 1}}, "checkpoint")


def test_a_configuration_can_not_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Config().training.batch_size = 3


def test_presets_are_configurations(repository: Path) -> None:
    """Each is one of its own; the shipped one is the model's, and the example with its reasons."""
    assert list(PRESETS) == ["default", "plain", "painters", "large", "ot_cfm"]
    found = [preset(name) for name in PRESETS]
    assert found[0] == Config()
    for number, each in enumerate(found):
        assert parse_config(commented_json(each)) == each
        assert each not in found[:number]
    for name in ("painters", "large"):
        assert load_config(repository / "examples" / f"{name}.json") == preset(name)
    shipped = Checkpoint.load(find_model(EMBEDDED)).config
    trained = shipped.model.model_copy(update={"num_corrector_blocks": 0})  # Which comes later.
    assert preset("large") == shipped.model_copy(update={"model": trained})
    with pytest.raises(InputError, match=r"no preset 'raw'; presets are default, plain, painters"):
        preset("raw")


def test_a_list_with_a_wrong_entry_is_not_called_too_short() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config('{"loss": {"content_scales": [0]}}')
    assert "content_scales[0]: must be at least 1 (got 0)" in str(caught.value)
    assert "entries" not in str(caught.value)
