"""What a piece of code costs, against numbers worked out by hand."""

from __future__ import annotations

import os
import time

import pytest
import torch
from torch import nn

from mmsgdfuse.utils.profiling import (
    Spread,
    count_flops,
    count_parameters,
    in_fresh_process,
    measure_memory,
    time_beside,
    time_in_turn,
)

MEBIBYTE = 2**20


def test_parameters_count_weights_and_biases_once():
    layer = nn.Conv2d(3, 8, 3)
    assert count_parameters(layer) == 3 * 8 * 9 + 8
    assert count_parameters(layer, nn.Sequential(layer, nn.Linear(4, 2))) == 224 + 10
    assert count_parameters(layer.requires_grad_(False)) == 224


@pytest.mark.parametrize(
    ('layer', 'shape', 'expected'),
    [
        # two for each weight that an output pixel sums over, times the output pixels
        (nn.Conv2d(3, 8, 3, padding=1), (1, 3, 16, 20), 2 * (3 * 9) * 8 * (16 * 20)),
        (nn.Conv2d(3, 8, 3, padding=1), (4, 3, 16, 20), 4 * 2 * (3 * 9) * 8 * (16 * 20)),
        (nn.Conv2d(4, 6, 3, stride=2, padding=1), (1, 4, 16, 20), 2 * (4 * 9) * 6 * (8 * 10)),
        (nn.Conv2d(8, 8, 3, padding=1, groups=8), (1, 8, 16, 20), 2 * 9 * 8 * (16 * 20)),
        (nn.Conv2d(3, 8, 3, padding=1, bias=False), (1, 3, 16, 20), 138240),
        (nn.Linear(10, 4), (2, 10), 2 * 2 * 10 * 4),
        (nn.Sequential(nn.GroupNorm(2, 4), nn.SiLU()), (1, 4, 16, 20), 0),
    ],
)
@pytest.mark.parametrize('context', [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_flops_of_a_layer(layer, shape, expected, context):
    with context():
        image = torch.zeros(shape)
        assert count_flops(lambda: layer(image)) == expected


def test_flops_of_a_matrix_product():
    affinity = torch.zeros(2, 3, 4, 100), torch.zeros(2, 3, 100, 5)
    with torch.inference_mode():
        assert count_flops(lambda: affinity[0] @ affinity[1]) == 2 * (2 * 3) * 4 * 100 * 5


def test_the_layout_in_memory_changes_no_count():
    layer = nn.Conv2d(3, 8, 3, padding=1).to(memory_format=torch.channels_last)
    image = torch.zeros(1, 3, 16, 20).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        assert count_flops(lambda: layer(image)) == 138240


def test_spread_of_measurements():
    assert Spread.of([10.0, 30.0, 20.0, 50.0, 40.0]) == Spread(30.0, 20.0, 40.0, 5)
    assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0, 1)
    with pytest.raises(ValueError, match='no values'):
        Spread.of([])


def test_the_reference_runs_before_each_run():
    runs = []
    times, reference_times = time_beside(
        lambda: runs.append('function'), lambda: runs.append('reference'), repeats=3
    )
    assert runs == ['reference', 'function'] * 3
    assert len(times) == len(reference_times) == 3


def test_several_run_in_turn():
    runs = []
    times = time_in_turn([lambda n=n: (runs.append(n), time.sleep(n / 100)) for n in (0, 1, 2)], 2)
    assert runs == [0, 1, 2] * 2
    assert [len(own) for own in times] == [2, 2, 2]
    assert min(times[1]) >= 0.01
    assert min(times[2]) >= 0.02


def test_a_run_takes_as_long_as_the_function():
    times, reference_times = time_beside(lambda: time.sleep(0.02), lambda: None, repeats=2)
    assert min(times) >= 0.02
    assert min(reference_times) < 0.02


def test_a_spent_budget_ends_after_three_runs():
    times, _ = time_beside(lambda: time.sleep(0.01), lambda: None, repeats=50, budget=0.001)
    assert len(times) == 3


def test_repeats_below_one_are_refused():
    with pytest.raises(ValueError, match='repeats must be at least 1, found 0'):
        time_beside(lambda: None, lambda: None, repeats=0)


def memory_of_a_buffer():
    """Memory around a call that holds 96 MiB at its peak and gives it back."""

    def call():
        torch.ones(96 * MEBIBYTE, dtype=torch.uint8)

    return measure_memory(call)


def test_peak_memory_is_that_of_the_call_alone():
    memory = in_fresh_process(memory_of_a_buffer, preload=['torch'])
    if memory is None:
        pytest.skip('the system does not tell a process its memory')
    assert 95 * MEBIBYTE < memory.peak - memory.idle < 140 * MEBIBYTE


def fail(message):
    """Raise, as a job in a process of its own may."""
    raise ValueError(message)


def test_a_process_of_its_own():
    assert in_fresh_process(os.getpid, preload=['torch']) != os.getpid()
    with pytest.raises(ValueError, match='what went wrong'):
        in_fresh_process(fail, 'what went wrong', preload=['torch'])


def test_a_killed_process_is_reported():
    with pytest.raises(MemoryError, match='ended without a result'):
        in_fresh_process(os._exit, 1, preload=['torch'])


@pytest.mark.gpu
def test_gpu_memory_is_what_pytorch_allocated():
    memory = measure_memory(
        lambda: torch.ones(96 * MEBIBYTE, dtype=torch.uint8, device='cuda'), 'cuda'
    )
    assert memory is not None
    assert memory.peak - memory.idle == 96 * MEBIBYTE
