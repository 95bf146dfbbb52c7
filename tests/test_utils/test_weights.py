from __future__ import annotations

import os

import pytest
import torch
from mmengine.logging import HistoryBuffer
from torch import nn

from mmsgdfuse.utils.weights import load_weights, read_metadata, read_weights, save_weights


class Fuser(nn.Module):
    def __init__(self, width=4, head=True):
        super().__init__()
        self.denoiser = nn.Conv2d(3, width, 3)
        self.norm = nn.BatchNorm2d(width)
        if head:
            self.head = nn.Conv2d(width, 3, 1)
        self.losses = nn.ModuleDict(dict(gradient=nn.Conv2d(1, 2, 3)))
        self.to(memory_format=torch.channels_last)


def test_weights_come_back_as_float16_rounds_them(tmp_path):
    saved, loaded = Fuser(), Fuser()
    saved.norm.num_batches_tracked.fill_(70000)  # an integer beyond float16 stays exact
    path = tmp_path / 'deep/weights.safetensors'
    save_weights(saved, path, dict(phase='fusion', model=dict(mults=[1, 2])))

    assert load_weights(loaded, path) == dict(phase='fusion', model=dict(mults=[1, 2]))

    for name, weight in saved.state_dict().items():
        found = loaded.state_dict()[name]
        if name.startswith('losses'):
            assert not torch.equal(found, weight)
        else:
            expected = weight.half().float() if weight.is_floating_point() else weight
            assert torch.equal(found, expected)
    assert loaded.denoiser.weight.is_contiguous(memory_format=torch.channels_last)
    assert [p.name for p in path.parent.iterdir()] == ['weights.safetensors']


def test_shipped_file_has_half_precision_and_no_losses(tmp_path):
    path = tmp_path / 'weights.safetensors'
    save_weights(Fuser(), path)
    state, metadata = read_weights(path)
    assert metadata == {}
    assert {name.split('.')[0] for name in state} == {'denoiser', 'norm', 'head'}
    assert state['head.weight'].dtype == torch.float16


def test_the_same_weights_give_the_same_bytes(tmp_path):
    # the header's entries are kept in a hash map, whose order changes from one to the next
    paths = [tmp_path / f'{index}.safetensors' for index in range(8)]
    for path in paths:
        save_weights(dict(b=torch.ones(2), a=torch.zeros(3)), path, dict(z=1, y=[2], x='3', w=None))
    assert len({path.read_bytes() for path in paths}) == 1


def test_metadata_is_read_without_the_weights(tmp_path):
    path = tmp_path / 'weights.safetensors'
    save_weights(Fuser(), path, dict(commit='abc'))
    assert read_metadata(path) == dict(commit='abc')
    torch.save(Fuser().state_dict(), tmp_path / 'weights.pth')
    assert read_metadata(tmp_path / 'weights.pth') == {}


@pytest.mark.parametrize('bare', [True, False])
def test_checkpoints_of_the_runner(tmp_path, bare):
    saved, loaded = Fuser(), Fuser()
    content = saved.state_dict()
    if not bare:
        buffers = dict(loss=HistoryBuffer([1.0], [1]))
        content = dict(state_dict=content, meta=dict(epoch=3, cfg='...'), message_hub=buffers)
    path = tmp_path / 'epoch_3.pth'
    torch.save(content, path)
    assert load_weights(loaded, path) == ({} if bare else dict(epoch=3))
    assert torch.equal(loaded.head.weight, saved.head.weight)


def test_checkpoint_of_another_phase(tmp_path):
    torch.save(Fuser(head=False).state_dict(), tmp_path / 'epoch_1.pth')
    model = Fuser()
    before = model.denoiser.weight.clone()
    with pytest.raises(ValueError, match=r'(?s)epoch_1\.pth.*Fuser, which has denoiser, head') as e:
        load_weights(model, tmp_path / 'epoch_1.pth')
    assert 'Missing: head.weight, head.bias; not expected: nothing' in str(e.value)
    assert torch.equal(model.denoiser.weight, before)

    save_weights(Fuser(), tmp_path / 'whole.safetensors')
    with pytest.raises(ValueError, match=r'not expected: head\.'):
        load_weights(Fuser(head=False), tmp_path / 'whole.safetensors')


def test_checkpoint_of_another_size(tmp_path):
    save_weights(Fuser(width=8), tmp_path / 'wide.safetensors')
    model = Fuser()
    before = model.head.bias.clone()
    message = r'denoiser\.weight \(8, 3, 3, 3\) instead of \(4, 3, 3, 3\).* and \d more'
    with pytest.raises(ValueError, match=message):
        load_weights(model, tmp_path / 'wide.safetensors')
    assert torch.equal(model.head.bias, before)


@pytest.mark.parametrize('name', ['weights.safetensors', 'weights.pth'])
@pytest.mark.parametrize('damage', ['truncated', 'empty', 'text'])
def test_damaged_files_are_named(tmp_path, name, damage):
    path = tmp_path / name
    save_weights(Fuser(), tmp_path / 'weights.safetensors')
    torch.save(Fuser().state_dict(), tmp_path / 'weights.pth')
    whole = path.read_bytes()
    path.write_bytes(dict(truncated=whole[:-200], empty=b'', text=b'Not Found\n' * 9)[damage])
    with pytest.raises(ValueError, match=f'{name}: is damaged'):
        load_weights(Fuser(), path)


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Payload:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'ran'),)

    torch.save(dict(state_dict=Payload()), tmp_path / 'evil.pth')
    with pytest.raises(ValueError, match='cannot be loaded safely'):
        load_weights(Fuser(), tmp_path / 'evil.pth')
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize('content', [[1], {}, dict(epoch=1)])
def test_files_without_weights(tmp_path, content):
    torch.save(content, tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='holds no weights'):
        load_weights(Fuser(), tmp_path / 'other.pth')


def test_missing_file(tmp_path):
    for read in (read_weights, read_metadata):
        with pytest.raises(FileNotFoundError, match=r'none\.safetensors'):
            read(tmp_path / 'none.safetensors')


def test_nothing_is_written_that_cannot_be_read_back(tmp_path):
    path = tmp_path / 'weights.safetensors'
    with pytest.raises(ValueError, match=r'head\.bias is not finite as torch\.float16'):
        save_weights({'head.bias': torch.tensor([1e5])}, path)
    with pytest.raises(TypeError, match='JSON'):
        save_weights(Fuser(), path, dict(model=Fuser))
    with pytest.raises(ValueError, match=r'weights\.pth: .*safetensors'):
        save_weights(Fuser(), tmp_path / 'weights.pth')
    assert not list(tmp_path.iterdir())
    save_weights({'head.bias': torch.tensor([1e5])}, path, dtype=torch.float32)
