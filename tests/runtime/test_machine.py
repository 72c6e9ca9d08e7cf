"""What `auto` becomes, and that nothing stays changed behind it."""

import subprocess
import sys

import pytest
import torch

from netwright.config.sections import Runtime
from netwright.errors import MachineError
from netwright.runtime.machine import applied, choose_machine, hardware_bf16, machine_for_predictions, resolved


def test_auto_is_written_out_and_chosen_again():
    machine = choose_machine(Runtime())
    settled = resolved(machine, Runtime(trial=False))
    assert "auto" not in (settled.device, settled.precision, settled.threads, settled.memory_format)
    assert choose_machine(settled) == machine and not settled.trial


def test_exact_is_fp32_and_contiguous():
    machine = choose_machine(Runtime(exact=True))
    assert machine.precision == "fp32" and machine.memory_format is torch.contiguous_format


def test_a_device_that_is_not_there_is_named():
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(MachineError, match="'cuda' and torch finds no such device"):
        choose_machine(Runtime(device="cuda"))


@pytest.mark.parametrize(("asked", "threads"), [("3", 3), ("64", 8), ("2,4", 2), ("", 8), ("many", 8), ("0", 8)])
def test_the_usual_variable_limits_the_threads(monkeypatch, asked, threads):
    monkeypatch.setattr("netwright.runtime.machine.available_cores", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert choose_machine(Runtime(device="cpu")).threads == threads
    assert choose_machine(Runtime(device="cpu", threads=5)).threads == 5


def test_emulated_bf16_is_not_taken_for_hardware():
    square = torch.ones(512, 512)
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        assert not hardware_bf16(square.device)


def test_settings_and_random_state_come_back():
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.get_rng_state()
    with applied(choose_machine(Runtime(threads=1, exact=True))):
        assert torch.get_num_threads() == 1 and torch.are_deterministic_algorithms_enabled()
        torch.manual_seed(1)
    assert torch.get_num_threads() == before[0] and torch.are_deterministic_algorithms_enabled() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])


def test_new_tensors_are_not_filled_and_the_users_modes_come_back():
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with applied(choose_machine(Runtime(device="cpu", exact=True))):
            assert not torch.is_deterministic_algorithms_warn_only_enabled()
            assert not torch.utils.deterministic.fill_uninitialized_memory
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.utils.deterministic.fill_uninitialized_memory
    finally:
        torch.use_deterministic_algorithms(False)


def test_determinism_does_not_load_the_compiler():
    code = (
        "import sys, torch\n"
        "from netwright.config.sections import Runtime\n"
        "from netwright.runtime.machine import applied, choose_machine\n"
        "with applied(choose_machine(Runtime(device='cpu', exact=True))):\n"
        "    assert torch.are_deterministic_algorithms_enabled()\n"
        "assert not torch.are_deterministic_algorithms_enabled()\n"
        "assert not {'torch._dynamo', 'torch._inductor'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_network_is_used_as_it_was_trained_as_far_as_the_machine_can(monkeypatch):
    monkeypatch.setattr("netwright.runtime.machine.available_cores", lambda: 2)
    monkeypatch.setattr("netwright.runtime.machine.hardware_bf16", lambda device: False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    trained = Runtime(device="cuda:3", precision="bf16", threads=64, memory_format="contiguous")
    machine = machine_for_predictions(trained)
    assert machine.device.type != "cuda" and machine.precision == "fp32" and machine.threads == 2
    assert machine.memory_format is torch.contiguous_format
    monkeypatch.setattr("netwright.runtime.machine.hardware_bf16", lambda device: True)
    same = Runtime(device="cpu", precision="bf16", threads=1, memory_format="channels_last")
    assert machine_for_predictions(same) == choose_machine(same)
