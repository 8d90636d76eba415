"""Checkpoint files: round trip, refusals, `latest.pt`, pruning."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import config, equal_states, lively_network, write_model

from lgt.codec import DCTCodec
from lgt.errors import CheckpointError
from lgt.model.checkpoint import SCHEMA_VERSION, epoch_checkpoints, link_latest, prune
from lgt.train import Checkpoint


def test_round_trip_keeps_everything(tmp_path: Path) -> None:
    settings = config(loss__w_style=2.5, data__codec="dct:4")
    network = lively_network(settings)
    optimizer = torch.optim.AdamW(network.parameters())
    network(
        torch.randn(2, 4, 8, 8), torch.rand(2), torch.tensor([0, 1]), None, torch.randn(2, 4, 8, 8)
    ).sum().backward()
    optimizer.step()
    saved = Checkpoint(
        config=settings,
        style_names=("photo", "paint"),
        codec=DCTCodec(4).spec,
        latent_shape=(4, 8, 8),
        step=17,
        network=network.state_dict(),
        ema={name: value + 1 for name, value in network.state_dict().items()},
        optimizer=optimizer.state_dict(),
        collapse_count=2,
        is_collapsed=True,
    )
    saved.save(tmp_path / "new" / "epoch_0001.pt")
    loaded = Checkpoint.load(tmp_path / "new" / "epoch_0001.pt")
    assert equal_states(vars(loaded), vars(saved))
    assert loaded.config == settings
    assert loaded.codec == saved.codec
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "epoch_0001.pt"]


def test_file_holds_weights_and_plain_values_only(tmp_path: Path) -> None:
    content = torch.load(write_model(tmp_path / "a.pt"), weights_only=True)
    assert content["schema_version"] == SCHEMA_VERSION
    assert content["config"]["loss"]["num_projections"] == 8
    assert content["style_names"] == ["photo", "paint"]
    assert content["codec"]["name"] == "dct:4"


def test_averaged_weights_are_preferred(tmp_path: Path) -> None:
    plain = Checkpoint.load(write_model(tmp_path / "a.pt"))
    assert plain.inference_weights is plain.network
    averaged = Checkpoint.load(write_model(tmp_path / "a.pt", ema=dict(plain.network)))
    assert averaged.inference_weights is averaged.ema


def resaved(path: Path, **changes: Any) -> Path:
    content = torch.load(write_model(path), weights_only=True)
    torch.save({**content, **changes}, path)
    return path


@pytest.mark.parametrize("version", [0, 99, "2"])
def test_another_version_is_refused(tmp_path: Path, version: object) -> None:
    path = resaved(tmp_path / "a.pt", schema_version=version)
    with pytest.raises(CheckpointError, match=rf"version {version}, this program reads version 1"):
        Checkpoint.load(path)


def test_missing_content_is_refused(tmp_path: Path) -> None:
    torch.save({"schema_version": SCHEMA_VERSION}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="damaged"):
        Checkpoint.load(tmp_path / "a.pt")


def test_unknown_configuration_is_named(tmp_path: Path) -> None:
    content = torch.load(write_model(tmp_path / "a.pt"), weights_only=True)
    content["config"]["loss"]["w_stile"] = 1.0
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"a\.pt has 1 problem(?s:.*)w_stile"):
        Checkpoint.load(tmp_path / "a.pt")


@pytest.mark.parametrize("content", [{"weights": 1}, [1, 2], torch.zeros(3)], ids=str)
def test_other_files_are_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"a\.pt: not a checkpoint of LGT"):
        Checkpoint.load(tmp_path / "a.pt")


def test_every_kind_of_damage_is_refused(tmp_path: Path) -> None:
    whole = write_model(tmp_path / "whole.pt").read_bytes()
    flipped = bytearray(whole)
    flipped[10:400] = bytes(390)
    damaged = [whole[: len(whole) * part // 5] for part in range(5)]
    damaged += [bytes(flipped), b"just text\n", b"\x00" * 100]
    for content in damaged:
        (tmp_path / "a.pt").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"a\.pt: can not be read .* damaged"):
            Checkpoint.load(tmp_path / "a.pt")
    assert len(damaged) == 8


class Attack:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("form", ["pickle", "torch", "inside"])
def test_code_in_a_file_is_not_executed(tmp_path: Path, form: str) -> None:
    marker, path = tmp_path / "executed", tmp_path / "a.pt"
    if form == "pickle":
        path.write_bytes(pickle.dumps(Attack(marker), protocol=2))
    elif form == "torch":
        torch.save(Attack(marker), path)
    else:
        resaved(path, step=Attack(marker))
    with pytest.raises(CheckpointError, match="can not be read"):
        Checkpoint.load(path)
    assert not marker.exists()
    torch.serialization.load(path, weights_only=False) if form != "pickle" else pickle.loads(
        path.read_bytes()
    )
    assert marker.exists(), "the file would have done harm"


def test_missing_file_names_its_neighbours(tmp_path: Path) -> None:
    for epoch in (5, 10):
        (tmp_path / f"epoch_{epoch:04d}.pt").touch()
    with pytest.raises(CheckpointError, match=r"no such.*; in .*: epoch_0005\.pt, epoch_0010\.pt$"):
        Checkpoint.load(tmp_path / "epoch_0100.pt")


def test_missing_folder_and_empty_folder_say_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no folder .*nowhere\); train one with `lgt train`"):
        Checkpoint.load(tmp_path / "nowhere" / "latest.pt")
    with pytest.raises(CheckpointError, match=r"no \.pt file in .*train one with `lgt train`"):
        Checkpoint.load(tmp_path / "latest.pt")


def test_epochs_sort_by_number(tmp_path: Path) -> None:
    for name in ("epoch_0002.pt", "epoch_10000.pt", "epoch_9999.pt", "epoch_x.pt", "latest.pt"):
        (tmp_path / name).touch()
    names = [path.name for path in epoch_checkpoints(tmp_path)]
    assert names == ["epoch_0002.pt", "epoch_9999.pt", "epoch_10000.pt"]
    assert epoch_checkpoints(tmp_path / "nowhere") == []


def test_latest_moves_on_and_survives_a_move_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    for step in (1, 2):
        link_latest(write_model(folder / f"epoch_{step:04d}.pt", step=step))
        assert Checkpoint.load(folder / "latest.pt").step == step
    folder.rename(tmp_path / "moved")
    assert Checkpoint.load(tmp_path / "moved" / "latest.pt").step == 2


def test_latest_without_symbolic_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    for step in (1, 2):
        link_latest(write_model(tmp_path / f"epoch_{step:04d}.pt", step=step))
        assert Checkpoint.load(tmp_path / "latest.pt").step == step
    assert not (tmp_path / "latest.pt").is_symlink()


@pytest.mark.parametrize(
    ("keep", "left"), [(0, [1, 2, 3, 12]), (1, [12]), (3, [2, 3, 12]), (9, [1, 2, 3, 12])]
)
def test_prune_keeps_the_newest(tmp_path: Path, keep: int, left: list[int]) -> None:
    for epoch in (1, 2, 3, 12):
        (tmp_path / f"epoch_{epoch:04d}.pt").touch()
    (tmp_path / "best.pt").touch()
    prune(tmp_path, keep)
    assert [int(path.stem[6:]) for path in epoch_checkpoints(tmp_path)] == left
    assert (tmp_path / "best.pt").exists()
