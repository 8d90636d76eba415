"""Folders of images to folders of latents: what is written, kept, redone and refused."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
import torch
from limits import HANG
from PIL import Image
from toys import make_images, picture

import lgt.data.preprocess as module
from lgt.codec import DCTCodec
from lgt.data.pictures import Decoder, crop_window
from lgt.data.preprocess import PreprocessReport, Progress, preprocess_folder
from lgt.data.store import Manifest, load_latent
from lgt.errors import CodecError, InputError
from lgt.image import open_image, preprocess, save_image

if TYPE_CHECKING:
    from pathlib import Path


def run(raw: Path, out: Path, **options: Any) -> PreprocessReport:
    return preprocess_folder(raw, out, **{"target_size": 32, "codec": "dct:4", **options})


def latents(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*.pt"))


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return make_images(tmp_path / "raw", ["a/1.png", "a/sub/deep/2.PNG", "b/1.jpg", "b/3.webp"])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_the_documented_layout(raw: Path, out: Path) -> None:
    (raw / "a" / "notes.txt").write_text("no image")
    (raw / "b" / "._3.webp").write_text("hidden")
    (raw / ".cache").mkdir()
    report = run(raw, out, batch_size=3)
    assert latents(out) == ["a/1.pt", "a/sub/deep/2.pt", "b/1.pt", "b/3.pt"]
    assert sorted(report.written) == latents(out)
    assert (report.skipped, report.failed, report.removed) == ([], [], [])
    codec = DCTCodec(4)
    for name in ("a/1.png", "b/1.jpg"):
        value = torch.load(out / name.replace(name[-3:], "pt"), weights_only=True)
        assert (value.shape, value.dtype) == ((4, 4, 4), torch.float32)
        assert value.is_contiguous()
        torch.testing.assert_close(value, codec.encode(preprocess(raw / name, 32))[0])
    manifest = Manifest.load(out)
    assert manifest.codec == codec.spec
    assert (manifest.target_size, manifest.precision) == (32, "float32")
    assert manifest.files["a/sub/deep/2.pt"].source == "a/sub/deep/2.PNG"
    assert not [p for p in out.rglob("*") if p.suffix == ".tmp"]


def test_a_second_run_skips_what_matches(raw: Path, out: Path) -> None:
    run(raw, out)
    before = {name: (out / name).stat().st_mtime_ns for name in latents(out)}
    report = run(raw, out)
    assert report.written == []
    assert sorted(report.skipped) == latents(out)
    assert {name: (out / name).stat().st_mtime_ns for name in latents(out)} == before


def test_a_changed_image_is_encoded_again(raw: Path, out: Path) -> None:
    run(raw, out)
    old = load_latent(out / "a/1.pt")
    save_image(picture(77), raw / "a/1.png")
    assert run(raw, out).written == ["a/1.pt"]
    assert not torch.equal(load_latent(out / "a/1.pt"), old)


def test_missing_and_cut_latents_are_made_again(raw: Path, out: Path) -> None:
    run(raw, out)
    wanted = load_latent(out / "b/1.pt")
    (out / "a/1.pt").unlink()
    (out / "b/1.pt").write_bytes((out / "b/1.pt").read_bytes()[:-100])
    assert sorted(run(raw, out).written) == ["a/1.pt", "b/1.pt"]
    assert torch.equal(load_latent(out / "b/1.pt"), wanted)


def test_latents_of_deleted_images_go(raw: Path, out: Path) -> None:
    run(raw, out)
    (raw / "b/3.webp").unlink()
    report = run(raw, out)
    assert report.removed == ["b/3.pt"]
    assert (
        latents(out) == sorted(Manifest.load(out).files) == ["a/1.pt", "a/sub/deep/2.pt", "b/1.pt"]
    )


def test_styles_of_another_raw_folder_stay(raw: Path, out: Path, tmp_path: Path) -> None:
    run(raw, out)
    other = make_images(tmp_path / "other", ["c/1.png"])
    assert run(other, out).removed == []
    assert set(Manifest.load(out).files) == {
        "a/1.pt",
        "a/sub/deep/2.pt",
        "b/1.pt",
        "b/3.pt",
        "c/1.pt",
    }


def test_broken_files_do_not_stop_the_run(raw: Path, out: Path) -> None:
    (raw / "a/0.jpg").write_text("not an image")
    (raw / "a/9.png").touch()
    data = (raw / "b/1.jpg").read_bytes()
    (raw / "b/2.jpg").write_bytes(data[: len(data) // 2])
    report = run(raw, out)
    assert len(report.written) == 4
    reasons = {path.relative_to(raw).as_posix(): reason for path, reason in report.failed}
    assert list(reasons) == ["a/0.jpg", "a/9.png", "b/2.jpg"]
    assert reasons["a/0.jpg"].startswith("not an image that can be read")
    assert reasons["a/9.png"] == "the file is empty (0 bytes)"
    assert reasons["b/2.jpg"].startswith("the image is damaged or incomplete")
    again = run(raw, out)
    assert (len(again.skipped), len(again.failed)) == (4, 3)


def test_a_file_that_breaks_later_takes_its_latent_along(raw: Path, out: Path) -> None:
    run(raw, out)
    (raw / "a/1.png").write_text("broken now")
    report = run(raw, out)
    assert report.removed == ["a/1.pt"]
    assert "a/1.pt" not in latents(out)
    assert "a/1.pt" not in Manifest.load(out).files


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_size": 16}, r"target_size: 32 -> 16"),
        ({"codec": "dct:5"}, r"codec: dct:4 \([0-9a-f]{16}\) -> dct:5"),
        ({"dtype": torch.bfloat16}, r"precision: float32 -> bfloat16"),
    ],
)
def test_other_settings_are_refused_until_overwrite(
    raw: Path, out: Path, options: dict[str, Any], message: str
) -> None:
    run(raw, out)
    with pytest.raises(InputError, match=rf"(?s)made with other settings:.*{message}.*--overwrite"):
        run(raw, out, **options)
    report = run(raw, out, overwrite=True, **options)
    assert len(report.written) == 4
    assert len(run(raw, out, **options).skipped) == 4


def test_overwrite_makes_everything_anew(raw: Path, out: Path) -> None:
    run(raw, out)
    (raw / "b/3.webp").unlink()
    report = run(raw, out, overwrite=True)
    assert len(report.written) == 3
    assert latents(out) == sorted(report.written)


def test_images_that_share_a_name_keep_apart(tmp_path: Path, out: Path) -> None:
    names = ["s/img.jpg", "s/img.png", "s/img.jpg.png", "s/IMG2.png", "s/img2.jpg", "s/solo.png"]
    raw = make_images(tmp_path / "raw", [*names, "t/img.png", "s/solo@flip.png"])
    report = run(raw, out)
    assert len(report.written) == 8
    shared = ["s/img.jpg.pt", "s/img.png.pt", "s/img.jpg.png.pt", "s/IMG2.png.pt", "s/img2.jpg.pt"]
    assert latents(out) == sorted([*shared, "s/solo.pt", "s/solo@flip.pt", "t/img.pt"])
    assert len(run(raw, out).skipped) == 8
    run(raw, out, hflip=True)  # now solo's mirror image would take the place of solo@flip.png
    assert {"s/solo.png.pt", "s/solo.png@flip.pt", "s/solo@flip.png.pt"} <= set(latents(out))
    assert {e.source for e in Manifest.load(out).files.values()} == {
        p.relative_to(raw).as_posix() for p in raw.rglob("*.*")
    }
    assert len(latents(out)) == 16


def test_crops_and_mirror_images(tmp_path: Path, out: Path) -> None:
    raw = tmp_path / "raw"
    save_image(picture(0, (96, 48)), raw / "s/wide.png")
    save_image(picture(1, (48, 48)), raw / "s/square.png")
    run(raw, out)
    centre = load_latent(out / "s/wide.pt")
    report = run(raw, out, num_crops=3, hflip=True)
    assert len(report.skipped) == 2  # the centres were there
    assert len(report.written) == 10
    variants = ["", "@flip", "@crop1", "@crop1@flip", "@crop2", "@crop2@flip"]
    assert latents(out) == sorted(f"s/{n}{v}.pt" for n in ("wide", "square") for v in variants)
    assert torch.equal(load_latent(out / "s/wide.pt"), centre)
    for name in ("wide", "square"):
        values = [load_latent(out / f"s/{name}{v}.pt") for v in variants]
        for i, first in enumerate(values):
            for second in values[:i]:
                assert (first - second).abs().max() > 0.01
    image = open_image(raw / "s/wide.png")
    codec = DCTCodec(4)
    mirrored = codec.encode(preprocess(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 32))[0]
    torch.testing.assert_close(load_latent(out / "s/wide@flip.pt"), mirrored, atol=0.05, rtol=0)
    left = codec.encode(preprocess(image.crop((0, 0, 48, 48)), 32))[0]
    torch.testing.assert_close(load_latent(out / "s/wide@crop1.pt"), left, atol=0.05, rtol=0)
    fewer = run(raw, out, num_crops=2)
    assert len(fewer.removed) == 8
    assert len(fewer.skipped) == 4


def test_crop_windows() -> None:
    assert crop_window(0, 100, 100) == ((0.5, 0.5), 1.0)
    assert crop_window(0, 300, 100) == ((0.5, 0.5), 1.0)
    assert crop_window(1, 300, 100)[1] == 1.0
    assert crop_window(1, 100, 100)[1] == 1.25
    positions = [crop_window(k, 300, 100)[0] for k in range(1, 30)]
    assert [x for x, _ in positions[:5]] == [0, 1, 0.25, 0.75, 0.125]
    assert len(set(positions)) == 29
    assert all(0 <= p <= 1 for position in positions for p in position)


def test_images_outside_of_styles_are_mentioned(raw: Path, out: Path) -> None:
    save_image(picture(0), raw / "loose.png")
    with pytest.warns(UserWarning, match=r"1 image\(s\) directly in .*belong to no style"):
        assert len(run(raw, out).written) == 4


def test_symbolic_links_are_followed_but_not_in_circles(
    raw: Path, out: Path, tmp_path: Path
) -> None:
    far = make_images(tmp_path / "far", ["x.png"])
    (raw / "linked").symlink_to(far, target_is_directory=True)
    (raw / "a" / "circle").symlink_to(raw / "a", target_is_directory=True)
    run(raw, out)
    assert latents(out) == ["a/1.pt", "a/sub/deep/2.pt", "b/1.pt", "b/3.pt", "linked/x.pt"]


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_progress_and_threads(raw: Path, out: Path, num_workers: int) -> None:
    (raw / "a/0.jpg").write_text("broken")
    seen: list[Progress] = []
    run(raw, out, num_workers=num_workers, progress=seen.append, batch_size=2)
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert seen[-1] == Progress(5, 5, 0, 1)
    run(raw, out, num_workers=num_workers, progress=seen.append)
    assert seen[-1] == Progress(5, 5, 4, 1)


class WaitingCodec(DCTCodec):
    """Encodes its first batch only when something is decoded meanwhile."""

    def __init__(self) -> None:
        super().__init__(4)
        self.at_work, self.seen_beside = threading.Event(), threading.Event()

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        self.at_work.set()
        assert self.seen_beside.wait(HANG), "nothing was decoded while a batch was encoded"
        return super().encode(images)


def test_decoding_runs_beside_encoding(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = make_images(tmp_path / "raw", [f"s/{i:02d}.png" for i in range(30)])
    codec, begun, taken, ahead = WaitingCodec(), [0], [0], []
    original = Decoder.decode

    def decode(self: Decoder, source: Any) -> Any:
        if int(source.path.stem) >= 2:  # Of the second batch, so that the first can be encoded.
            assert codec.at_work.wait(HANG)
            codec.seen_beside.set()
        begun[0] += 1
        ahead.append(begun[0] - taken[0])
        return original(self, source)

    monkeypatch.setattr(Decoder, "decode", decode)
    run(raw, out, codec=codec, batch_size=2, progress=lambda p: taken.__setitem__(0, p.done))
    assert len(ahead) == 30
    assert max(ahead) <= 2 * 2 + 2 + 2 + 1  # bounded: two batches, the threads, one batch waiting


class BrokenCodec(DCTCodec):
    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(4)
        self.error = error

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        if self.error is not None:
            raise self.error
        values = super().encode(images)
        values[0] = float("nan")
        return values


def test_latents_that_are_not_finite_are_failures(raw: Path, out: Path) -> None:
    report = run(raw, out, codec=BrokenCodec(), batch_size=2, hflip=True)
    assert {reason for _, reason in report.failed} == {
        "the codec gave nan or inf; try --precision fp32"
    }
    assert len(report.failed) == 4
    assert latents(out) == []


@pytest.mark.parametrize(
    "error",
    [RuntimeError("CUDA out of memory."), RuntimeError("can't allocate memory"), MemoryError()],
)
def test_out_of_memory_says_what_to_do(raw: Path, out: Path, error: Exception) -> None:
    with pytest.raises(CodecError, match="while encoding 4 pictures; lower --batch_size, or use"):
        run(raw, out, codec=BrokenCodec(error))


def test_other_failures_of_a_codec_are_not_hidden(raw: Path, out: Path) -> None:
    with pytest.raises(RuntimeError, match="something else"):
        run(raw, out, codec=BrokenCodec(RuntimeError("something else")))


def test_an_interrupted_run_keeps_what_it_did(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = make_images(tmp_path / "raw", [f"s/{i}.png" for i in range(8)])

    def stop(state: Progress) -> None:
        if state.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(raw, out, batch_size=2, progress=stop)
    monkeypatch.setattr(module, "_SAVE_SECONDS", 0.0)
    report = run(raw, out)
    assert len(report.skipped) == 4
    assert len(report.written) == 4
