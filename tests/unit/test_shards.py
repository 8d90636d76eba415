"""Latents in shards: what is written, kept and redone, and what training reads of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from toys import STYLES, config, dataset, equal_states, make_images, picture, trainer, write_latents

import lgt.data.preprocess as module
import lgt.data.shards as shards
from lgt.data.dataset import LatentDataset
from lgt.data.preprocess import PreprocessReport, preprocess_folder
from lgt.data.shards import ShardedLatents, ShardFolder, read_shard, shard_files
from lgt.data.store import LatentEntry, Manifest, load_latent
from lgt.errors import InputError
from lgt.image import save_image
from lgt.train import Checkpoint

CHANNELS = 4


def run(raw: Path, out: Path, **options: Any) -> PreprocessReport:
    options = {"target_size": 32, "codec": "dct:4", "is_sharded": True, **options}
    return preprocess_folder(raw, out, **options)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make shards of three latents."""
    monkeypatch.setattr(ShardFolder.__init__, "__defaults__", (3,))
    shards._opened.cache_clear()
    shards._names.cache_clear()


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    names = [f"a/{number}.png" for number in range(7)] + ["b/sub/1.jpg", "b/2.webp"]
    return make_images(tmp_path / "raw", names)


def stored(out: Path) -> dict[str, torch.Tensor]:
    """Return all latents by name, each of which may be there once."""
    found: dict[str, torch.Tensor] = {}
    for path in shard_files(out):
        latents, entries = read_shard(path)
        assert not found.keys() & entries.keys(), "twice"
        found |= dict(zip(entries, torch.from_numpy(latents), strict=True))
    counts = Manifest.load(out).shards
    assert counts is not None
    assert sum(counts.values()) == len(found)
    return found


def same(out: Path, plain: Path) -> None:
    latents, files = stored(out), Manifest.load(plain).files
    assert latents.keys() == files.keys()
    assert all(torch.equal(latents[name], load_latent(plain / name)) for name in files)


def test_shards_hold_what_files_do(raw: Path, tmp_path: Path) -> None:
    (raw / "b" / "bad.png").write_bytes(b"no picture")
    out, plain = tmp_path / "out", tmp_path / "plain"
    report = run(raw, out, num_crops=2, hflip=True)
    assert [path.name for path, _ in report.failed] == ["bad.png"]
    assert report.written == run(raw, plain, num_crops=2, hflip=True, is_sharded=False).written
    same(out, plain)
    assert len(shard_files(out)) == 10 + 3
    again = run(raw, out, num_crops=2, hflip=True)
    assert (len(again.skipped), again.written, again.removed) == (36, [], [])


def test_what_changed_is_replaced_and_what_is_gone_is_removed(raw: Path, tmp_path: Path) -> None:
    out, plain = tmp_path / "out", tmp_path / "plain"
    run(raw, out)
    save_image(picture(99), raw / "a" / "1.png")
    (raw / "a" / "5.png").unlink()
    report = run(raw, out)
    assert (report.written, report.removed) == (["a/1.pt"], ["a/5.pt"])
    run(raw, plain, is_sharded=False)
    same(out, plain)


def test_a_run_that_ends_anywhere_is_completed(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost or there twice, whether it may still clear away or not."""
    plain = tmp_path / "plain"
    run(raw, plain, is_sharded=False)
    for index, is_killed in enumerate((True, False) * 2):
        out = tmp_path / f"out{index}"
        if index > 1:
            run(raw, out)
            for number in (0, 1, 4):
                save_image(picture(10 * index + number), raw / "a" / f"{number}.png")
            save_image(picture(50 + index), raw / "a" / "2.png")

        def stop(state: module.Progress) -> None:
            if state.done >= 5:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            if is_killed:
                patch.setattr(ShardFolder, "finish", lambda _: None)
            with pytest.raises(KeyboardInterrupt):
                run(raw, out, batch_size=1, num_workers=0, progress=stop)
        run(raw, out)
        run(raw, plain, is_sharded=False)
        same(out, plain)


def test_another_format_is_another_folder(raw: Path, tmp_path: Path) -> None:
    run(raw, tmp_path / "out")
    with pytest.raises(InputError, match="format: shards -> pt"):
        run(raw, tmp_path / "out", is_sharded=False)
    run(raw, tmp_path / "out", is_sharded=False, overwrite=True)
    assert shard_files(tmp_path / "out") == []


def sharded(root: Path) -> Path:
    """Write the toy latents into shards."""
    toys, folder = dataset(), ShardFolder(root)
    spec = toys.codec
    assert spec is not None
    assert isinstance(toys.latents, torch.Tensor)
    for latent, path in zip(toys.latents, toys.paths, strict=True):
        raw = latent / spec.scaling_factor
        folder.add(path.as_posix(), LatentEntry(f"{path.stem}.png", "0" * 64), raw)
    folder.finish()
    Manifest(spec, 64, shards=folder.counts).save(root)
    return root


def test_training_is_the_same_from_shards_and_resumes_exactly(tmp_path: Path) -> None:
    files = write_latents(tmp_path / "files")
    root = sharded(tmp_path / "shards")
    networks = []
    for folder, held in ((files, "true"), (root, "auto"), (root, "false")):
        data = LatentDataset.from_config(folder, STYLES, CHANNELS, in_memory=held)
        assert isinstance(data.latents, ShardedLatents) is (held == "false")
        assert [path.name for path in data.paths[:2]] == ["0.pt", "1.pt"]
        settings = config(checkpoint__save_dir=str(tmp_path / f"{folder.name}{held}"))
        done = trainer(settings, data)
        assert done.run() is None
        networks.append(done.network.state_dict())
    assert equal_states(networks[0], networks[1])
    assert equal_states(networks[0], networks[2])
    first = Checkpoint.load(tmp_path / "shardsfalse" / "epoch_0001.pt")
    settings = config(checkpoint__save_dir=str(tmp_path / "again"))
    again = trainer(settings, data, checkpoint=first)
    again.run()
    assert equal_states(again.network.state_dict(), networks[2])


def test_reading_by_rows(tmp_path: Path) -> None:
    held = LatentDataset.from_config(sharded(tmp_path), STYLES, CHANNELS, in_memory="true").latents
    data = LatentDataset.from_config(tmp_path, STYLES, CHANNELS, in_memory="false")
    rows = torch.tensor([[11, 0, 5], [5, 3, 2]])
    assert torch.equal(data.latents[rows], held[rows])
    assert torch.equal(data.latents[2:7], held[2:7])
    assert data.latents[rows[0]].is_contiguous(memory_format=torch.channels_last)
    assert data.paths[11] == tmp_path / "paint" / "5.pt"
    assert len(list(data.paths)) == 12


def test_damage_is_said_in_a_sentence(tmp_path: Path) -> None:
    root = sharded(tmp_path)
    path = shard_files(root)[0]
    whole = path.read_bytes()
    for damage in (b"", whole[:40], b"\xff" * 64, whole[:-5], whole.replace(b"F32", b"I32", 1)):
        shards._opened.cache_clear()
        path.write_bytes(damage)
        with pytest.raises(InputError, match=r"shard_00000.*run `lgt preprocess --format shards`"):
            LatentDataset.from_config(root, STYLES, CHANNELS, in_memory="false")
    shards._opened.cache_clear()
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        LatentDataset.from_config(root, STYLES, CHANNELS, in_memory="false")


def test_files_are_always_held(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="false needs latents in shards"):
        LatentDataset.from_config(write_latents(tmp_path), STYLES, CHANNELS, in_memory="false")
