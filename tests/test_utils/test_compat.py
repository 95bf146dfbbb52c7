"""What :mod:`mmsgdfuse.utils.compat` mends, each against the fault that it is for."""

from __future__ import annotations

import importlib
import io
import os
import pickle
import socket
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.runner import Runner
from torch import nn
from torch._weights_only_unpickler import load as weights_only_load

from mmsgdfuse.utils import compat
from mmsgdfuse.utils.errors import MissingPackageError


def saved(content: object) -> io.BytesIO:
    stream = io.BytesIO()
    torch.save(content, stream)
    stream.seek(0)
    return stream


class Line(BaseModel):
    """y = slope * x, to be fitted to y = 2 x."""

    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(1))

    def forward(self, x, mode='loss'):
        return dict(loss=(self.slope * x - 2 * x).pow(2).mean())


def train_line(folder, epochs: int, **kwargs) -> Runner:
    runner = Runner(
        model=Line(),
        work_dir=str(folder),
        train_dataloader=dict(
            dataset=[{'x': torch.ones(1)}] * 4,
            batch_size=2,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.1)),
        default_scope='mmengine',
        experiment_name=f'{folder.name} {epochs}',
        **kwargs,
    )
    runner.train()
    return runner


class TestSafeResume:
    def test_reads_what_a_runner_logs(self):
        compat.allow_safe_resume()
        history = HistoryBuffer([1.0, np.float32(2)], [1, 1])
        history.update(6.0)
        content = dict(loss=history, best=np.float64(0.5), epoch=np.int64(3), on=np.bool_(True))

        loaded = torch.load(saved(content), weights_only=True)

        assert loaded['loss'].mean() == 3.0
        assert loaded['loss'].statistics('max') == 6.0
        assert (loaded['best'], loaded['epoch'], loaded['on']) == (0.5, 3, True)

    @pytest.mark.parametrize('package', ['numpy.core', 'numpy._core'])
    def test_reads_arrays_of_numpy_1_and_2(self, package):
        compat.allow_safe_resume()
        array = np.arange(3, dtype=np.int32)
        # protocol 2 writes the name of the module as text
        written = pickle.dumps(array, protocol=2)
        name = np.zeros(1).__reduce__()[0].__module__.encode()
        renamed = written.replace(name, f'{package}.multiarray'.encode())

        np.testing.assert_array_equal(weights_only_load(io.BytesIO(renamed)), array)

    @pytest.mark.parametrize(
        ('owner', 'name'),
        [(HistoryBuffer, '__init__'), (HistoryBuffer, '__class__'), (str, 'join')],
    )
    def test_refuses_any_other_attribute(self, owner, name):
        class Attack:
            def __reduce__(self):
                return getattr, (owner, name)

        compat.allow_safe_resume()
        with pytest.raises((ValueError, pickle.UnpicklingError), match=r'safe|global'):
            torch.load(saved(Attack()), weights_only=True)

    def test_refuses_other_globals(self):
        class Attack:
            def __reduce__(self):
                return os.getcwd, ()

        compat.allow_safe_resume()
        with pytest.raises(pickle.UnpicklingError, match='getcwd'):
            torch.load(saved(Attack()), weights_only=True)

    def test_a_runner_resumes(self, tmp_path):
        compat.allow_safe_resume()
        first = train_line(tmp_path, epochs=1)
        second = train_line(tmp_path, epochs=2, resume=True)
        assert first.iter == 2
        assert second.iter == 4
        assert len(second.message_hub.get_scalar('train/loss').data[0]) == 4


class TestDistributionOnCpu:
    @pytest.fixture
    def torchrun(self, monkeypatch):
        """What torchrun tells the one process of a job, on a machine without GPU."""
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        job = dict(RANK=0, LOCAL_RANK=0, WORLD_SIZE=1, MASTER_ADDR='127.0.0.1', MASTER_PORT=port)
        for name, value in job.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
        yield
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    @pytest.mark.usefixtures('torchrun')
    def test_a_runner_trains(self, tmp_path):
        cfg = Config(dict(launcher='pytorch', model_wrapper_cfg=dict(find_unused_parameters=True)))
        compat.distribute_on_cpu(cfg)
        assert torch.distributed.get_backend() == 'gloo'
        assert cfg.model_wrapper_cfg.find_unused_parameters

        runner = train_line(tmp_path, epochs=1, cfg=cfg, launcher='pytorch')

        assert isinstance(runner.model, MMDistributedDataParallel)
        assert runner.model.module.slope != 0

    @pytest.mark.parametrize('launcher', ['none', 'slurm'])
    def test_leaves_others_alone(self, launcher):
        cfg = Config(dict(launcher=launcher))
        compat.distribute_on_cpu(cfg)
        assert cfg.to_dict() == dict(launcher=launcher)
        assert not torch.distributed.is_initialized()

    def test_leaves_gpus_alone(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
        cfg = Config(dict(launcher='pytorch'))
        compat.distribute_on_cpu(cfg)
        assert 'model_wrapper_cfg' not in cfg


class TestOperators:
    def test_stands_in_for_downstream_packages_alone(self, monkeypatch):
        finder = compat._StandInFinder()
        for name in compat.DOWNSTREAM:
            monkeypatch.delitem(sys.modules, name, raising=False)
        assert finder.find_spec('mmcv._ext') is None
        monkeypatch.setitem(sys.modules, 'mmdet', ModuleType('mmdet'))
        assert finder.find_spec('mmcv._ext').loader is finder
        assert finder.find_spec('mmcv.other') is None

    def test_mmcv_keeps_the_best_boxes(self):
        pytest.importorskip('mmdet')
        from mmcv.ops import nms

        boxes = torch.tensor([[0.0, 0, 9, 9], [0, 0, 9, 8], [20, 20, 29, 29]])
        kept, indices = nms(boxes, torch.tensor([0.5, 0.9, 0.7]), 0.5)
        assert indices.tolist() == [1, 2]
        torch.testing.assert_close(kept[:, 4], torch.tensor([0.9, 0.7]))

    def test_nms_counts_pixels_with_offset(self):
        # as continuous boxes they overlap by 1/3; counted in pixels, by 2 columns of 4: 1/2
        boxes = torch.tensor([[0.0, 0, 2, 0.0], [1, 0, 3, 0]])
        scores = torch.tensor([0.9, 0.8])
        nms = compat._StandIn.nms
        assert nms(boxes, scores, 0.49, offset=1).tolist() == [0]
        assert nms(boxes, scores, 0.51, offset=1).tolist() == [0, 1]

    def test_focal_loss_and_its_gradient(self):
        logits = torch.tensor([[0.3, -1.2], [2.0, 0.1], [-0.4, 0.8]], dtype=torch.float64)
        target = torch.tensor([0, 1, 2])  # 2 is background
        onehot = torch.tensor([[1.0, 0], [0, 1], [0, 0]], dtype=torch.float64)
        leaf = logits.clone().requires_grad_()
        p = leaf.sigmoid()
        expected = -0.25 * onehot * (1 - p) ** 2 * p.log()
        expected = expected - 0.75 * (1 - onehot) * p**2 * (1 - p).log()
        expected.sum().backward()

        loss, grad = torch.empty_like(logits), torch.empty_like(logits)
        weight = logits.new_empty(0)
        stand_in = compat._StandIn('mmcv._ext')
        stand_in.sigmoid_focal_loss_forward(logits, target, weight, loss, gamma=2.0, alpha=0.25)
        stand_in.sigmoid_focal_loss_backward(logits, target, weight, grad, gamma=2.0, alpha=0.25)

        torch.testing.assert_close(loss, expected.detach())
        torch.testing.assert_close(grad, leaf.grad)

    def test_focal_loss_refuses_class_weights(self):
        x = torch.zeros(1, 2)
        with pytest.raises(NotImplementedError, match='class weights'):
            compat._StandIn.sigmoid_focal_loss_forward(
                x, torch.tensor([0]), torch.ones(2), torch.empty_like(x), 2.0, 0.25
            )

    def test_any_other_operator_says_what_to_install(self):
        stand_in = compat._StandIn('mmcv._ext')
        with pytest.raises(NotImplementedError, match=r"'roi_align_forward'.*mmcv>=2\.0\.0"):
            stand_in.roi_align_forward(1)
        assert not hasattr(stand_in, '__path__')

    def test_compiled_operators_come_first(self, tmp_path, monkeypatch):
        mmcv = pytest.importorskip('mmcv')
        (tmp_path / '_ext.py').write_text('compiled = True')
        monkeypatch.delitem(sys.modules, 'mmcv._ext', raising=False)
        monkeypatch.delattr(mmcv, '_ext', raising=False)
        monkeypatch.setitem(sys.modules, 'mmdet', ModuleType('mmdet'))
        monkeypatch.setattr(mmcv, '__path__', [str(tmp_path), *mmcv.__path__])
        assert importlib.import_module('mmcv._ext').compiled is True

    def test_is_registered_once(self):
        before = list(sys.meta_path)
        compat.prepare()
        assert sys.meta_path == before


class TestPackages:
    @pytest.mark.parametrize('name', list(compat.DOWNSTREAM))
    def test_imports_with_everything_registered(self, name):
        pytest.importorskip(name)
        package = compat.import_downstream(name)
        assert package.__name__ == name
        assert package.registry.TRANSFORMS.module_dict
        # the alias that mmagic needs while it is imported does not stay
        assert 'bool8' not in vars(np)

    def test_names_the_versions_that_work(self, monkeypatch):
        def fail(name):
            raise AttributeError("module 'diffusers' has no attribute 'X'")

        monkeypatch.setattr(importlib, 'import_module', fail)
        with pytest.raises(ImportError) as caught:
            compat.import_downstream('mmagic')
        for words in ('has no attribute', 'mmagic 1.2.0', 'transformers 4.44.2', 'lock.txt'):
            assert words in str(caught.value)

    def test_refuses_other_packages(self):
        with pytest.raises(ValueError, match=r"'mmagic', 'mmdet', 'mmseg'.*got 'mmpose'"):
            compat.import_downstream('mmpose')

    def test_says_which_mmcv_to_install(self, monkeypatch):
        monkeypatch.setattr(compat, 'find_spec', lambda name: None if name == 'mmcv' else True)
        with pytest.raises(MissingPackageError, match=r'needs mmcv: .* mmcv-lite==2\.1'):
            compat.require('a transform', 'torch', 'mmcv')

    def test_says_which_extra_to_install(self, monkeypatch):
        monkeypatch.setattr(compat, 'find_spec', lambda name: None)
        with pytest.raises(MissingPackageError, match=r'mmsgdfuse\[onedl\]') as caught:
            compat.require('a model', 'torch', 'mmengine')
        assert caught.value.name == 'torch'
        with pytest.raises(MissingPackageError, match=r'mmsgdfuse\[onnx\]'):
            compat.require('the backend', 'onnxruntime')

    def test_asks_for_nothing_that_is_there(self):
        compat.require('a test', 'numpy', 'torch')
