"""The styles of a loaded model: its own, and those added to it from style files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lgt.errors import CheckpointError, InputError
from lgt.model.style_file import SUFFIX, AddedStyle, installed_path
from lgt.model.styles import Style, blend_weights, find_style
from lgt.numbers import is_whole


class StyleBook:
    """Styles by name, id, blend or file; a file's style is taken in when it is first named.

    Args:
        style_names: The model's own styles.
        source_styles: Those that sources were of in the training.
        hash_model: Gives the hash of the model's weights.
        take_in: Takes the code of an added style and gives its id.
    """

    def __init__(
        self,
        style_names: Sequence[str],
        source_styles: Sequence[str],
        hash_model: Callable[[], str],
        take_in: Callable[[np.ndarray[Any, Any]], int],
    ) -> None:
        self.style_names, self.source_styles = tuple(style_names), tuple(source_styles)
        self._hash_model, self._take_in = hash_model, take_in
        self._added: dict[str, int] = {}
        self.added_styles: dict[str, AddedStyle] = {}

    @cached_property
    def model_hash(self) -> str:
        """Hash of the model's weights, which a style file names."""
        return self._hash_model()

    @property
    def painted_styles(self) -> tuple[str, ...]:
        """Names of the styles worth giving: all but `photo` and those that sources were of."""
        plain = {"photo", *self.source_styles}
        return tuple(n for n in self.style_names if n not in plain) or self.style_names

    def own_style(self, source: int | None) -> int:
        """Return the style that sources have: the given one, else `photo`, else the first.

        Raises:
            InputError: It is not known.
        """
        if source is not None:
            return source
        names = [n for n in ("photo", *self.source_styles) if n in self.style_names]
        if not names:
            raise InputError(
                "repulsion needs the style to move away from, and this model has no style "
                f"'photo' (styles: {', '.join(self.style_names)}); give source_style"
            )
        return self.style_names.index(names[0])

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
            style_id = self._take_in(style.code)
        except InputError as error:
            raise CheckpointError(f"{style.path or style.name}: {error}") from error
        self.style_names = (*self.style_names, name)
        self.added_styles[name] = style
        return style_id

    def _known(self, style: int | str) -> int | str:
        """Return a style as given; one that is a style file, or installed, is taken in first.

        Raises:
            InputError: It is neither a name nor an id.
        """
        if is_whole(style):
            return int(style)
        if not isinstance(style, str):
            raise InputError(
                f"a style is a name, an id, or a blend such as {{'monet': 0.5, 'durer': 0.5}} "
                f"(got {style!r:.60})"
            )
        if style in self.style_names:
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
