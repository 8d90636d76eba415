"""Writing a configuration and reading it back gives the same configuration."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, get_args, get_origin

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lgt.config import Config, config_from_dict, config_to_dict, parse_config
from lgt.config.document import commented_json
from lgt.config.problems import SECTIONS
from lgt.config.sizes import LARGEST, LARGEST_NUMBER
from lgt.errors import ConfigError

NUMBERS = {
    int: st.one_of(st.integers(1, 7).map(lambda n: 8 * n), st.sampled_from([1, 3, 5])),
    float: st.floats(0.0, 0.99),
}


def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Draw JSON values of a key's type; they may still break a range."""
    if get_origin(annotation) is Annotated:
        return values_of(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return st.sampled_from(get_args(annotation))
    if get_origin(annotation) is tuple:
        items = get_args(annotation)
        if Ellipsis in items:
            return st.lists(values_of(items[0]), min_size=1, max_size=3)
        return st.lists(values_of(items[0]), min_size=len(items), max_size=len(items)).map(sorted)
    if get_origin(annotation) is dict:  # Keys are styles, which are drawn after it.
        return st.just({})
    if annotation is bool:
        return st.booleans()
    if annotation is str:
        return st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
    return NUMBERS[annotation]


def accepted(section: str, values: dict[str, Any]) -> dict[str, Any]:
    """Keep the values that the section takes one by one."""
    kept = {}
    for key, value in values.items():
        try:
            SECTIONS[section].model_validate_json(json.dumps({key: value}), strict=True)
        except ValidationError:
            continue
        if is_of_a_size(section, key, value):
            kept[key] = value
    return kept


def is_of_a_size(section: str, key: str, value: Any) -> bool:
    """Tell whether numbers are such as networks have."""
    limit = LARGEST.get(key, LARGEST_NUMBER) if section == "model" else LARGEST_NUMBER
    numbers = value if isinstance(value, list) else [value]
    return all(abs(n) <= limit for n in numbers if isinstance(n, (int, float)))


@st.composite
def configurations(draw: st.DrawFn) -> Config:
    values = {}
    for section, model in SECTIONS.items():
        fields = {name: values_of(field.annotation) for name, field in model.model_fields.items()}
        values[section] = accepted(section, draw(st.fixed_dictionaries({}, optional=fields)))
    names = draw(
        st.lists(st.text("abcdefgh é/", min_size=1, max_size=6).filter(str.strip), unique=True)
    ) or ["only"]
    values["data"] |= {"style_subdirs": names, "source_subdirs": names[:1]}
    values["model"]["num_styles"] = len(names)
    values["loss"]["content_by_style"] = draw(
        st.dictionaries(st.sampled_from(names), st.floats(0.0, 9.0))
    )
    values["training"]["target_shares"] = draw(
        st.dictionaries(st.sampled_from(names), st.floats(0.1, 9.0))
    )
    if values["training"].get("start") == "noise":  # Else the photo might never be seen: refused.
        values["model"]["condition_on_source"] = True
    if values["loss"].get("detail"):  # It finds photos by whole latents: refused.
        values["training"]["window"] = 0
    return config_from_dict(values)


@given(configurations())
def test_dictionary_round_trip(config: Config) -> None:
    assert config_from_dict(json.loads(json.dumps(config_to_dict(config)))) == config


@given(configurations())
def test_commented_file_round_trip(config: Config) -> None:
    assert parse_config(commented_json(config)) == config


@given(configurations())
def test_overrides_reproduce_every_key(config: Config) -> None:
    overrides = [
        f"{section}.{key}={json.dumps(value)}"
        for section, keys in config_to_dict(config).items()
        for key, value in keys.items()
    ]
    assert len(overrides) > 50
    assert parse_config("{}", overrides) == config


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=4))
def test_any_value_is_accepted_or_refused_with_a_message(value: Any) -> None:
    for section, model in SECTIONS.items():
        for key in model.model_fields:
            try:
                config_from_dict({section: {key: value}})
            except ConfigError as error:
                assert "problem" in str(error)
