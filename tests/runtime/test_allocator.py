"""Page faults, counted and not timed: big activations must not be mapped anew in every step."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import netwright

STEPS = """
import resource, torch
from torch import nn
from netwright.config.sections import Runtime
from netwright.runtime.machine import applied, choose_machine

network = nn.Sequential(
    nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.Flatten(), nn.LazyLinear(10)
)
images, targets = torch.randn(128, 3, 32, 32), torch.arange(128) % 10

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def steps(number):
    for _ in range(number):
        before = faults()
        nn.functional.cross_entropy(network(images), targets).backward()
        network.zero_grad()
        yield faults() - before

torch.set_num_threads(1)
with applied(choose_machine(Runtime(device="cpu", precision="fp32", threads=1))) if WITH else torch.enable_grad():
    print(sorted(steps(15))[7])
"""


def median_faults(applied: bool) -> int:
    code = STEPS.replace("WITH", str(applied))
    environment = os.environ | {"PYTHONPATH": str(Path(netwright.__file__).parents[1])}
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, capture_output=True, text=True, check=True, timeout=100, env=environment)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_a_step_of_a_cnn_faults_no_pages_also_when_torch_was_loaded_before() -> None:
    """As in a notebook, in `evaluate`, in `predict`: torch is there long before the allocator is told."""
    assert median_faults(applied=True) <= 64
