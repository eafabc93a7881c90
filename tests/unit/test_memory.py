"""A stage that runs out of memory says so in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cgm.core.errors import UserError
from pipeline.memory import shortage_told

ROOT = Path(__file__).parents[2]
RUN = {"dataset": "d", "method": "m", "seed": "0"}
PEBIBYTE = 2**50
"""More than any system promises, so that the request fails at once."""


def told(error: BaseException, stage: str = "train") -> str:
    with pytest.raises(UserError) as caught, shortage_told(stage, RUN):
        raise error
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("library", [torch, np])
def test_a_refused_request_says_how_much_and_what_to_lower(library) -> None:
    with pytest.raises(UserError) as caught, shortage_told("train", RUN):
        library.empty(PEBIBYTE // 4, dtype=library.float32)
    message = str(caught.value)
    assert message.startswith("train dataset=d method=m seed=0: out of memory: found a request for 1")
    assert " PiB, expected no more in all than the machine's " in message
    assert "lower training.batch_size, the dataset's image_size or networks.*.width in params.yaml" in message
    assert message.endswith("(snakemake --cores 1 all)")


def test_python_s_own_error_says_nothing_and_the_line_still_does() -> None:
    found = r"found a request for more than there is, expected no more in all than the machine's [\d.]+ GiB"
    with pytest.raises(UserError, match=found), shortage_told("evaluate", RUN):
        bytearray(PEBIBYTE)


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (
            torch.OutOfMemoryError(
                "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1.25 GiB is free. "
                "Process 7 has 77.85 GiB memory in use. Of the allocated memory 70.00 GiB is allocated by PyTorch."
            ),
            "found a request for 2.00 GiB of the GPU's memory, expected at most the 1.25 GiB that are free of its 79.10 GiB; ",
        ),
        (
            RuntimeError("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`"),
            "a request for more than there is of the GPU's memory; ",
        ),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "there is of the GPU's memory; "),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), "there is of the GPU's memory; "),
    ],
)
def test_what_torch_says_of_a_gpu(error: RuntimeError, found: str) -> None:
    """torch's own words, for no GPU is needed to read them; that it says them is checked where there is one (``tests/cuda``)."""
    message = told(error)
    assert found in message
    assert message.endswith("(snakemake --resources gpu=1 all)")


@pytest.mark.parametrize(("stage", "lowers"), [("translate", "the dataset's image_size or networks.*.width"), ("evaluate", "image_size")])
def test_each_stage_names_its_own_settings(stage: str, lowers: str) -> None:
    message = told(MemoryError(), stage)
    assert f"{lowers} in params.yaml" in message
    assert "batch_size" not in message


@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), UserError("x: found a"), ValueError("out of memory"), RecursionError()])
def test_other_errors_pass_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, shortage_told("train", RUN):
        raise error
    assert caught.value is error


def test_a_limit_of_the_shell_is_named(tmp_path: Path) -> None:
    """The request is small for the machine; what refuses it is the process's limit. Through a stage's command, which has no torch."""
    stage = (
        "import resource, sys\n"
        "import numpy as np\n"
        "from pipeline.stage_command import main\n"
        "def stage(params):\n"
        "    assert 'torch' not in sys.modules\n"
        "    resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))\n"
        "    np.ones(2**29)\n"
        "main(stage)\n"
    )
    (tmp_path / "reference.py").write_text(stage)
    (tmp_path / "params.yaml").write_bytes((ROOT / "experiments/smoke.yaml").read_bytes())
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, "reference.py"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr == (
        "error: reference: out of memory: found a request for 4.00 GiB, expected no more in all than the 3 GiB that ulimit -v allows; "
        "lower the dataset's image_size in params.yaml, or run fewer jobs at once (snakemake --cores 1 all)\n"
    )
