"""Pictures of several frames, mirrored videos and long sound."""

from __future__ import annotations

import io
import struct
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import toys
from PIL import Image
from PIL.PngImagePlugin import PngInfo

pytest.importorskip("av", reason="the extra `video` is not installed")

from clips import scene, write_clip

from lgt.errors import InputError
from lgt.image.moving import left_out, num_frames, result_suffix
from lgt.image.profile import srgb_profile
from lgt.inference import LGTInference
from lgt.paint.provenance import read_provenance
from lgt.video import is_video_job, transfer_video
from lgt.video.read import open_clip
from lgt.web import uploads

SIZE = (48, 32)
DURATIONS = [40, 120, 80, 200]


@pytest.fixture(scope="module")
def lgt(tmp_path_factory: pytest.TempPathFactory) -> LGTInference:
    return LGTInference(toys.write_model(tmp_path_factory.mktemp("m") / "toy.pt"), device="cpu")


def animation(path: Path, *, loop: int = 3, **options: object) -> Path:
    frames = [Image.fromarray(f) for f in scene(4, *SIZE, noise=0)]
    lossless = {"lossless": True} if path.suffix == ".webp" else {}
    kind = {".apng": "PNG"}.get(path.suffix)
    frames[0].save(
        path,
        format=kind,
        save_all=True,
        append_images=frames[1:],
        **{"duration": DURATIONS, "loop": loop, **lossless, **options},
    )
    return path


def shown(path: Path) -> tuple[list[int], int | None]:
    """Return the durations of the frames, in ms, and the loop entry."""
    with Image.open(path) as image:
        durations = []
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            image.load()
            durations.append(round(image.info.get("duration") or 0))
        return durations, image.info.get("loop")


@pytest.mark.parametrize(
    ("source", "output", "loop"),
    [
        ("a.webp", "b.webp", 3),
        ("a.png", "b.png", 3),
        ("a.apng", "b.apng", 3),
        ("a.webp", "b.apng", 3),
        ("a.png", "b.webp", 3),
        ("a.webp", "b.gif", 2),  # GIF counts repetitions.
        ("a.gif", "b.gif", 3),
        ("a.gif", "b.webp", 4),
    ],
)
def test_frames_times_and_loops_stay(
    lgt: LGTInference, tmp_path: Path, source: str, output: str, loop: int
) -> None:
    path = animation(tmp_path / source)
    result = transfer_video(path, tmp_path / output, "paint", lgt=lgt)
    assert shown(tmp_path / output) == (DURATIONS, loop)
    assert (result.num_frames, result.size, result.notes) == (4, SIZE, ())
    copy = transfer_video(path, tmp_path / f"copy{output[1:]}", "paint", lgt=lgt, strength=0)
    assert copy.seconds == pytest.approx(0.44)
    first, second = (np.asarray(Image.open(p).convert("RGB"), int) for p in (path, copy.path))
    assert np.abs(first - second).mean() < 6, "strength 0 gives the frames back"


def test_an_animation_becomes_a_video_and_a_video_an_animation(
    lgt: LGTInference, tmp_path: Path
) -> None:
    transfer_video(animation(tmp_path / "a.webp"), tmp_path / "a.mp4", "paint", lgt=lgt)
    times = [float(frame.time) for frame in open_clip(tmp_path / "a.mp4").frames()]
    assert times == pytest.approx([0, 0.04, 0.16, 0.24], abs=2e-3)
    result = transfer_video(tmp_path / "a.mp4", tmp_path / "back.webp", "paint", lgt=lgt)
    assert result.num_frames == 4 and shown(tmp_path / "back.webp")[0][:3] == [40, 120, 80]


def test_the_still_of_old_programs_and_thumbnails_are_no_frames(tmp_path: Path) -> None:
    still = animation(tmp_path / "a.png", default_image=True, duration=DURATIONS[1:])
    assert open_clip(still).num_frames == 3
    page, small = Image.new("RGB", (40, 30), "red"), Image.new("RGB", (8, 6), "red")
    small.encoderinfo = {"tiffinfo": {254: 1}}
    page.save(tmp_path / "a.tif", save_all=True, append_images=[small])
    with Image.open(tmp_path / "a.tif") as image:
        image.seek(1)
        if image.tag_v2.get(254) == 1:  # As Pillow writes it.
            assert not is_video_job(tmp_path / "a.tif", tmp_path / "b.tif")


def test_pages_of_a_tiff(lgt: LGTInference, tmp_path: Path) -> None:
    pages = [Image.fromarray(f) for f in scene(3, *SIZE, noise=0)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    result = transfer_video(tmp_path / "a.tif", tmp_path / "b.tif", "paint", lgt=lgt)
    assert (result.num_frames, result.seconds) == (3, 0)
    codec = lgt.load_codec()
    with Image.open(tmp_path / "b.tif") as image:
        assert image.n_frames == 3
        image.seek(2)
        alone = lgt.stylize(pages[2], "paint", codec=codec, seed=0)
        difference = np.abs(np.asarray(image, int) - np.asarray(alone, int))
        assert difference.mean() < 1, "a page is painted as a picture is, without the one before"
    with pytest.raises(InputError, match=r"can not be written as '.mp4'; use one of .tif, .tiff"):
        transfer_video(tmp_path / "a.tif", tmp_path / "b.mp4", "paint", lgt=lgt)
    pages[0].save(tmp_path / "m.tif", save_all=True, append_images=[Image.new("RGB", (20, 20))])
    with pytest.raises(InputError, match="pages differ in size"):
        transfer_video(tmp_path / "m.tif", tmp_path / "b.tif", "paint", lgt=lgt)


def test_where_one_picture_is_made_it_is_said(tmp_path: Path) -> None:
    webp, gif = animation(tmp_path / "a.webp"), animation(tmp_path / "a.gif")
    assert is_video_job(webp, tmp_path / "b.webp") and not is_video_job(webp, tmp_path / "b.jpg")
    assert is_video_job(webp, tmp_path) and is_video_job(webp, Path("new"), into_folder=True)
    assert not is_video_job(gif, tmp_path / "b.png"), "its first frame, as ever"
    text = left_out(webp, Path("b.jpg")) or ""
    assert text.startswith(f"{webp}: only the first of its 4 frames is painted, as b.jpg is one")
    Image.new("RGB", SIZE).save(tmp_path / "still.webp")
    assert left_out(tmp_path / "still.webp", Path("b.jpg")) is None
    suffixes = {"a.webp": ".webp", "a.png": ".png", "a.avif": ".webp", "a.tif": ".tif"}
    assert {name: result_suffix(Path(name)) for name in suffixes} == suffixes


def test_the_command_paints_all_frames_or_says_so(tmp_path: Path) -> None:
    model = toys.write_model(tmp_path / "toy.pt")
    source = animation(tmp_path / "a.webp")
    fixed = ("--style", "paint", "--model", model, "--backend", "torch")
    toys.run_lgt("transfer", source, tmp_path / "b.webp", *fixed)
    assert shown(tmp_path / "b.webp") == (DURATIONS, 3)
    made = read_provenance(tmp_path / "b.webp")
    assert made is not None and made.video is not None
    toys.run_lgt("inspect", tmp_path / "b.webp", "--replay", tmp_path / "again.webp")
    assert (tmp_path / "again.webp").read_bytes() == (tmp_path / "b.webp").read_bytes()
    still = toys.run_lgt("transfer", source, tmp_path / "b.jpg", *fixed)
    assert "only the first of its 4 frames is painted" in still.stderr
    toys.run_lgt("transfer", tmp_path / "a.webp", f"{tmp_path}/new/", *fixed)
    assert shown(tmp_path / "new" / "a_paint.webp") == (DURATIONS, 3)


@pytest.mark.parametrize("turn", list(product((False, True), (1, -1), (1, -1))))
def test_all_eight_orientations(tmp_path: Path, turn: tuple[bool, int, int]) -> None:
    frames = scene(2, *SIZE, noise=0)
    source = write_clip(tmp_path / "plain.mp4", frames)
    plain = next(open_clip(source).frames()).pixels(None)
    swaps, x_sign, y_sign = turn
    # x' = a p + c q, y' = b p + d q
    a, b, c, d = (0, y_sign, x_sign, 0) if swaps else (x_sign, 0, 0, y_sign)
    one = 1 << 16
    matrix = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    data, identity = source.read_bytes(), struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    place = data.index(identity, data.index(b"tkhd"))
    (tmp_path / "turned.mp4").write_bytes(data[:place] + matrix + data[place + len(matrix) :])
    clip = open_clip(tmp_path / "turned.mp4")
    got = next(clip.frames()).pixels(None)
    assert clip.size == (SIZE[::-1] if swaps else SIZE)
    wanted = np.zeros_like(got)
    height, width = plain.shape[:2]
    for q, p in product(range(height), range(width)):
        x, y = a * p + c * q, b * p + d * q
        wanted[y % got.shape[0], x % got.shape[1]] = plain[q, p]
    # `-p % width` is `width - p`, one pixel off; so mirrored sides are rolled back by it.
    wanted = np.roll(wanted, ((-1 if y_sign < 0 else 0), (-1 if x_sign < 0 else 0)), (0, 1))
    assert np.array_equal(got, wanted)


def test_sound_longer_than_the_picture_is_no_damage(lgt: LGTInference, tmp_path: Path) -> None:
    import av

    path = tmp_path / "long.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        sound = container.add_stream("aac", rate=48_000)
        for index, pixels in enumerate(scene(6, *SIZE)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        noise = np.random.default_rng(0).normal(0, 0.2, (2, 48_000)).astype(np.float32)
        block = av.AudioFrame.from_ndarray(noise, format="fltp", layout="stereo")
        block.rate, block.pts = 48_000, 0
        container.mux(sound.encode(block))
        container.mux(sound.encode(None))
    result = transfer_video(path, tmp_path / "out.mkv", "paint", lgt=lgt)
    assert (result.num_frames, result.notes) == (6, ())
    data = path.read_bytes()
    assert open_clip(path).reaches_end()
    (tmp_path / "cut.mkv").write_bytes(data[: int(len(data) * 0.8)])
    assert not open_clip(tmp_path / "cut.mkv").reaches_end()


def test_transparency_is_laid_on_white_and_said(lgt: LGTInference, tmp_path: Path) -> None:
    frames = [Image.new("RGBA", SIZE, (200, 0, i, 0)) for i in range(2)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:], duration=50)
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    clip = open_clip(tmp_path / "a.png")
    assert clip.notes and "laid on white" in clip.notes[0]
    assert (next(clip.frames()).pixels(None) == 255).all()


def deep_pages(path: Path, kind: str) -> list[np.ndarray]:
    """Write a TIFF of three pages that Pillow does not read, or not rightly; return its pages."""
    import tifffile

    grey = np.linspace(0, 255, SIZE[0]).round().astype(np.uint8)
    ramp = np.repeat(grey[None], SIZE[1], 0)
    pages = [np.stack([ramp, ramp[:, ::-1], np.full_like(ramp, 60 * i)], -1) for i in range(3)]
    with tifffile.TiffWriter(path) as file:
        for index, page in enumerate(pages):
            deep = page.astype(np.uint16) * 257
            if kind == "planes":
                planes = deep.transpose(2, 0, 1)
                file.write(planes, photometric="rgb", planarconfig="separate")
            elif kind == "white is zero":
                pages[index] = np.repeat(page[..., :1], 3, -1)
                file.write(65535 - deep[..., 0], photometric="miniswhite")
            elif kind == "mixed" and index == 0:
                file.write(page, photometric="rgb")
            else:
                file.write((page / 255).astype(np.float32), photometric="rgb")
        file.write(pages[0][::2, ::2], photometric="rgb", subfiletype=1)
    return pages


@pytest.mark.parametrize("kind", ["planes", "white is zero", "mixed", "float"])
def test_pages_that_only_tifffile_reads_are_all_there_and_right(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("tifffile")
    pages = deep_pages(path := tmp_path / "deep.tif", kind)
    assert num_frames(path) == len(pages)
    assert "first of its 3 pages" in (left_out(path, tmp_path / "b.jpg") or "")
    assert "only the first of its frames" in (
        uploads.left_out(io.BytesIO(path.read_bytes()), "deep") or ""
    )
    clip = open_clip(path)
    assert (clip.animation, clip.num_frames) == ("TIFF", 3)
    for frame, page in zip(clip.frames(), pages, strict=True):
        np.testing.assert_allclose(frame.pixels(None), page, atol=1)


def test_long_texts_do_not_make_an_animation_a_still(tmp_path: Path) -> None:
    texts = PngInfo()
    texts.add_text("parameters", "y" * 2_000_000, zip=True)
    path = animation(tmp_path / "a.png", pnginfo=texts)
    assert num_frames(path) == open_clip(path).num_frames == 4


@pytest.mark.parametrize("suffix", [".webp", ".png", ".apng", ".tif"])
def test_results_of_several_frames_are_tagged_as_srgb(
    lgt: LGTInference, tmp_path: Path, suffix: str
) -> None:
    if suffix == ".tif":
        pages = [Image.fromarray(f) for f in scene(2, *SIZE, noise=0)]
        pages[0].save(path := tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    else:
        path = animation(tmp_path / f"a{suffix}")
    transfer_video(path, tmp_path / f"b{suffix}", "paint", lgt=lgt)
    with Image.open(tmp_path / f"b{suffix}") as image:
        assert image.n_frames == num_frames(path)
        assert image.info.get("icc_profile") == srgb_profile()
