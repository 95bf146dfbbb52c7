"""Planning, selecting and driving the phases; the Runner itself is stood in for."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from torch import nn

from mmsgdfuse.engine import Phase, phases, plan_phases, run_phases, select_phase
from mmsgdfuse.engine.phases import check_inherited

BASE = """
data_root = 'data'
model = dict(type='PreliminaryFuser')
train_dataloader = dict(dataset=dict(data_root=data_root))
train_cfg = dict(by_epoch=True, max_epochs=2)
"""
SECOND = """
_base_ = './first.py'
model = dict(type='DiffusionFuser')
train_cfg = dict(max_epochs=3)
"""
ENTRY = """
_base_ = './parts/second.py'
phases = [
    dict(name='one', config='parts/first.py'),
    dict(name='two', config='parts/second.py', inherits=('stem',)),
]
"""


@pytest.fixture
def entry(tmp_path) -> Config:
    folder = tmp_path / 'configs'
    (folder / 'parts').mkdir(parents=True)
    (folder / 'parts' / 'first.py').write_text(BASE)
    (folder / 'parts' / 'second.py').write_text(SECOND)
    (folder / 'entry.py').write_text(ENTRY)
    return Config.fromfile(folder / 'entry.py')


class Net(nn.Module):
    def __init__(self, width: int = 2) -> None:
        super().__init__()
        self.stem = nn.Linear(width, width)
        self.head = nn.Linear(width, 1)


class FakeRunner:
    """Writes the checkpoints that mmengine's Runner would, and remembers its config."""

    started: list[dict] = []

    def __init__(self, cfg: Config) -> None:
        self.cfg, self.model = cfg, Net()

    def train(self) -> None:
        self.started.append(self.cfg)
        for epoch in range(1, self.cfg.train_cfg.max_epochs + 1):
            save(Path(self.cfg.work_dir) / f'epoch_{epoch}.pth', epoch, self.model)


@pytest.fixture
def started(monkeypatch) -> list[dict]:
    """Configs of the Runners that were trained."""
    FakeRunner.started = []
    monkeypatch.setattr(phases, 'build_runner', FakeRunner)
    return FakeRunner.started


def save(path: Path, epoch: int, model: nn.Module) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # mmengine's log, which torch.load refuses unless it is told that it is safe
    log = dict(log_scalars=dict(loss=HistoryBuffer([0.5], [1])))
    torch.save(dict(meta=dict(epoch=epoch), state_dict=model.state_dict(), message_hub=log), path)


class TestPlan:
    def test_one_runner_per_phase(self, entry, tmp_path):
        one, two = plan_phases(entry, tmp_path / 'work')
        assert (one.name, two.name) == ('one', 'two')
        assert (one.inherits, two.inherits) == ((), ('stem',))
        assert (one.max_epochs, two.max_epochs) == (2, 3)
        assert one.work_dir == tmp_path / 'work' / 'one'
        assert two.cfg.model.type == 'DiffusionFuser'
        assert two.cfg.experiment_name == 'entry_two'

    def test_options_reach_every_phase_and_every_place(self, entry, tmp_path):
        options = {'data_root': '/other', 'train_cfg.val_interval': 5}
        for phase in plan_phases(entry, tmp_path, options):
            assert phase.cfg.data_root == '/other'
            assert phase.cfg.train_dataloader.dataset.data_root == '/other'
            assert phase.cfg.train_cfg.val_interval == 5

    def test_a_config_without_phases_is_one(self, entry, tmp_path):
        cfg = Config.fromfile(Path(entry.filename).parent / 'parts' / 'second.py')
        (phase,) = plan_phases(cfg, tmp_path / 'alone', {'data_root': '/other'})
        assert phase.name == 'alone'
        assert phase.work_dir == tmp_path / 'alone'
        assert phase.cfg.data_root == '/other'
        # the caller's config stays as it was
        assert cfg.data_root == 'data'
        assert 'work_dir' not in cfg

    def test_a_phase_without_a_file_is_the_entry_itself(self, entry, tmp_path):
        entry.phases[1].pop('config')
        entry.model.seed = 5
        _, two = plan_phases(entry, tmp_path / 'work', {'data_root': '/other'})
        assert two.cfg.model == dict(type='DiffusionFuser', seed=5)
        assert two.cfg.data_root == '/other'
        assert two.max_epochs == 3
        # by itself it is one phase, and the entry stays as it was
        assert 'phases' not in two.cfg
        assert len(entry.phases) == 2
        assert entry.data_root == 'data'

    def test_a_phase_takes_from_the_entry(self, entry, tmp_path):
        entry.phases[0].takes = ('model.preliminary', 'train_dataloader')
        entry.model.preliminary = dict(type='PreliminaryNet', depth=2)
        entry.train_dataloader = dict(dataset=dict(data_root='data', indices=3))
        one, two = plan_phases(entry, tmp_path / 'work', {'data_root': '/other'})
        assert one.cfg.model == dict(
            type='PreliminaryFuser', preliminary=dict(type='PreliminaryNet', depth=2)
        )
        assert one.cfg.train_dataloader == dict(dataset=dict(data_root='/other', indices=3))
        assert one.max_epochs == 2
        assert 'preliminary' not in two.cfg.model
        assert entry.train_dataloader.dataset.data_root == 'data'

    def test_a_phase_takes_from_another_place(self, entry, tmp_path):
        entry.phases[0].takes = {'train_dataloader.dataset': 'first.data'}
        entry.first = dict(data=dict(data_root='mine'))
        one, _ = plan_phases(entry, tmp_path / 'work')
        assert one.cfg.train_dataloader == dict(dataset=dict(data_root='mine'))

    def test_what_is_taken_must_be_there(self, entry, tmp_path):
        entry.phases[0].takes = ('model.head',)
        with pytest.raises(ValueError, match=r'phase one takes model\.head, which the config does'):
            plan_phases(entry, tmp_path)

    def test_names_must_differ(self, entry, tmp_path):
        entry.phases[1].name = 'one'
        with pytest.raises(ValueError, match='phases need names of their own'):
            plan_phases(entry, tmp_path)


class TestSelect:
    @pytest.fixture
    def planned(self, entry, tmp_path) -> list[Phase]:
        return plan_phases(entry, tmp_path / 'work')

    def test_first_phase_starts_from_nothing(self, planned):
        assert select_phase(planned, 'one') == ([planned[0]], None)

    def test_later_phase_starts_from_the_one_before(self, planned):
        before = planned[0].work_dir / 'epoch_2.pth'
        save(before, 2, Net())
        assert select_phase(planned, 'two') == ([planned[1]], str(before))

    def test_a_given_checkpoint_comes_first(self, planned):
        save(planned[0].work_dir / 'epoch_2.pth', 2, Net())
        assert select_phase(planned, 'two', 'mine.pth') == ([planned[1]], 'mine.pth')

    def test_the_phase_before_was_not_trained(self, planned):
        with pytest.raises(FileNotFoundError, match=r'weights of one.*or give --load-from'):
            select_phase(planned, 'two')

    def test_unknown_phase(self, planned):
        with pytest.raises(ValueError, match=r"no phase 'three'; the config has \['one', 'two'\]"):
            select_phase(planned, 'three')


class TestRun:
    @pytest.fixture
    def planned(self, entry, tmp_path) -> list[Phase]:
        return plan_phases(entry, tmp_path / 'work')

    def test_each_phase_starts_from_the_last_checkpoint_before(self, planned, started):
        last = run_phases(planned)
        assert last == planned[1].work_dir / 'epoch_3.pth'
        one, two = started
        assert one.get('load_from') is None
        assert two.load_from == str(planned[0].work_dir / 'epoch_2.pth')
        assert two.resume is False

    def test_refuses_to_overwrite(self, planned, started):
        present = planned[1].work_dir / 'epoch_1.pth'
        save(present, 1, Net())
        with pytest.raises(FileExistsError, match=r'epoch_1\.pth is there.*pass --resume') as info:
            run_phases(planned)
        assert str(present) in str(info.value)
        assert started == []

    def test_resume_passes_over_what_is_finished(self, planned, started):
        save(planned[0].work_dir / 'epoch_2.pth', 2, Net())
        run_phases(planned, resume=True)
        (two,) = started
        assert two.load_from == str(planned[0].work_dir / 'epoch_2.pth')
        assert two.resume is False

    def test_resume_goes_on_inside_a_phase(self, planned, started):
        save(planned[0].work_dir / 'epoch_2.pth', 2, Net())
        save(planned[1].work_dir / 'epoch_1.pth', 1, Net())
        run_phases(planned, resume=True)
        (two,) = started
        assert two.load_from == str(planned[1].work_dir / 'epoch_1.pth')
        assert two.resume is True

    def test_resume_goes_on_from_the_last_one_that_can_be_read(self, planned, started):
        save(planned[0].work_dir / 'epoch_1.pth', 1, Net())
        (planned[0].work_dir / 'epoch_2.pth').write_bytes(b'cut off')
        run_phases(planned, resume=True)
        assert started[0].load_from == str(planned[0].work_dir / 'epoch_1.pth')
        assert started[0].resume is True

    def test_resume_of_nothing_starts(self, planned, started):
        run_phases(planned, resume=True)
        assert len(started) == 2

    def test_nothing_is_left_to_do(self, planned, started):
        run_phases(planned)
        started.clear()
        assert run_phases(planned, resume=True) == planned[1].work_dir / 'epoch_3.pth'
        assert started == []

    def test_first_phase_may_start_from_a_checkpoint(self, planned, started, tmp_path):
        save(tmp_path / 'mine.pth', 9, Net())
        run_phases(planned[1:], load_from=str(tmp_path / 'mine.pth'))
        assert started[0].load_from == str(tmp_path / 'mine.pth')

    def test_a_checkpoint_of_other_networks_is_refused(self, planned, started, tmp_path):
        save(tmp_path / 'wide.pth', 9, Net(width=4))
        with pytest.raises(ValueError, match=r'wide\.pth does not fit this phase'):
            run_phases(planned[1:], load_from=str(tmp_path / 'wide.pth'))
        assert started == []


class TestInherited:
    @staticmethod
    def check(tmp_path, state: dict, submodules: tuple[str, ...] = ('stem',)) -> None:
        torch.save(dict(state_dict=state), tmp_path / 'before.pth')
        check_inherited(tmp_path / 'before.pth', Net(), submodules)

    def test_only_the_submodules_count(self, tmp_path):
        state = Net().state_dict()
        self.check(tmp_path, {k: v for k, v in state.items() if k.startswith('stem.')})
        self.check(tmp_path, {}, submodules=())

    def test_one_weight_is_missing(self, tmp_path):
        state = Net().state_dict()
        del state['stem.bias']
        with pytest.raises(ValueError, match=r"takes over \['stem'\]: stem\.bias is missing"):
            self.check(tmp_path, state)

    def test_another_shape(self, tmp_path):
        message = r'stem\.weight has the shape \(3, 3\) instead of \(2, 2\)'
        with pytest.raises(ValueError, match=message):
            self.check(tmp_path, Net(width=3).state_dict())
