"""What a training takes of memory is counted, printed, and refused where it is too much."""

from __future__ import annotations

import json

import pytest
import torch
from typer.testing import CliRunner

from lgt.cli.app import _application_of
from lgt.cli.memory import bytes_of, memory
from lgt.config import Config, parse_config
from lgt.errors import InputError
from lgt.train import memory as counted
from lgt.train.memory import LiveBytes, check_memory, estimate, measure_step

SMALL = ["model.base_channels=8", "model.style_dim=8", "model.time_dim=8"]
SMALL += [
    "model.num_encoder_blocks=1",
    "model.num_decoder_blocks=1",
    "training.ode_integration_steps=2",
    "loss.num_projections=4",
    "loss.perceptual_network=none",
    "training.batch_size=4",
]


def small(*changes: str) -> Config:
    return parse_config("{}", [*SMALL, *changes], "test")


def test_live_bytes_count_what_is_alive() -> None:
    """Views are free, what is dropped is given back, the graph's tensors stay."""
    weight = torch.ones(1000, requires_grad=True)
    with LiveBytes() as live:
        kept = weight.detach() * 2
        view = kept[10:].reshape(1, -1)
        assert live.now == 4000
        temporary = kept + 1
        del temporary
        assert (live.now, live.peak) == (4000, 8000)
        result = weight.exp().sum()  # exp keeps its result for the backward pass.
        assert live.now == 4000 + 4000 + 4
        del result
        assert live.now == 4000
        del kept
        assert live.now == 4000
        del view
    assert live.now == 0


def test_a_collection_of_many_styles_is_counted_too() -> None:
    """Two styles stand for all, no folder of works is read, and its maps count as saved."""
    names = ["a", "b", "photo"]
    changes = [f"data.style_subdirs={json.dumps(names)}", 'data.source_subdirs=["photo"]']
    changes += ["loss.perceptual_network=auto", "loss.feature_content_gain=0"]
    changes += ["model.num_styles=3", "loss.feature_gain=0"]
    without = measure_step(small(*changes), 16, cuda=False)
    collected = small(*changes, "loss.collection_gain=1", "loss.works_root=/nowhere")
    assert measure_step(collected, 16, cuda=False).saved_each > 1.1 * without.saved_each


def test_a_larger_batch_is_foretold() -> None:
    """Two small steps tell what a step of 6 keeps: within 2 %."""
    config = small("training.mixed_precision=no")
    step = measure_step(config, 16, cuda=False)
    told = estimate(config, step, batch_size=6, num_latents=4, cuda=False).saved
    latents = torch.randn(6, 4, 16, 16)
    bank = counted.build_bank(config, latents, torch.tensor([0, 0, 1, 1, 0, 0]))
    network = counted.build_network(config)
    objective = counted.build_objective(config, network, bank, None)
    saved, peak = counted._run_step(config, objective, latents)
    assert told == pytest.approx(saved, rel=0.02)
    assert peak >= saved


@pytest.mark.parametrize(
    "changes", [(), ("training.objective=ot_cfm",), ("loss.perceptual_network=auto",)]
)
def test_one_latent_bounds_what_many_take(changes: tuple[str, ...]) -> None:
    for batch in (1, 2, 16):
        bound, needed = (
            estimate(
                small(*changes),
                measure_step(small(*changes), 16, cuda=False, is_bound=is_bound),
                batch_size=batch,
                num_latents=10,
                cuda=False,
            ).total
            for is_bound in (True, False)
        )
        assert needed <= bound < 2 * needed


def test_a_training_that_fits_by_far_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    run_step = counted._run_step

    def seen(config: Config, objective: object, x_src: torch.Tensor) -> tuple[int, int]:
        runs.append(len(x_src))
        return run_step(config, objective, x_src)  # type: ignore[arg-type]

    monkeypatch.setattr(counted, "_run_step", seen)
    call = small(), (4, 16, 16), 10, None
    assert check_memory(*call, "cpu") is None
    assert runs == [1]
    monkeypatch.setattr(counted, "available_memory", lambda: 1e6)
    assert "training with batch size 4 takes about" in str(check_memory(*call, "cpu"))
    assert runs == [1, 1, 1, 2]


def test_every_part_follows_its_key(has_bf16: bool) -> None:
    """Checkpointing, precision, averaging, batch, size, latents and CUDA: 8 comparisons."""

    def parts(*changes: str, size: int = 16, batch: int = 4, works: int = 100, cuda: bool = False):
        config = small(*changes)
        step = measure_step(config, size, cuda=cuda)
        return estimate(config, step, batch_size=batch, num_latents=works, cuda=cuda)

    plain = parts()
    assert parts("model.use_gradient_checkpointing=true").saved < 0.7 * plain.saved
    assert (parts("training.mixed_precision=no").saved > plain.saved) == has_bf16
    assert parts("training.ema_decay=0").average == 0 < plain.average
    assert parts(batch=8).saved > 1.8 * plain.saved
    assert parts(size=32).saved > 3 * plain.saved
    assert parts(works=200).latents == 2 * plain.latents == 200 * 4 * 16 * 16 * 4
    on_gpu = parts(cuda=True)
    assert on_gpu.overhead > counted.CUDA_CONTEXT
    # A GPU normalises in float32, but keeps the rest in bfloat16.
    assert (on_gpu.saved > plain.saved) == has_bf16
    assert plain.optimiser == 2 * plain.gradients == 2 * plain.parameters
    assert parts("training.objective=ot_cfm").saved < plain.saved


def test_sizes_are_read() -> None:
    """Decimal and binary units; nonsense says what to write: 7 texts."""
    sizes = {"8GB": 8e9, "7.5 GiB": 7.5 * 2**30, "500mb": 5e8, "8000000000": 8e9}
    for text, value in sizes.items():
        assert bytes_of(text) == value
    with pytest.raises(InputError, match="8 bytes are too few; write 8GB"):
        bytes_of("8")
    for text in ("", "8 apples", "0GB"):
        with pytest.raises(InputError, match="write one as 8GB"):
            bytes_of(text)


def run(*arguments: str) -> tuple[int, str]:
    flags = [flag for item in SMALL for flag in ("--set", item)]
    result = CliRunner().invoke(_application_of(memory), [*flags, "--size", "128", *arguments])
    return result.exit_code, result.output


def test_the_command_prints_a_row_for_each_batch_size() -> None:
    """Totals grow; the sum of the parts is the total; a limit marks rows and refuses."""
    code, printed = run("--json")
    rows = [json.loads(line) for line in printed.splitlines()]
    assert (code, [row["batch_size"] for row in rows]) == (0, [4, 8, 16, 32])
    totals = [row.pop("total") for row in rows]
    assert totals == sorted(totals)
    assert sum(rows[0].values()) - 128 - 4 == pytest.approx(totals[0])
    code, printed = run("--device-memory", f"{totals[1] / 2**20 + 0.01:.4f}MiB")
    assert code == 0
    assert [line.endswith("fits") for line in printed.splitlines()[1:]] == [
        True,
        True,
        False,
        False,
    ]
    code, printed = run("--device-memory", "1MB", "--cpu")
    assert code == 2
    assert "training.batch_size 4" in printed
    assert "--set training.batch_size=2" in printed


def test_training_is_refused_on_a_small_gpu_and_warned_of_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Below the need: an error with advice, or a warning; above it: nothing."""
    call = small(), (4, 16, 16), 10, None
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (int(1e6), int(8e9)))
    with pytest.raises(InputError, match=r"cuda:0 has 0\.0 GiB free; try --set training.batch"):
        check_memory(*call, "cuda:0")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (int(8e9), int(8e9)))
    assert check_memory(*call, "cuda:0") is None
    monkeypatch.setattr(counted, "available_memory", lambda: 1e6)
    warning = check_memory(*call, "cpu")
    assert warning is not None
    assert "use_gradient_checkpointing=true" in warning
    for enough in (1e12, None):
        monkeypatch.setattr(counted, "available_memory", lambda enough=enough: enough)
        assert check_memory(*call, "cpu") is None


def test_available_memory_is_told_on_linux() -> None:
    """Between a megabyte and a petabyte, or not known."""
    free = counted.available_memory()
    assert free is None or 2**20 < free < 2**50
