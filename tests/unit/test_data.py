"""Latents on disk and in memory: files, manifest, dataset, batches."""

from __future__ import annotations

import json
import os
import stat
import time
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import torch

from lgt.codec import CodecSpec, DCTCodec
from lgt.data.dataset import LatentDataset, random_windows, sample_batch
from lgt.data.store import LatentEntry, Manifest, load_latent, open_manifest, save_latent
from lgt.errors import InputError
from lgt.files import atomic_write, remove_stale_temporaries

if TYPE_CHECKING:
    from pathlib import Path

SPEC = CodecSpec("stand-in", "somewhere", 4, scaling_factor=0.5, shift_factor=1.0, fingerprint="f")


def make_latents(root: Path, counts: dict[str, int], *, manifest: bool = True) -> Path:
    """Write latents whose values are constant: 10 x style + number."""
    entries = {}
    for style, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for number in range(count):
            path = f"{name}/img{number:03d}.pt"
            num_bytes = save_latent(torch.full((4, 2, 3), 10.0 * style + number), root / path)
            entries[path] = LatentEntry(f"{path[:-3]}.jpg", "0" * 64, num_bytes=num_bytes)
    if manifest:
        Manifest(SPEC, 24, files=entries).save(root)
    return root


@pytest.mark.skipif(os.name == "nt", reason="files have no such mode there")
def test_files_are_as_readable_as_the_user_wants(tmp_path: Path) -> None:
    """safetensors 0.8 writes for its owner alone, and a style is a file to share."""
    before = os.umask(0o022)
    try:
        with atomic_write(tmp_path / "a.safetensors") as temporary:
            temporary.write_bytes(b"x")
            temporary.chmod(0o600)
        with atomic_write(tmp_path / "link") as temporary:
            temporary.symlink_to("a.safetensors")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.safetensors").stat().st_mode) == 0o644
    assert (tmp_path / "link").is_symlink()


def test_atomic_write_leaves_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as temporary:
        temporary.write_text("half")
        assert temporary.parent == tmp_path
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_only_old_temporaries_are_removed(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    left = []
    for folder in (tmp_path, tmp_path / "sub"):
        with pytest.raises(OSError, match="stop"), atomic_write(folder / "a.pt") as temporary:
            raise OSError("stop")
        temporary.touch()  # as if the process had been killed
        left.append(temporary)
    foreign = tmp_path / "kept.tmp"
    foreign.touch()
    for path in (left[0], foreign):
        os.utime(path, (time.time() - 100,) * 2)
    assert remove_stale_temporaries(tmp_path) == 1
    assert [path.exists() for path in (*left, foreign)] == [False, True, True]


def test_latent_file_holds_nothing_but_the_latent(tmp_path: Path) -> None:
    batch = torch.randn(64, 4, 32, 32).to(memory_format=torch.channels_last)
    num_bytes = save_latent(batch[3].bfloat16(), tmp_path / "new" / "a.pt")
    assert num_bytes == (tmp_path / "new" / "a.pt").stat().st_size < 20_000
    value = torch.load(tmp_path / "new" / "a.pt", weights_only=True)
    assert (value.dtype, value.is_contiguous(), value.shape) == (torch.float32, True, (4, 32, 32))
    assert torch.equal(load_latent(tmp_path / "new" / "a.pt"), batch[3].bfloat16().float())


def test_latent_file_does_not_depend_on_who_wrote_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    latent, files = torch.randn(4, 8, 8), []
    for process in (9, 99_999, 4_194_304):
        monkeypatch.setattr(os, "getpid", lambda process=process: process)
        save_latent(latent, tmp_path / f"{process}.pt")
        files.append((tmp_path / f"{process}.pt").read_bytes())
    assert files[0] == files[1] == files[2]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": 1}, r"expected a tensor of floats \[C, h, w\], found dict"),
        (torch.zeros(4, 2, 2, dtype=torch.int64), r"found dtype torch\.int64"),
        (torch.zeros(2, 2), r"expected a latent \[C, h, w\], found shape \[2, 2\]"),
        (torch.zeros(2, 4, 2, 2), r"found shape \[2, 4, 2, 2\]"),
    ],
)
def test_error_of_another_content(tmp_path: Path, value: Any, message: str) -> None:
    torch.save(value, tmp_path / "a.pt")
    with pytest.raises(InputError, match=message):
        load_latent(tmp_path / "a.pt")


def test_errors_of_latent_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.pt: no such file; run `lgt preprocess` again"):
        load_latent(tmp_path / "a.pt")
    (tmp_path / "a.pt").write_bytes(b"PK damaged")
    with pytest.raises(InputError, match=r"a\.pt: damaged latent file .*; delete it and run"):
        load_latent(tmp_path / "a.pt")
    torch.save(torch.ones(1, 4, 2, 2), tmp_path / "batch.pt")  # a batch of one is accepted
    assert load_latent(tmp_path / "batch.pt").shape == (4, 2, 2)


def test_manifest_round_trip(tmp_path: Path) -> None:
    files = {"a/b.pt": LatentEntry("a/b.jpg", "ff", 2, True, 7)}
    manifest = Manifest(SPEC, 256, "bfloat16", 3, True, files)
    assert not Manifest.exists(tmp_path)
    manifest.save(tmp_path)
    assert Manifest.exists(tmp_path)
    assert Manifest.load(tmp_path) == manifest
    assert [p.name for p in tmp_path.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"schema_version": 99},
            "schema version 99, but this release of lgt reads 1 and 2; update lgt",
        ),
        ({"codec": {"name": "a"}}, "codec description: missing latent_channels, source"),
        ({"files": {"a.pt": {"wrong": 1}}}, "damaged .*delete it and run `lgt preprocess` again"),
        ({"files": {"../../a.pt": {}}}, r"names a file outside of the folder: \.\./\.\./a\.pt"),
        ({"files": {"/a.pt": {}}}, r"names a file outside of the folder: /a\.pt"),
        ({"target_size": None}, r"damaged \(TypeError"),
    ],
)
def test_errors_of_a_manifest(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    Manifest(SPEC, 256).save(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match=message):
        Manifest.load(tmp_path)


def test_errors_of_a_missing_or_cut_manifest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"manifest\.json: no such file; run `lgt preprocess"):
        Manifest.load(tmp_path)
    (tmp_path / "manifest.json").write_text('{"schema_version": 1')
    with pytest.raises(InputError, match="damaged"):
        Manifest.load(tmp_path)
    with pytest.raises(InputError, match="damaged"):
        open_manifest(tmp_path, SPEC, 256, torch.float32)
    assert open_manifest(tmp_path, SPEC, 256, torch.float32, overwrite=True).files == {}


def test_dataset_scales_and_groups(tmp_path: Path) -> None:
    make_latents(tmp_path, {"photo": 3, "monet": 2, "unused": 1})
    data = LatentDataset.from_config(tmp_path, ["monet", "photo"], 4)
    assert data.latents.shape == (5, 4, 2, 3)
    assert data.latents.dtype == torch.float32
    assert data.latents.is_contiguous(memory_format=torch.channels_last)
    raw = torch.tensor([10.0, 11.0, 0.0, 1.0, 2.0])
    assert torch.equal(data.latents[:, 0, 0, 0], (raw - 1.0) * 0.5)
    assert data.style_ids.tolist() == [0, 0, 1, 1, 1]
    assert (data.num_styles, len(data), data.codec) == (2, 5, SPEC)
    assert data.indices_of(1).tolist() == [2, 3, 4]
    assert data.paths[0] == tmp_path / "monet" / "img000.pt"
    with pytest.raises(InputError, match=r"style id 2: must be 0 to 1 \(monet, photo\)"):
        data.indices_of(2)


def test_latents_made_elsewhere(tmp_path: Path) -> None:
    make_latents(tmp_path, {"a": 2}, manifest=False)
    with pytest.warns(UserWarning, match=r"has no manifest\.json.*taken as scaled already"):
        data = LatentDataset.from_config(tmp_path, ["a"], 4)
    assert data.codec is None
    assert data.latents[:, 0, 0, 0].tolist() == [0, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = LatentDataset.from_config(tmp_path, ["a"], 4, codec_spec=SPEC)
    assert data.latents[:, 0, 0, 0].tolist() == [-0.5, 0]


def test_files_that_the_manifest_does_not_know_are_left_out(tmp_path: Path) -> None:
    make_latents(tmp_path, {"a": 2})
    save_latent(torch.zeros(4, 2, 3), tmp_path / "a" / "stray.pt")
    with pytest.warns(UserWarning, match=r"1 file\(s\) in .*a are not in the manifest"):
        assert len(LatentDataset.from_config(tmp_path, ["a"], 4)) == 2


def test_errors_of_styles_come_all_at_once(tmp_path: Path) -> None:
    make_latents(tmp_path, {"monet": 1, "photo": 1})
    with pytest.raises(InputError) as caught:
        LatentDataset.from_config(tmp_path, ["photos", "monnet", "xyz", "photo"], 4)
    assert str(caught.value).splitlines() == [
        f"data.style_subdirs: no such folder(s) in {tmp_path}:",
        "  - 'photos'; did you mean 'photo'?",
        "  - 'monnet'; did you mean 'monet'?",
        "  - 'xyz'",
        "found: monet, photo",
    ]


def test_errors_of_the_data_root(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data_root: no such folder: .*make it with `lgt"):
        LatentDataset.from_config(tmp_path / "nowhere", ["a"], 4)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="data_root: is a file, not a folder"):
        LatentDataset.from_config(tmp_path / "file", ["a"], 4)
    make_latents(tmp_path / "empty", {"a": 0})
    with pytest.raises(InputError, match=r"a holds no latent \(\.pt file\); run `lgt preprocess`"):
        LatentDataset.from_config(tmp_path / "empty", ["a"], 4)


def test_errors_of_shapes(tmp_path: Path) -> None:
    make_latents(tmp_path / "x", {"a": 2})
    with pytest.raises(InputError, match=r"have 4 channels \(codec stand-in\), but.* is 16; set"):
        LatentDataset.from_config(tmp_path / "x", ["a"], 16)
    with pytest.warns(UserWarning), pytest.raises(InputError, match=r"img000\.pt: has 4 channels"):
        LatentDataset.from_config(make_latents(tmp_path / "y", {"a": 1}, manifest=False), ["a"], 8)
    save_latent(torch.zeros(4, 5, 5), tmp_path / "x" / "a" / "img001.pt")
    with pytest.raises(InputError, match="different sizes can not be trained") as caught:
        LatentDataset.from_config(tmp_path / "x", ["a"], 4)
    assert "1 x [4, 2, 3], such as" in str(caught.value)
    assert "1 x [4, 5, 5], such as" in str(caught.value)


@pytest.fixture
def dataset(tmp_path: Path) -> LatentDataset:
    make_latents(tmp_path, {"a": 5, "b": 2, "c": 9})
    return LatentDataset.from_config(tmp_path, ["a", "b", "c"], 4)


@pytest.mark.parametrize(("batch_size", "styles"), [(12, []), (12, [0, 2]), (7, [1]), (1, [2, 0])])
def test_batches_are_balanced(
    dataset: LatentDataset, generator: torch.Generator, batch_size: int, styles: list[int]
) -> None:
    for _ in range(20):
        batch = sample_batch(dataset, batch_size, styles, generator)
        assert torch.equal(batch.x_src, dataset.latents[batch.index])
        assert torch.equal(batch.source_style_id, dataset.style_ids[batch.index])
        assert batch.x_src.is_contiguous(memory_format=torch.channels_last)
        allowed = styles or [0, 1, 2]
        for ids, classes in ((batch.source_style_id, allowed), (batch.target_style_id, [0, 1, 2])):
            counts = Counter(ids.tolist())
            assert set(counts) <= set(classes)
            shares = [counts[c] for c in classes]
            assert max(shares) - min(shares) <= 1
        large = batch.index[batch.source_style_id == 2]
        assert len(large.unique()) == len(large)  # no repetition where there are enough


@pytest.mark.parametrize("shares", [[1.0, 1.0, 1.0], [3.0, 1.0, 0.0], [0.5, 0.2, 2.0]])
def test_targets_are_drawn_in_their_shares(
    dataset: LatentDataset, generator: torch.Generator, shares: list[float]
) -> None:
    wanted = [7 * share / sum(shares) for share in shares]
    total = [0, 0, 0]
    for _ in range(300):
        batch = sample_batch(dataset, 7, [], generator, target_shares=shares)
        counts = Counter(batch.target_style_id.tolist())
        assert all(abs(counts[k] - wanted[k]) < 1 for k in range(3))
        total = [total[k] + counts[k] for k in range(3)]
    assert [n / 300 for n in total] == pytest.approx(wanted, abs=0.15)


def test_batches_reach_everything_and_repeat_with_the_seed(dataset: LatentDataset) -> None:
    def draw(seed: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(seed)
        batches = [sample_batch(dataset, 4, [], generator) for _ in range(60)]
        return [b.index.tolist() + b.target_style_id.tolist() for b in batches]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)
    assert {i for batch in draw(1) for i in batch[:4]} == set(range(16))
    pairs = {(int(dataset.style_ids[b[k]]), b[4 + k]) for b in draw(1) for k in range(4)}
    assert len(pairs) == 9  # every source style meets every target style


def test_channels_last_of_the_whole_path(tmp_path: Path) -> None:
    codec = DCTCodec(16)
    save_latent(codec.encode(torch.rand(1, 3, 32, 32))[0], tmp_path / "s" / "a.pt")
    entry = LatentEntry("s/a.png", "", num_bytes=1)
    Manifest(codec.spec, 32, files={"s/a.pt": entry}).save(tmp_path)
    data = LatentDataset.from_config(str(tmp_path), ("s",), 16, num_workers=0)
    assert data.latents.shape == (1, 16, 4, 4)
    assert data.latents.is_contiguous(memory_format=torch.channels_last)


def test_random_windows_are_parts_of_their_latents() -> None:
    latents = torch.arange(3 * 2 * 9 * 12.0).reshape(3, 2, 9, 12)
    latents = latents.contiguous(memory_format=torch.channels_last)
    whole, start = random_windows(latents, 0)
    assert whole is latents and not start.any()
    places = set()
    for seed in range(60):
        windows, corners = random_windows(latents, 4, torch.Generator().manual_seed(seed))
        assert windows.shape == (3, 2, 4, 4)
        assert windows.is_contiguous(memory_format=torch.channels_last)
        for whole, part, (top, left) in zip(latents, windows, corners.tolist(), strict=True):
            places.add((top, left))
            assert torch.equal(part, whole[:, top : top + 4, left : left + 4])
    assert {top for top, _ in places} == set(range(6))
    assert {left for _, left in places} == set(range(9))
    assert torch.equal(random_windows(latents, 99)[0], latents)
    assert random_windows(latents, 10)[0].shape == (3, 2, 9, 10)


@pytest.mark.parametrize("ids", [[0, 0, 1, 1, 1], [1, 0, 1, 1, 0], [1, 1, 1, 1, 1]])
def test_latents_are_drawn_of_their_style(ids: list[int]) -> None:
    """Whether styles lie one after the other or mixed, and where one has none."""
    data = LatentDataset(torch.zeros(5, 4, 2, 2), torch.tensor(ids), ("a", "b"), None, ())
    for style in set(ids):
        members = data.indices_of(style).tolist()
        assert sorted(data.draw(style, len(members)).tolist()) == members
        assert set(data.draw(style, 50).tolist()) == set(members)
    for style in (-1, 2):
        with pytest.raises(InputError, match=rf"style id {style}: must be 0 to 1 \(a, b\)"):
            sample_batch(data, 3, [style])
