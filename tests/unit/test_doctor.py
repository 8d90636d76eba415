"""`lgt doctor`: findings, advice, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import toys

from lgt import doctor
from lgt.doctor import Finding, as_values, examine, is_healthy
from lgt.extras import Extra
from lgt.runtime import engines


@pytest.fixture(scope="module")
def findings() -> dict[str, Finding]:
    return {finding.name: finding for finding in examine()}


def test_a_whole_installation_is_healthy(findings: dict[str, Finding]) -> None:
    assert is_healthy(list(findings.values())), findings
    assert "vangogh" in findings["model"].text
    assert "64 px painted in" in findings["model"].text
    for name in ("torch", "lgt", "python", "device", "threads", "memory", "bf16", "codec"):
        assert findings[name].text
    assert findings["refining"].text.startswith("3 learned steps are whole")
    assert "torch" in findings["backend"].text
    for name in ("hub cache", "styles", "extra demo", "extra metrics"):
        assert name in findings
    assert all(finding.advice for finding in findings.values() if finding.status != "ok")


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "NEEDED", ("numpy", "no-such-package"))
    monkeypatch.setattr(doctor, "EXTRAS", {"odd": Extra(("no_such_module",), "odd things")})
    needed = {finding.name: finding for finding in doctor._packages()}
    assert needed["torch"].status == "ok"
    assert needed["no-such-package"] == Finding(
        "no-such-package", "broken", "not installed", "pip install no-such-package"
    )
    (extra,) = doctor._extras()
    assert extra.status == "note" and extra.advice == "pip install 'lgt[odd]'"
    assert not as_values(list(needed.values()))["ok"]


def test_a_damaged_step_of_refining_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lgt.nn.learned_step.files", lambda _: tmp_path)
    (finding,) = doctor._refining()
    assert finding.status == "broken" and "no config.json" in finding.text
    assert finding.advice == doctor._reinstall()


def test_an_absent_device_is_said() -> None:
    (finding,) = doctor._device("cuda:77")
    assert finding.status == "broken" and "no CUDA device found; use auto" in finding.text
    (unpainted,) = doctor._model("embedded", "cuda:77")
    assert unpainted.status == "note" and unpainted.text.startswith("not tried: device: 'cuda:77'")
    assert doctor._device("cpu")[0].text == "cpu, as asked for"


def test_a_check_that_fails_does_not_end_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> list[Finding]:
        raise OSError("no disk")

    for name in ("_packages", "_extras", "_codec", "_hub_cache"):
        monkeypatch.setattr(doctor, name, fails)
    monkeypatch.setattr(doctor, "_model", lambda *_: [])
    broken = [finding for finding in examine() if finding.status == "broken"]
    assert len(broken) == 4 and broken[0].text == "OSError: no disk"


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = toys.write_model(tmp_path / "model.pt")
    good = toys.run_lgt("doctor", "--model", model, "--json", "--device", "cpu")
    content = json.loads(good.stdout)
    assert good.exit_code == 0 and content["ok"]
    bad = toys.run_lgt("doctor", "--model", tmp_path / "none.pt")
    assert bad.exit_code == 1
    assert "BROKEN  model" in bad.stdout and "no such checkpoint" in bad.stdout
    assert "-> name another --model" in bad.stdout


def test_without_torch_the_other_backend_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("LGT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(doctor, "has_torch", lambda: False)
    found = {finding.name: finding for finding in examine()}
    assert is_healthy(list(found.values())), found
    assert found["torch"].status == "note" and "not installed" in found["torch"].text
    assert "lgt transfer takes openvino" in found["backend"].text
    assert "64 px painted" in found["model"].text and "cores" in found["threads"].text
    assert found["torch"].advice == "pip install 'lgt[torch]'"
    assert not {"codec", "hub cache"} & set(found)
    assert not (tmp_path / "cache").exists()
    bad = {finding.name: finding for finding in examine(str(tmp_path / "none.safetensors"))}
    assert bad["model"].status == "broken" and "no such file" in bad["model"].text
    monkeypatch.setattr(doctor, "_backends", lambda: [])
    assert doctor._backend()[0].status == "broken"


def test_the_backend_is_the_one_that_transfer_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for signs, device, taken in (
        ((), "auto", "openvino"),
        ((str(tmp_path),), "auto", "torch"),
        ((str(tmp_path),), "cpu", "openvino"),
    ):
        monkeypatch.setattr(engines, "GPU_SIGNS", signs)
        assert f"lgt transfer takes {taken}" in doctor._backend(device)[0].text
    monkeypatch.setattr(doctor, "_backends", lambda: ["onnx"])
    monkeypatch.setattr(
        engines.importlib.util, "find_spec", lambda name: name != "openvino" or None
    )
    assert "lgt transfer takes torch" in doctor._backend()[0].text
