"""The benchmark that the README's numbers come from runs and prints what it says."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from lgt.device import computes_in_bf16
from lgt.image import save_image, to_image

Run = Callable[..., str]


@pytest.fixture
def run_benchmark(run_program: Run) -> Run:
    """Return what runs a benchmark, and returns what it printed."""
    return lambda name, *arguments: run_program(f"benchmarks/{name}", *arguments)


def test_train_step_prints_the_split_of_a_step(run_benchmark: Run) -> None:
    """With learned features: parts add up to the step, and the energy's share is theirs."""
    settings = ["model.base_channels=8", "loss.feature_gain=1", "training.batch_size=2"]
    settings += ["training.ode_integration_steps=1"]
    flags = [flag for setting in settings for flag in ("--set", setting)]
    flags += ["--repeats", "1", "--threads", "1", "--latent_size", "16"]
    result = json.loads(run_benchmark("train_step.py", *flags))
    seconds = result["seconds"]
    step = seconds.pop("step")
    assert abs(sum(seconds.values()) - step) < 1e-3
    energy = seconds["energy_forward"] + seconds["energy_backward"]
    assert abs(energy / step - result["energy_share"]) < 2e-3
    assert result["peak_memory_mb"] > 100


def test_gpu_prints_training_and_transfer(run_benchmark: Run) -> None:
    """In small, on the CPU: all but what only a GPU can tell; the agreement is whole."""
    flags = ["--device", "cpu", "--sides", "64", "--batch", "2", "--repeats", "1"]
    flags += ["--base_channels", "8", "--latent_size", "8"]
    for setting in ("training.batch_size=2", "training.ode_integration_steps=1"):
        flags += ["--set", setting]
    printed = run_benchmark("gpu.py", *flags)
    rows = [json.loads(line) for line in printed.splitlines() if line.startswith("{")][1:]
    assert [row["what"].split(",")[0] for row in rows] == ["training"] * 2 + ["transfer"] * 2
    for row in rows[:2]:
        assert row["launches"] > row["copies"] > 0 and row["step_ms"]["median"] > 0
    assert all(row["from_cpu_of_255"] == 0 and row["picture_ms"]["median"] > 0 for row in rows[2:])
    assert printed.count("\n| ") == 2 + len(rows), "the head, the rule below it and the rows"


def test_refining_prints_how_far_the_energy_falls(run_benchmark: Run, tmp_path: Path) -> None:
    """More steps fall farther; constants that hardly move a picture do not."""
    flags = ["--styles", "monet"]
    for side in (96, 280):  # The small one is not seen from afar.
        soft = F.interpolate(torch.rand(1, 3, 6, 6), size=(side, side), mode="bicubic").clamp(0, 1)
        save_image(to_image(soft), tmp_path / f"soft{side}.png")
        flags.append(str(tmp_path / f"soft{side}.png"))
    rows = [
        json.loads(line)
        for line in run_benchmark("refining.py", *flags, "--steps", "1", "6").splitlines()
    ]
    assert [row["steps"] for row in rows] == [0, 1, 6]
    for name in ("near", "afar"):
        energies = [row[f"{name} energy"] for row in rows]
        assert energies[2] < 0.9 * energies[1]
        assert energies[2] < 0.7 * energies[0]
        assert all(row[f"{name} style"] > 0 < row[f"{name} content"] for row in rows)
    assert 0 < rows[1]["seconds"] < rows[2]["seconds"], "of the descents, and all is loaded by then"
    flags.append("--optimizer")
    slow = run_benchmark("refining.py", *flags, "--steps", "6", "--rates", "1e-4", "1e-5")
    found = [json.loads(line) for line in slow.splitlines()]
    begun = pytest.approx(rows[0]["near energy"], rel=0.02)
    assert found[0]["near energy"] == begun, "where the network has led"
    assert found[1]["near energy"] > rows[2]["near energy"]


def test_codec_prints_quality_and_speed(run_benchmark: Run, tmp_path: Path) -> None:
    """A codec compared with itself: four equal ways, and three lines."""
    save_image(to_image(torch.rand(1, 3, 40, 48)), tmp_path / "noise.png")
    flags = ["--teacher", "embedded", "--size", "32", "--repeats", "1", "--threads", "1"]
    sheet = tmp_path / "sheet.png"
    printed = run_benchmark("codec.py", str(tmp_path), *flags, "--sheet", str(sheet))
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    quality, *speeds = lines
    assert quality["pictures"] == 1
    assert quality["latent_l1"] == 0
    assert len(set(quality["psnr"].values())) == 1
    assert len(quality["psnr"]) == 4
    assert [line["precision"] for line in speeds] == ["fp32", "bf16"]
    for line in speeds:
        for half in ("encode", "decode"):
            times = line[half]
            assert times["speed_up"] > 0
            assert times["small_seconds"] > 0
    assert sheet.is_file()


def test_complaints_prints_what_options_change(run_benchmark: Run) -> None:
    printed = dict(
        line.rsplit(": ", 1) for line in run_benchmark("complaints.py", "--side", "64").splitlines()
    )
    assert printed["the same again"] == "0.0"
    none, half, full = map(float, printed["strength 0, 0.5, 1: from the photo"].split(", "))
    assert none == 0 < half < full
    free, kept = map(float, printed["colours without and with preserve_color"].split(" and "))
    assert kept < 1 < free
    sky, styles = printed["what appears in an empty sky"].split(" in the photo; ")
    assert float(sky) < 1
    assert {part.split()[0] for part in styles.split(", ")} >= {"monet", "durer"}
    bare, framed = printed["a rim along that sky, with canvas 0 (no margin) and without"].split(
        "; "
    )
    assert bare == framed and "on average" in bare, "so small a picture has no margin"


def test_cold_start_prints_the_cost_of_the_command(run_benchmark: Run) -> None:
    """The command costs more than importing torch, and not an import of everything."""
    printed = run_benchmark("cold_start.py", "--repeats", "1", "--size", "32", "--threads", "1")
    floor, command = (json.loads(line) for line in printed.splitlines())
    assert (floor["benchmark"], command["benchmark"]) == ("import_torch", "cold_start")
    assert command["size"] == 32
    assert min(floor["wall_seconds"], command["wall_seconds"]) > 0
    # Memory is steady; times are not, where other programs want the processor too.
    assert floor["processor_seconds"] < 1.5 * command["processor_seconds"]
    assert floor["peak_memory_mb"] < command["peak_memory_mb"]
    assert 100 < command["peak_memory_mb"] < 700


def test_tiling_prints_seams_and_memory(run_benchmark: Run) -> None:
    """Small sizes: the codec's tiles are exact, the network's leave no seam."""
    flags = ["--seam_side", "512", "--seam_tile", "256", "--sides", "192", "--tile", "64"]
    printed = run_benchmark("tiling.py", *flags)
    seam, memory = (json.loads(line) for line in printed.splitlines())
    assert seam["decoder_max_difference_of_255"] < 0.1
    assert seam["encoder_max_difference"] < 1e-3
    assert seam["network_relative_difference"] < 0.1
    assert seam["network_seam"] < 1.3 < seam["naive_seam"]
    assert (memory["side"], memory["tile"]) == (192, 64)
    assert memory["peak_memory_mb"] > 100


def test_backends_are_timed_against_torch(run_benchmark: Run) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("onnxruntime")
    printed = run_benchmark("backends.py", "--sides", "32", "--rounds", "2", "--repeats", "0")
    rows = [json.loads(line) for line in printed.splitlines() if line.startswith("{")][1:]
    expected = ["torch fp32", "onnx fp32", "openvino fp32", "openvino bf16"]
    has_int8 = importlib.util.find_spec("nncf") is not None
    assert [row["backend"] for row in rows] == [*expected, *(["openvino int8"] if has_int8 else [])]
    assert all(row["mean_difference"] < 1 for row in rows[: len(expected)])
    assert printed.count("\n| ") == 1 + len(rows)


def test_flicker_prints_a_table_and_lines(run_benchmark: Run, tmp_path: Path) -> None:
    """Smoothing lowers the flicker of a still clip, and one noise that of fresh noise."""
    flags = ["--side", "48", "--frames", "5", "--clips", "static", "mover", "--out", str(tmp_path)]
    printed = run_benchmark("flicker.py", *flags).splitlines()
    assert printed[0].split() == ["clip", "frames", "flicker", "lag", "sharpness"]
    lines = [json.loads(line) for line in printed if line.startswith("{")]
    found = {line["frames"]: line for line in lines if line["clip"] == "static"}
    flicker = {name: line["flicker"] for name, line in found.items()}
    assert flicker["smoothed"] < flicker["same noise"] < flicker["fresh noise"]
    assert {line["clip"] for line in lines} == {"static", "mover"}
    assert (tmp_path / "static.png").is_file()


def test_the_suite_prints_lines_and_tables(run_benchmark: Run, tmp_path: Path) -> None:
    """Three parts in small: every line has its part, figures have spreads, the files are there."""
    flags = ["--quick", "--parts", "transfer", "train", "--repeats", "2", "--sizes", "64"]
    flags += ["--set", "model.base_channels=8", "--set", "training.batch_size=2"]
    flags += ["--set", "training.ode_integration_steps=1", "--methods", "lgt", "lgt bf16"]
    flags += ["--set", "loss.perceptual_network=none"]
    printed = run_benchmark("suite.py", *flags, "--out", str(tmp_path))
    rows = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    assert [row["part"] for row in rows] == ["machine", *["transfer"] * 10, *["train"] * 7]
    transfer = {(row["what"], row.get("precision")): row for row in rows[1:11]}
    network = transfer["network", "bf16"]
    for row in (network, transfer["network", "fp32"]):
        # Where bfloat16 is imitated, products of matrices are slower than convolutions.
        most = 2 if row["precision"] == "fp32" or computes_in_bf16("cpu") else 10
        assert 0 < row["of_matmul"]["median"] <= row["of_matmul_inside"]["median"] < most
    assert transfer["matrix product", "fp32"]["of_matmul"]["median"] == 1
    assert network["gflop"] == transfer["network", "fp32"]["gflop"] > 0
    whole = transfer["lgt", None]
    assert whole["times_ours"]["median"] == 1
    assert whole["wall_seconds"]["q1"] <= whole["wall_seconds"]["q3"]
    assert sum(row["share"] for row in rows[11:17]) == pytest.approx(1, abs=0.01)
    assert "### train" in printed
    assert len((tmp_path / "suite.jsonl").read_text().splitlines()) == len(rows)
    assert "| step | 1 |" in (tmp_path / "suite.md").read_text()


def test_the_suite_times_whole_processes(run_benchmark: Run) -> None:
    """One method once, as a process; and pictures turned into latents."""
    flags = ["--quick", "--parts", "memory", "preprocess", "--repeats", "1", "--sizes", "64"]
    printed = run_benchmark("suite.py", *flags, "--methods", "lgt")
    rows = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    memory, preprocess = rows[1:]
    assert 100 < memory["peak_memory_mb"] < 900
    assert preprocess["pictures_per_second"]["median"] > 0


@pytest.mark.skipif(sys.platform == "win32", reason="measures child processes of Unix")
def test_large_photo_prints_the_command_and_its_parts(run_benchmark: Run) -> None:
    flags = ["--size", "120", "90", "--threads", "1", "--repeats", "1", "--backends", "torch"]
    lines = [json.loads(line) for line in run_benchmark("large_photo.py", *flags).splitlines()]
    command, warm = lines
    assert (command["part"], warm["part"]) == ("command", "warm")
    assert command["size"] == [120, 90] and command["peak_memory_mb"] > 100
    parts = [warm[f"{name}_processor_s"]["median"] for name in ("read", "paint", "write")]
    assert 0 < sum(parts) < command["processor_s"]["median"]
