"""The benchmark's structure and counts; its times are nobody's to assert."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / 'tools' / 'analysis_tools'
SIZE = (48, 64)
STEPS = 3
# of the tiny model: what the U-Net's output layer maps, and at how many times its features are read
WIDTH, CHANNELS, TIMES = 8, 5, 2

# nine processes, each of which may have to wait for its turn on a busy machine
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def benchmark(monkeypatch):
    """The tool as a module."""
    monkeypatch.syspath_prepend(TOOLS)
    return importlib.import_module('benchmark')


def run(*arguments):
    return subprocess.run(
        [sys.executable, '-W', 'ignore', TOOLS / 'benchmark.py', *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )


@pytest.fixture(scope='module')
def measured(tiny_weights, tmp_path_factory):
    """One run over everything: (what it printed, what it wrote as JSON, as Markdown)."""
    out = tmp_path_factory.mktemp('benchmark')
    process = run(
        '--weights', tiny_weights, '--size', *SIZE, '--num-steps', STEPS,
        '--repeats', 2, '--threads', 1, '--out', out,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    document = json.loads((out / 'benchmark.json').read_text(encoding='utf-8'))
    return process.stdout, document, (out / 'benchmark.md').read_text(encoding='utf-8')


@pytest.fixture(scope='module')
def parts(measured):
    return {row['name']: row for row in measured[1]['components']}


@pytest.fixture(scope='module')
def modes(measured):
    return {row['name']: row for row in measured[1]['modes']}


def test_every_part_and_mode_has_a_row(parts, modes):
    assert list(parts) == ['masks', 'stage_one', 'unet_step', 'unet_features', 'hfah']
    assert list(modes) == ['features', 'refine', 'sample']


def test_the_json_says_what_was_measured(measured):
    _, document, _ = measured
    assert document['size'] == list(SIZE)
    assert document['device'] == 'cpu'
    assert document['threads'] == 1
    assert document['model'] == 'SGDFuse of tiny.safetensors'
    assert 'multiplication and an addition being two' in document['flops_counted']
    assert '32 to 32 channels' in document['reference']


def test_times_and_memory_are_there(measured):
    for row in measured[1]['components'] + measured[1]['modes']:
        assert row['error'] == ''
        for times in (row['milliseconds'], row['ratio'], row['reference_milliseconds']):
            assert times['count'] == 2
            assert 0 < times['low'] <= times['median'] <= times['high']
        assert 0 < row['memory']['idle'] <= row['memory']['peak']


def test_a_mode_costs_what_its_parts_cost(parts, modes):
    once = parts['stage_one']['flops'] + parts['unet_features']['flops'] + parts['hfah']['flops']
    assert modes['features']['flops'] == once
    for mode in ('refine', 'sample'):
        assert modes[mode]['flops'] == once + STEPS * parts['unet_step']['flops']


def test_the_features_skip_the_output_layer(parts):
    height, width = SIZE
    output_layer = 2 * (WIDTH * 9) * CHANNELS * height * width
    step = parts['unet_step']['flops']
    assert parts['unet_features']['flops'] == TIMES * (step - output_layer)


def test_passes_through_the_u_net(parts, modes):
    passes = {name: row['evaluations'] for name, row in (parts | modes).items()}
    assert passes == dict(
        masks=0, stage_one=0, unet_step=1, unet_features=1, hfah=0,
        features=1, refine=STEPS + 1, sample=STEPS + 1,
    )  # fmt: skip


def test_parameters_add_up(parts, modes):
    total = sum(parts[name]['parameters'] for name in ('stage_one', 'unet_step', 'hfah'))
    assert parts['masks']['parameters'] == 0
    assert {row['parameters'] for row in modes.values()} == {total}
    assert parts['unet_features']['parameters'] == parts['unet_step']['parameters']


def test_the_table_in_terminal_and_markdown(measured, modes):
    printed, _, text = measured
    lines = [line for line in text.splitlines() if line.startswith('|')]
    assert lines[0].split('|')[2].strip() == 'parameters'
    assert len(lines) == 2 + 5 + 3
    assert len({line.count('|') for line in lines}) == 1
    titles = ['masks, both images', 'Stage I', 'U-Net, one step', 'U-Net, features of 2 times',
              'HFAH', 'features', f'refine, {STEPS} steps', f'sample, {STEPS} steps']  # fmt: skip
    assert [line.split('|')[1].strip() for line in lines[2:]] == titles
    for title in titles:
        assert title in printed
    parameters = f'{modes["refine"]["parameters"]:,}'
    assert parameters in printed
    assert parameters in text
    assert 'FLOPs: floating-point operations of convolutions' in text


def test_a_model_with_one_mode(benchmark):
    recipe = benchmark.Recipe(
        model=dict(
            type='PreliminaryFuser',
            preliminary=dict(type='PreliminaryNet', channels=8, depth=1, num_heads=2),
        ),
        masks=[dict(type='GenerateMasks')],
    )
    args = benchmark.parse_args(['--size', '32', '40'])
    components, whole = benchmark.plan(args, recipe)
    assert [job.part for job in components] == ['masks', 'stage_one']
    assert [job.part for job in whole] == [None]
    assert whole[0].size == (32, 40)
    args.modes = ['refine']
    with pytest.raises(ValueError, match='PreliminaryFuser infers in one way only'):
        benchmark.plan(args, recipe)


def test_a_row_that_runs_out_of_memory_says_so(benchmark, tiny_weights, monkeypatch):
    def killed(*_, **__):
        raise MemoryError

    args = benchmark.parse_args(['--modes', 'sample'])
    recipe = benchmark.read_recipe(None, tiny_weights)
    _, (job,) = benchmark.plan(args, recipe)
    monkeypatch.setattr(benchmark, 'in_fresh_process', killed)
    row = benchmark.measure_apart(job)
    assert row.error == 'out of memory'
    head, line = benchmark.build_table([row])
    assert line[:2] == ['sample', 'out of memory']
    assert len(line) == len(head)


def test_the_default_is_the_compact_model(benchmark):
    recipe = benchmark.read_recipe(None, None)
    assert recipe.model['denoiser']['base_channels'] == 24
    assert recipe.masks[0]['type'] == 'GenerateMasks'


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--size', '16', '640'], '--size must be at least 32 each way'),
        (['--repeats', '0'], '--repeats must be at least 1'),
        (['--num-steps', '0'], '--num-steps must be at least 1'),
        (['--modes', 'student'], 'invalid choice'),
    ],
)
def test_bad_arguments(benchmark, capsys, arguments, message):
    with pytest.raises(SystemExit):
        benchmark.parse_args(arguments)
    assert message in capsys.readouterr().err


def test_a_gpu_that_is_not_there(benchmark, capsys, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    with pytest.raises(SystemExit):
        benchmark.parse_args(['--device', 'cuda'])
    assert 'no CUDA GPU was found; leave it out for the CPU' in capsys.readouterr().err


def test_missing_weights_end_in_one_line(benchmark):
    with pytest.raises(SystemExit, match=r'^error: nowhere\.pth: no such file'):
        benchmark.main(['--weights', 'nowhere.pth'])
