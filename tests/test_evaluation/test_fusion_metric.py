from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as multiprocessing
from mmengine.dataset import DefaultSampler, pseudo_collate
from mmengine.evaluator import Evaluator
from torch.utils.data import DataLoader, Dataset

from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.evaluation import FusionMetric
from mmsgdfuse.evaluation.functional import PAPER_METRICS, fusion_metrics
from mmsgdfuse.registry import METRICS
from mmsgdfuse.structures import FusionDataSample

NAMES = ('EN', 'SCD', 'VIF', 'Qabf', 'QRG')


class Scenes(Dataset):
    """Five pairs of different sizes, packed as the pipeline packs them, with a result each."""

    def __len__(self):
        return 5

    @staticmethod
    def images(index):
        scene = synthetic_scene(seed=index, size=(48 + 2 * index, 64))
        # Quiet enough for QRG to be defined.
        noise = np.random.default_rng(index).integers(0, 3, (40, 40), dtype=np.uint8)
        scene.ir[:40, :40], scene.vis[:40, :40] = noise + 90, noise[..., None] + 60
        vis = scene.vis.transpose(2, 0, 1)
        # The last result is its visible source, so that SCD is undefined there.
        fused = vis if index == 4 else np.maximum(vis, scene.ir[None])
        return scene.ir[None], vis, fused

    def __getitem__(self, index):
        ir, vis, fused = (torch.from_numpy(image.copy()) for image in self.images(index))
        sample = FusionDataSample(
            metainfo=dict(
                name=f'{index}.png', ir_path=f'ir/{index}.png', vis_path=f'vi/{index}.png'
            )
        )
        sample.fused = fused
        return dict(inputs=dict(ir=ir, vis=vis), data_samples=sample)


def evaluate(batch_size=2, round_up=True):
    dataset = Scenes()
    evaluator = Evaluator(FusionMetric(names=NAMES))
    loader = DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=DefaultSampler(dataset, shuffle=False, seed=0, round_up=round_up),
        collate_fn=pseudo_collate,
    )
    for batch in loader:
        evaluator.process(data_samples=batch['data_samples'], data_batch=batch)
    return evaluator.evaluate(len(dataset))


def run_rank(rank, world_size, folder):
    os.chdir(folder)  # where mmengine puts its temporary files
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=world_size
    )
    reports = {f'round_up={round_up}': evaluate(round_up=round_up) for round_up in (True, False)}
    Path(folder, f'{rank}.json').write_text(json.dumps(reports))
    torch.distributed.destroy_process_group()


@pytest.fixture
def report():
    return evaluate()


def test_means_are_those_of_the_functions(report):
    values = []
    for index in range(5):
        images = (image.transpose(1, 2, 0) for image in Scenes.images(index))
        values.append(fusion_metrics(*images, NAMES))
    for name in NAMES:
        defined = [v[name] for v in values if not math.isnan(v[name])]
        assert report[f'fusion/{name}_count'] == len(defined)
        assert report[f'fusion/{name}'] == pytest.approx(np.mean(defined), rel=1e-12)
    assert report['fusion/SCD_count'] == 4
    assert report['fusion/QRG_worst'] == max(v['QRG'] for v in values)


@pytest.mark.parametrize('batch_size', [1, 3, 5])
def test_batch_size_does_not_matter(report, batch_size):
    assert evaluate(batch_size) == report


@pytest.mark.slow
def test_two_processes_give_the_same_bits(report, tmp_path):
    """With a sampler that pads the shorter share and with one that leaves it short."""
    multiprocessing.spawn(run_rank, (2, str(tmp_path)), nprocs=2)
    for rank in range(2):
        reports = json.loads((tmp_path / f'{rank}.json').read_text())
        assert reports == {'round_up=True': report, 'round_up=False': report}


def test_defaults_are_the_papers_metrics_and_qrg():
    metric = METRICS.build(dict(type='mmsgdfuse.FusionMetric'))
    assert metric.names == (*PAPER_METRICS, 'QRG')
    with pytest.raises(ValueError, match='unknown metric'):
        FusionMetric(names=['FID'])


def make_batch(**changes):
    item = Scenes()[0]
    inputs = {**item['inputs'], **changes}
    return dict(inputs={role: [image] for role, image in inputs.items()}), item['data_samples']


def test_float_sources_of_16_bit_files_are_rounded():
    item = Scenes()[0]
    batch, sample = make_batch(ir=item['inputs']['ir'].float() + 0.25)
    metric = FusionMetric(names=['MI'])
    metric.process(batch, [sample.to_dict()])
    plain = FusionMetric(names=['MI'])
    plain.process(make_batch()[0], [sample.to_dict()])
    assert metric.evaluate(1) == plain.evaluate(1)


@pytest.mark.parametrize(
    ('convert', 'message'),
    [
        (lambda image: image.float() / 127.5 - 1, r'0\.\.255'),
        (lambda image: image.float().fill_(torch.nan), r'0\.\.255'),
        (lambda image: image.float() + 100, r'0\.\.255'),
        (lambda image: image[0], r'\(C, H, W\)'),
        (lambda image: image[:, :-1], 'differ in size'),
    ],
    ids=['normalised', 'nan', 'too bright', 'no channel', 'size'],
)
def test_unfit_images_are_refused_with_the_pairs_name(convert, message):
    batch, sample = make_batch(vis=convert(Scenes()[0]['inputs']['vis']))
    with pytest.raises(ValueError, match=message) as caught:
        FusionMetric(names=['EN']).process(batch, [sample.to_dict()])
    assert 'vi/0.png' in str(caught.value)


def test_what_a_data_sample_must_hold():
    batch, sample = make_batch()
    nothing = sample.to_dict()
    del nothing['fused']
    with pytest.raises(KeyError, match="mode='predict'"):
        FusionMetric().process(batch, [nothing])
    nameless = sample.to_dict()
    del nameless['ir_path']
    with pytest.raises(KeyError, match='PackFusionInputs'):
        FusionMetric().process(batch, [nameless])


def test_no_image_at_all():
    report = FusionMetric(names=['EN', 'QRG']).evaluate(0)
    assert report['fusion/EN_count'] == 0
    assert math.isnan(report['fusion/EN'])
    assert 'fusion/QRG_worst' not in report
