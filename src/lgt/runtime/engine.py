"""The engine on OpenVINO or ONNX Runtime: released models, without torch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
from PIL import Image

from lgt import __version__
from lgt.errors import InputError
from lgt.extras import torch_advice
from lgt.files import weights_fingerprint
from lgt.image.tiling import Area, areas_of, inside, slices
from lgt.model.shipped import CODEC_FILE, EMBEDDED, find_model
from lgt.model.style_book import StyleBook
from lgt.model.style_file import model_hash
from lgt.model.styles import Style
from lgt.paint.compose import paint
from lgt.paint.controls import Controls, Progress
from lgt.paint.engine import LEAST_CANVAS, Facts, Pixels, Transport
from lgt.paint.provenance import CodecRecord, FileRecord
from lgt.paint.sampler import Sampler, Training, told_sampler
from lgt.runtime.engines import Run, choose_backend, choose_precision, start
from lgt.runtime.noise import Noise
from lgt.runtime.path import EVALUATIONS, Velocity, beyond_one_step, guided, integrate, repelled
from lgt.runtime.time_layers import NOT_KNOWN
from lgt.runtime.weights import Array, keeps_works, read_model, read_weights

MAX_PIXELS = 2**21
"""Most pixels of a picture in one piece: activations need about 1.2 kB each."""

TILE, HALO = 80, 20
"""Side of a tile in latents, without what it sees around itself: more than the codec does."""

_MAX_GRAPHS = 16
_CHANNELS, _DOWNSCALE = 4, 8


class Runtime(StyleBook):
    """A released model on OpenVINO or ONNX Runtime; a style's first transfer compiles.

    Args:
        model: A `.safetensors` file of `lgt pack`, or `embedded`.
        backend: `auto`, `openvino` or `onnx`.
        precision: `fp32`; `bf16` (OpenVINO, on processors that have it); `int8` (OpenVINO, the
            codec in integers, made with NNCF); `auto`, the faster one of the first two.
        threads: Threads to compute on; None leaves it to the backend.
        changes: Configuration keys to change, `SECTION.KEY=VALUE`.
        sampler: Arguments of `lgt.paint.sampler.choose_sampler`, such as `num_steps`.

    Raises:
        InputError: An argument is not usable, or the sampler one that `precision` does not do.
        CheckpointError: The model is not one that these graphs express.
    """

    def __init__(
        self,
        model: str | Path = EMBEDDED,
        backend: str = "auto",
        *,
        precision: str = "auto",
        threads: int | None = None,
        changes: Sequence[str] = (),
        sampler: Mapping[str, float | bool | None] = MappingProxyType({}),
    ) -> None:
        self.path = find_model(model)
        self.name = EMBEDDED if model == EMBEDDED else self.path.name
        self.config, self.trained_config, side = read_model(self.path, changes)
        self.canvas = max(LEAST_CANVAS, side * _DOWNSCALE)
        inference = self.config["inference"]
        self.detail, self.color = (float(inference.get(key, 0.0)) for key in ("detail", "color"))
        self.training = Training.of(self.trained_config)
        self.sampler = told_sampler(Sampler.of(self.config), self.training, **sampler)
        self._codes: list[Array] = []
        super().__init__(
            self.config["data"]["style_subdirs"],
            self.config["data"].get("source_subdirs", ()),
            lambda: model_hash(self._weights()),
            self._take_in,
        )
        self.backend = choose_backend(backend)
        self.precision = choose_precision(self.backend, precision)
        self._check_sampler(self.sampler)
        self.threads = threads
        self._runs: dict[str, Run] = {}

    @property
    def styles(self) -> StyleBook:
        """The model's styles."""
        return self

    @cached_property
    def facts(self) -> Facts:
        """What it is."""
        keys, now, then = ("detail", "color", "source_subdirs"), self.config, self.trained_config
        absent = {"color": 0.0}  # In models from before there was this key.
        pairs = {
            f"{section}.{key}": tuple(c[section].get(key, absent.get(key)) for c in (now, then))
            for section in now
            for key in keys
        }
        return Facts(
            model=FileRecord(name=self.name, sha256=weights_fingerprint(read_weights(self.path))),
            codec=CodecRecord(
                name="embedded",
                fingerprint=weights_fingerprint(read_weights(CODEC_FILE)),
                source="embedded",
            ),
            device=self.backend,
            precision=self.precision,
            trained=Sampler.of(then),
            changes={name: new for name, (new, old) in pairs.items() if new != old},
        )

    @property
    def keeps_works(self) -> bool:
        """Whether the model has kept how its works look; refining them takes torch."""
        return keeps_works(self.path)

    @property
    def multiple(self) -> int:
        """Sides of pictures must be multiples of this, in pixels."""
        return _DOWNSCALE

    @property
    def batch_pixels(self) -> int:
        """Pixels of the frames that are best painted at once: one frame, as graphs take one."""
        return 1

    def stylize(
        self,
        image: Image.Image,
        style: Style,
        *,
        mask: Image.Image | None = None,
        detail_mask: Image.Image | None = None,
        source_style: str | int | None = None,
        seed: int | None = None,
        **controls: Any,
    ) -> Image.Image:
        """Give a picture a style; the result has its size and its alpha.

        Args:
            image: Any picture.
            style: Name, id, or a mapping from styles to weights.
            mask: White is painted, black stays the photo.
            detail_mask: Where `detail` applies.
            source_style: Style that the picture has, if known.
            seed: Of the sampler's noise, if it draws any: that of torch's; None draws anew.
            controls: Fields of `lgt.paint.controls.Controls`, such as `strength` or `detail`.

        Raises:
            InputError: There is no such style, or a value is out of range.
        """
        chosen = Controls(**controls)
        transport = Transport(
            style=self.style_weights(style),
            sampler=self.sampler,
            source=None if source_style is None else self.style_id(source_style),
            seed=seed,
            repulsion=chosen.repulsion,
        )
        return paint(image, self, transport, chosen, mask=mask, detail_mask=detail_mask)

    def encode(self, pictures: Pixels, tile: int | None, progress: Progress) -> Array:
        """Return the scaled latents of pictures.

        Raises:
            InputError: In integers pictures are painted in one piece.
        """
        if self.precision == "int8":
            height, width = pictures.shape[-2:]
            raise InputError(
                f"{width} x {height} pixels: int8 takes at most {MAX_PIXELS}, without tiles, "
                "repulsion and detail masks; use --precision bf16 or fp32, or --max_side 1448"
            )
        run = self._run("encoder", lambda: _graphs().encoder_graph(dict(read_weights(CODEC_FILE))))
        height, width = (side // _DOWNSCALE for side in pictures.shape[-2:])
        result = np.empty((len(pictures), _CHANNELS, height, width), np.float32)
        for index, own, seen in self._areas(result, tile, progress):
            part = run({"image": _cut(pictures, index, seen, _DOWNSCALE)})
            result[index][(..., *slices(own))] = part[0][(..., *slices(inside(own, seen)))]
        return result

    def move(
        self, x_src: Array, transport: Transport, tile: int | None, progress: Progress
    ) -> Array:
        """Return `x_1`, the latents at the end of the path from `x_src`."""
        sampler, source = transport.sampler, transport.source
        velocity = self._velocity(x_src, self._code(transport.style), source)
        if sampler.is_guided:
            null = self._velocity(x_src, self._table[NOT_KNOWN], source)
            velocity = guided(velocity, null, sampler)
        if transport.repulsion:
            own = self._velocity(x_src, self._code({self.own_style(source): 1.0}), source)
            velocity = repelled(velocity, own, transport.repulsion)
        evaluations = EVALUATIONS[sampler.solver] * sampler.num_steps
        done = iter(range(1, evaluations + 1))

        def reported(x: Array, t: float) -> Array:
            drift = velocity(x, t)
            progress(next(done) / evaluations)
            return drift

        return integrate(
            reported,
            x_src,
            sampler,
            Noise(transport.seed),
            is_noise_shared=transport.is_noise_shared,
        )

    def refine(
        self, x_1: Array, x_src: Array, transport: Transport, refinement: Any, progress: Progress
    ) -> Array:
        """Refuse: graphs have no gradients."""
        raise InputError(
            f"refine: {self.backend} computes no gradients; that needs --backend torch"
            f"{torch_advice()}"
        )

    def decode(self, latents: Array, tile: int | None, progress: Progress) -> Pixels:
        """Return the pictures of scaled latents."""
        run = self._run("decoder", lambda: _graphs().decoder_graph(dict(read_weights(CODEC_FILE))))
        sides = [side * _DOWNSCALE for side in latents.shape[-2:]]
        result = np.empty((len(latents), 3, *sides), np.float32)
        for index, own, seen in self._areas(latents, tile, progress):
            part = run({"latent": _cut(latents, index, seen)})
            inner = slices(inside(own, seen), _DOWNSCALE)
            result[index][(..., *slices(own, _DOWNSCALE))] = part[0][(..., *inner)]
        return result

    def at_once(
        self, pictures: Pixels, transport: Transport, strength: float, residual: float
    ) -> Pixels | None:
        """Return the painted pictures by one graph, which int8 needs; else None.

        In parts the same takes as long, half of the memory, and less to keep for each style.
        """
        is_large = pictures[0, 0].size > MAX_PIXELS
        if self.precision != "int8" or transport.repulsion or is_large:
            return None
        self._check_sampler(transport.sampler)
        code, has_residual = self._code(transport.style), residual > 0
        run = self._run(
            f"{_digest(code)} {transport.source} {has_residual}",
            lambda: _graphs().transfer_graph(
                self._weights(),
                dict(read_weights(CODEC_FILE)),
                code,
                transport.source,
                has_residual=has_residual,
            ),
        )
        numbers = {"strength": strength} | ({"residual": residual} if has_residual else {})
        given = {name: np.array(value, np.float32) for name, value in numbers.items()}
        parts = [run({"image": np.ascontiguousarray(one[None]), **given}) for one in pictures]
        return np.concatenate(parts)

    def graph(self, style: Style, *, has_residual: bool = True) -> bytes:
        """Return the ONNX model of a style; see :func:`lgt.runtime.graph.transfer_graph`.

        Raises:
            InputError: The model's sampler takes more than one plain step.
        """
        self.check_one_step()
        code, codec = self.code(style), dict(read_weights(CODEC_FILE))
        made: bytes = _graphs().transfer_graph(
            self._weights(), codec, code, has_residual=has_residual
        )
        return made

    def code(self, style: Style) -> Array:
        """Return the code of a style or blend; see :meth:`lgt.runtime.graph.Graph.velocity`."""
        return self._code(self.style_weights(style))

    def check_one_step(self) -> None:
        """Refuse to write graphs of one step for a model that takes more.

        Raises:
            InputError: Names what of its sampler is more.
        """
        if found := beyond_one_step(self.sampler):
            raise InputError(
                f"{self.name}: an exported graph takes one plain step, and this model paints with "
                f"{', '.join(found)}; train one with inference.num_steps=1 and "
                "inference.use_cfg=false"
            )

    def _velocity(self, x_src: Array, code: Array, source: int | None) -> Velocity:
        """Return the network's velocity towards a style."""
        name = f"velocity {_digest(code)} {source}"
        run = self._run(name, lambda: _graphs().velocity_graph(self._weights(), code, source))

        def velocity(x: Array, t: float) -> Array:
            given = {"time": np.array(t, np.float32)}
            rows = [slice(i, i + 1) for i in range(len(x))]
            photos = [{"photo": x_src[row]} if self._sees_photo else {} for row in rows]
            parts = [
                run({"latent": x[row], **photo, **given})
                for row, photo in zip(rows, photos, strict=True)
            ]
            return np.concatenate(parts)

        return velocity

    @cached_property
    def _sees_photo(self) -> bool:
        """Whether the network looks at the photo beside the state."""
        return bool(self.config["model"]["condition_on_source"])

    def _check_sampler(self, sampler: Sampler) -> None:
        """Refuse what integers do not do: all but one plain step."""
        if self.precision == "int8" and (found := beyond_one_step(sampler)):
            raise InputError(
                f"--precision int8 does not do {', '.join(found)}; use --precision bf16 or fp32"
            )

    def _take_in(self, code: Array) -> int:
        self._codes.append(code)
        return len(self.style_names)

    def _code(self, style: Mapping[int, float]) -> Array:
        """Return the code `sum_i w_i c_i` of a blend, longer where added styles take part."""
        table = self._table
        own = len(self.style_names) - len(self._codes)
        codes = [table[i] if i < own else self._codes[i - own] for i in style]
        result = np.zeros(max(map(len, codes)), np.float32)
        for code, weight in zip(codes, style.values(), strict=True):
            result[: len(code)] += np.float32(weight) * code
        return result

    def _weights(self) -> dict[str, Array]:
        """Return the network's weights, which are not held: graphs have their own."""
        return dict(read_weights(self.path))

    @cached_property
    def _table(self) -> Array:
        """The codes of the model's own styles."""
        return next(v for k, v in read_weights(self.path) if k == "style_embedding.table.weight")

    @cached_property
    def _identity(self) -> list[str]:
        """All that decides the graphs but the style."""
        here = Path(__file__)
        names = ("graph.py", "int8.py", "style_layers.py", "time_layers.py")
        code = [here.with_name(name) for name in names]
        code.append(here.parents[1] / "codec" / "kernels.py")
        files = (self.path, CODEC_FILE, *code)
        return [__version__, *(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)]

    def _areas(
        self, latents: Array, tile: int | None, progress: Progress
    ) -> Iterator[tuple[int, Area, Area]]:
        """Yield index, own and seen area of each tile of latents.

        Tiles see as much around themselves as the codec does: nothing changes but rounding.
        """
        height, width = latents.shape[-2:]
        side = TILE if tile is None else max(1, tile // _DOWNSCALE)
        is_whole = height * width * _DOWNSCALE**2 <= MAX_PIXELS if tile is None else tile == 0
        areas = list(areas_of(height, width, max(height, width) if is_whole else side, HALO))
        for index in range(len(latents)):
            for number, (own, seen) in enumerate(areas, start=1):
                yield index, own, seen
                progress((index + number / len(areas)) / len(latents))

    def _run(self, name: str, graph: Callable[[], bytes]) -> Run:
        if name not in self._runs:
            while len(self._runs) >= _MAX_GRAPHS:
                self._runs.pop(next(iter(self._runs)))
            self._runs[name] = start(
                self.backend, self.precision, self.threads, [*self._identity, name], graph
            )
        return self._runs[name]


def _graphs() -> ModuleType:
    """Return the module that makes graphs: it loads onnx, which is not needed for those kept."""
    from lgt.runtime import graph

    return graph


def _cut(values: Array, index: int, area: Area, factor: int = 1) -> Array:
    return np.ascontiguousarray(values[index : index + 1][(..., *slices(area, factor))])


def _digest(code: Array) -> str:
    return hashlib.sha256(code.tobytes()).hexdigest()[:16]
