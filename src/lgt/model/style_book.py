"""The styles of a loaded model: its own, and those added to it from style files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from lgt.errors import CheckpointError, InputError
from lgt.model.style_file import SUFFIX, AddedStyle, installed_path
from lgt.model.styles import Style, blend_weights, find_style
from lgt.nn import LGTUNet


class StyleBook:
    """Styles by name, id, blend or file; a file's style is taken in when it is first named.

    Args:
        network: The model's network.
        style_names: Its own styles.
        model_hash: Hash of its weights.
    """

    def __init__(self, network: LGTUNet, style_names: tuple[str, ...], model_hash: str) -> None:
        self.network, self.style_names, self.model_hash = network, style_names, model_hash
        self._added: dict[str, int] = {}
        self.added_styles: dict[str, AddedStyle] = {}

    @property
    def num_styles(self) -> int:
        """Number of styles."""
        return len(self.style_names)

    def style_id(self, style: str | int) -> int:
        """Return the id of a style given by name or id.

        Raises:
            InputError: There is no such style.
        """
        return find_style(self._known(style), self.style_names)

    def style_weights(self, style: Style) -> dict[int, float]:
        """Return the weight of each style id in a style or blend; they sum to 1, none is 0.

        Raises:
            InputError: There is no such style, or the weights are not those of a blend.
        """
        if isinstance(style, Mapping):
            return blend_weights({self._known(s): w for s, w in style.items()}, self.style_names)
        return blend_weights(self._known(style), self.style_names)

    def add_style(self, style: AddedStyle) -> int:
        """Take in a style of `lgt add-style` and return its id; the others stay as they are.

        Its name is the file's, with `-2` and so on appended if that is taken.

        Raises:
            CheckpointError: It was learned with another model.
        """
        if style.model != self.model_hash:
            raise CheckpointError(
                f"style '{style.name}' was learned with another model (that one is "
                f"{style.model[:12]}, this one {self.model_hash[:12]})"
            )
        name, number = style.name, 2
        while name in self.style_names:
            name, number = f"{style.name}-{number}", number + 1
        try:
            style_id = self.network.add_style(style.code)
        except InputError as error:
            raise CheckpointError(f"{style.path or style.name}: {error}") from error
        self.style_names = (*self.style_names, name)
        self.added_styles[name] = style
        return style_id

    def _known(self, style: int | str) -> int | str:
        """Return a style as given; one that is a style file, or installed, is taken in first."""
        if not isinstance(style, str) or style in self.style_names:
            return style
        path = Path(style)
        if not style.endswith(SUFFIX):
            if not re.fullmatch(r"[\w.-]+", style):
                return style
            path = installed_path(style, self.model_hash)
            if not path.is_file():
                return style
        key = str(path.resolve())
        if key not in self._added:
            self._added[key] = self.add_style(AddedStyle.load(path, self.model_hash))
        return self._added[key]
