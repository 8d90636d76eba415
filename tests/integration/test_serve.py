"""`lgt serve` as a process with the embedded model: it paints, and stops on Ctrl-C."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
import time

import pytest
from limits import HANG
from PIL import Image
from toys import run_lgt

import lgt

pytest.importorskip("fastapi", reason="needs the extra lgt[web]")
pytest.importorskip("httpx", reason="needs httpx")

import httpx


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_the_server_paints_with_the_embedded_model() -> None:
    command = [sys.executable, "-m", "lgt", "serve", "--port", "0", "--no-open"]
    command += ["--model", "embedded", "--queue", "2", "--max_pixels", "5000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = re.match(r"(http://127\.0\.0\.1:[0-9]+)/ ", line)
        assert url is not None, line
        buffer = io.BytesIO()
        Image.new("RGB", (70, 50), "red").save(buffer, "PNG")
        mask = io.BytesIO()
        Image.new("L", (70, 50), 128).save(mask, "PNG")
        with httpx.Client(base_url=url[1], timeout=HANG) as client:
            health = client.get("/api/health").json()
            assert health["queue"]["limit"] == 2 and health["limits"]["max_pixels"] == 5000
            assert client.get("/api/styles/monet/thumbnail").status_code == 200
            files = {"image": buffer.getvalue(), "mask": mask.getvalue()}
            data = {
                "blend": '{"monet": 1, "durer": 1}',
                "strength": "0.7",
                "preserve_color": "true",
                "style_scale": "1.5",
                "source_style": "photo",
            }
            job = client.post("/api/jobs", files=files, data=data).json()
            end = time.monotonic() + HANG
            while job["state"] in {"queued", "running"} and time.monotonic() < end:
                time.sleep(0.05)
                job = client.get(f"/api/jobs/{job['id']}").json()
            assert job["state"] == "done", job
            result = client.get(f"/api/jobs/{job['id']}/result")
            with Image.open(io.BytesIO(result.content)) as picture:
                assert picture.size == (70, 50)
        for _ in range(3):  # Of someone who does not like to wait.
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        _, told = process.communicate(timeout=HANG)
        assert process.returncode == 0
        assert told.endswith("stopped\n") and "Traceback" not in told
    finally:
        process.kill()
        process.communicate()


def test_a_taken_port_and_a_missing_extra_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from lgt.web.server import listen

    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        result = run_lgt("serve", "--no-open", "--port", port)
    assert result.exit_code == 2 and "choose another with --port" in result.output
    monkeypatch.setitem(sys.modules, "fastapi", None)
    monkeypatch.setattr(lgt, "web", sys.modules["lgt.web"])  # Importing anew sets it, too.
    for name in [name for name in sys.modules if name.startswith("lgt.web")]:
        monkeypatch.delitem(sys.modules, name)
    result = run_lgt("serve", "--no-open")
    assert result.exit_code == 2 and "pip install 'lgt[web]'" in result.output
