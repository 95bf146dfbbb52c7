"""The speed benchmark: what it runs, what it writes and when it fails; its times are nobody's."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import torch

from mmsgdfuse.apis import Recipe
from mmsgdfuse.models.diffusion import NoiseUNet
from mmsgdfuse.utils.profiling import Memory, Spread
from mmsgdfuse.utils.weights import save_weights

BENCHMARKS = Path(__file__).resolve().parents[2] / 'benchmarks'
MODEL = """
model = dict(
    type='SGDFuse',
    preliminary=dict(type='PreliminaryNet', channels=8, depth=1, num_heads=2),
    denoiser=dict(type='NoiseUNet', base_channels=8, channel_mults=(1, 2, 2), num_res_blocks=1),
    feature_timesteps=(5, 50, 100),
)
"""


@pytest.fixture
def benchmark(monkeypatch):
    """The script as a module; the threads that it sets are taken back."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    threads = torch.get_num_threads()
    yield importlib.import_module('benchmark_speed')
    torch.set_num_threads(threads)


@pytest.fixture
def paper(tmp_path) -> Path:
    (tmp_path / 'paper.py').write_text(MODEL)
    return tmp_path / 'paper.py'


@pytest.fixture
def arguments(paper, tiny_weights, tmp_path) -> list[str]:
    return [
        '--size', '64', '48', '--memory-size', '96', '64', '--threads', '1', '--repeats', '2',
        '--paper', str(paper), '--weights', str(tiny_weights), '--json', str(tmp_path / 'o.json'),
        '--student', str(tmp_path / 'student.safetensors'),
    ]  # fmt: skip


@pytest.fixture
def student(tmp_path) -> None:
    recipe = Recipe(model=dict(type='StudentFuser'), masks=[])
    save_weights(recipe.build_model(), tmp_path / 'student.safetensors', recipe.to_metadata())


@pytest.mark.timeout(300)
def test_one_run(benchmark, arguments, student, tmp_path, capsys):
    assert benchmark.main(arguments) == 0
    rows = json.loads((tmp_path / 'o.json').read_text())['rows']
    assert list(rows) == [
        'features', 'student', 'features, onnxruntime', 'student, onnxruntime', 'passes'
    ]  # fmt: skip
    assert all(row['seconds']['count'] == 2 for row in rows.values())
    for name in ('features', 'student'):
        memory, ratio = rows[name]['memory'], rows[name]['ratio']
        assert 50 * 2**20 < memory['idle'] <= memory['peak']
        assert ratio['low'] <= ratio['median'] <= ratio['high']
    printed = capsys.readouterr().out
    assert '64x48, 1 thread(s)' in printed
    assert 'peak MiB at 96x64' in printed


@pytest.mark.timeout(300)
def test_requirements_that_are_not_met(benchmark, arguments, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, 'in_fresh_process', lambda *_, **__: Memory(2**20, 2**29))
    gates = ['--require', '1e9', '--require-student', '1', '--require-memory', '0.25']
    assert benchmark.main([*arguments, *gates]) == 1
    printed = capsys.readouterr().out
    assert 'times as fast, not 1e+09' in printed
    assert 'no student' in printed
    assert 'the student fuses 0.0 per second, not 1' in printed
    assert 'needs 0.50 GiB, not below 0.25' in printed


def test_requirements_that_are_met(benchmark):
    def spread(value: float) -> Spread:
        return Spread.of([value])

    rows = dict(
        features=dict(seconds=spread(0.5), ratio=spread(20.0), memory=Memory(0, 2**30)),
        student=dict(seconds=spread(0.05), ratio=spread(200.0), memory=Memory(0, 2**29)),
    )
    met = ['--require', '20', '--require-student', '20', '--require-memory', '1.5']
    assert benchmark.failures(rows, benchmark.parse_args(met)) == []
    assert benchmark.failures(rows, benchmark.parse_args([])) == []
    missed = ['--require', '20.1', '--require-student', '20.1', '--require-memory', '1']
    assert len(benchmark.failures(rows, benchmark.parse_args(missed))) == 3


def test_a_pass_for_each_time_at_full_size(benchmark, paper, monkeypatch):
    calls = []
    monkeypatch.setattr(
        NoiseUNet, 'features', lambda self, x, level: calls.append((x.shape, level.item()))
    )
    benchmark.paper_passes(str(paper), (62, 48))()
    # three levels of the U-Net: both sides are multiples of four
    assert [shape for shape, _ in calls] == [(1, 5, 48, 64)] * 3
    levels = [level for _, level in calls]
    assert 1 > levels[0] > levels[1] > levels[2] > 0.9


def test_a_config_of_another_model(benchmark, paper, arguments, capsys):
    paper.write_text("model = dict(type='PreliminaryFuser')")
    assert benchmark.main(arguments) == 2
    assert 'is of PreliminaryFuser; give one of SGDFuse' in capsys.readouterr().out
