"""The header of *.safetensors names classes of this package, or the file is refused."""

from __future__ import annotations

import re

import pytest
import torch
from mmengine.registry import MODELS as MMENGINE_MODELS

from mmsgdfuse.apis import FusionInferencer, Recipe
from mmsgdfuse.datasets.synthetic import synthetic_scene
from mmsgdfuse.masks import build_composer
from mmsgdfuse.models.fusers import SGDFuse, load_fuser
from mmsgdfuse.registry import MODELS
from mmsgdfuse.utils.image_io import write_image
from mmsgdfuse.utils.weights import read_metadata, read_model_metadata, save_weights

pytestmark = pytest.mark.hostile

# where a header may hide a config, and the key that the message names
PLACES = {
    'model': lambda m, evil: m.update(model=evil),
    'model.preliminary': lambda m, evil: m['model'].update(preliminary=evil),
    'model.denoiser': lambda m, evil: m['model'].update(denoiser=evil),
    'model.head': lambda m, evil: m['model'].update(head=evil),
    'model.schedule': lambda m, evil: m['model'].update(schedule=evil),
    'model.sampler': lambda m, evil: m['model'].update(sampler=evil),
    'model.noise_loss': lambda m, evil: m['model'].update(noise_loss=evil),
    'model.losses.any': lambda m, evil: m['model'].update(losses=dict(any=evil)),
    'model.data_preprocessor': lambda m, evil: m['model'].update(data_preprocessor=evil),
    'model.init_cfg': lambda m, evil: m['model'].update(init_cfg=evil),
    'model.head.deep[0][1].er': lambda m, evil: m['model']['head'].update(
        deep=[[0, dict(er=evil)]]
    ),
    'masks[0]': lambda m, evil: m.update(masks=[evil]),
    'masks[1]': lambda m, evil: m['masks'].append(evil),
    'masks[0].ir': lambda m, evil: m['masks'][0].update(ir=evil),
    'masks[0].vis': lambda m, evil: m['masks'][0].update(vis=evil),
    'masks[0].ir.composer': lambda m, evil: m['masks'][0].update(
        ir=dict(type='ThermalVisualSaliency', composer=evil)
    ),
    'masks[0].ir.prompter': lambda m, evil: m['masks'][0].update(
        ir=dict(type='SAMMaskGenerator', prompter=evil)
    ),
}
everywhere = pytest.mark.parametrize('place', list(PLACES))


def command(marker) -> dict:
    return dict(type='os.system', command=f'mkdir {marker}')


def refused(place: str) -> str:
    return rf"hostile\.safetensors: the header's {re.escape(place)}.*nothing was loaded.*export"


def test_the_samples_are_live(tmp_path, marker, trap):
    """What the other tests refuse does run where nobody refuses it."""
    MMENGINE_MODELS.build(command(tmp_path / 'made'))
    assert (tmp_path / 'made').is_dir()
    assert MMENGINE_MODELS.get(f'{trap}.Sprung').__name__ == 'Sprung'
    marker.rmdir()


@everywhere
@pytest.mark.parametrize('load', [load_fuser, FusionInferencer])
def test_no_command_runs(with_header, marker, place, load):
    path = with_header(lambda metadata: PLACES[place](metadata, command(marker)))
    with pytest.raises(ValueError, match=refused(place)):
        load(weights=path)


@everywhere
def test_no_module_is_imported(with_header, marker, trap, place):
    for name in (trap, f'{trap}.Sprung', f'mmsgdfuse.{trap}.Sprung', f'mmdet.{trap}'):
        path = with_header(lambda metadata, name=name: PLACES[place](metadata, dict(type=name)))
        with pytest.raises(ValueError, match=refused(place)):
            FusionInferencer(weights=path)


def test_a_composer_s_name_imports_nothing(with_header, marker, trap):
    generator = dict(type='ThermalVisualSaliency', composer=f'{trap}.Sprung')
    path = with_header(lambda metadata: metadata['masks'][0].update(ir=generator))
    with pytest.raises(ValueError, match=refused('masks[0].ir.composer')):
        FusionInferencer(weights=path)


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('_scope_', 'os'),
        ('_delete_', True),
        ('_base_', 'other.py'),
        ('custom_imports', dict(imports=['os'])),
        ('a b', 1),
        ('cache_dir', 'masks'),
        ('teacher', 'teacher.safetensors'),
        ('fuser_weights', 'other.safetensors'),
        ('checkpoint', '/etc/passwd'),
        ('checkpoint', '../secret.pth'),
        ('checkpoint', '~/secret.pth'),
        ('checkpoint', 'https://example.org/weights.pth'),
        ('checkpoint', 'C:\\weights.pth'),
        ('checkpoint', '\\\\server\\share\\weights.pth'),
        ('checkpoint', 'a\x1b]0;title'),
        ('init_cfg', dict(type='Pretrained', checkpoint='evil.pth')),
        ('init_cfg', [dict(type='Constant'), dict(type='PretrainedInit', checkpoint='evil.pth')]),
        ('type', ['os.system']),
    ],
)
@pytest.mark.parametrize('entry', ['model', 'masks'])
def test_keys_and_paths_that_a_file_may_not_set(with_header, entry, key, value):
    def change(metadata):
        (metadata['model'] if entry == 'model' else metadata['masks'][0])[key] = value

    with pytest.raises(ValueError, match=refused('model' if entry == 'model' else 'masks[0]')):
        FusionInferencer(weights=with_header(change))


@pytest.mark.parametrize(
    'text',
    ['', '[1]', '"model"', '{"model": ', '[' * 100_000, '9' * 5000, ' ' * 2**20 + '{}'],
    ids=['empty', 'list', 'text', 'broken', 'deep', 'number', 'large'],
)  # fmt: skip
def test_metadata_that_is_no_small_object_is_named(with_header, text):
    path = with_header(text)
    for read in (read_metadata, read_model_metadata, lambda weights: load_fuser(weights=weights)):
        with pytest.raises(ValueError, match=r"hostile\.safetensors: the header's metadata cannot"):
            read(path)


@pytest.mark.parametrize('model', [None, 1, 'SGDFuse', [], ['SGDFuse']])
def test_a_model_that_is_no_config_is_named(with_header, model):
    path = with_header(lambda metadata: metadata.update(model=model))
    with pytest.raises(ValueError, match=refused('model')):
        load_fuser(weights=path)


def test_deep_nesting_is_refused(with_header):
    deep: dict = {}
    for _ in range(50):
        deep = dict(a=deep)
    path = with_header(lambda metadata: metadata['model'].update(head=deep))
    with pytest.raises(ValueError, match='nested more than 16 levels'):
        load_fuser(weights=path)


@pytest.mark.parametrize('name', ['NoiseUNet', 'FusedDetector', 'MaskedIntensityLoss'])
def test_another_class_of_ours_is_not_built(with_header, name, monkeypatch):
    path = with_header(lambda metadata: metadata.update(model=dict(type=name)))
    monkeypatch.setattr(MODELS.get(name), '__init__', lambda self: pytest.fail('was built'))
    with pytest.raises(ValueError, match=r"hostile\.safetensors: the header's model must be a fus"):
        load_fuser(weights=path)


@pytest.mark.parametrize(
    'change',
    [
        lambda model: model.update(wibble=1),
        lambda model: model.update(start_timestep='soon'),
        lambda model: model['denoiser'].update(base_channels=-1),
        lambda model: model['denoiser'].update(type='PreliminaryNet'),
        lambda model: model.update(schedule=dict(type='HFAH')),
    ],
)
def test_a_model_that_cannot_be_built_is_named(with_header, change):
    path = with_header(lambda metadata: change(metadata['model']))
    with pytest.raises(
        ValueError, match=r"hostile\.safetensors: the header's model cannot be buil"
    ):
        load_fuser(weights=path)


def test_masks_that_cannot_be_built_are_named(with_header):
    path = with_header(lambda metadata: metadata.update(masks=[dict(type='GenerateMasks', a=1)]))
    with pytest.raises(
        ValueError, match=r"hostile\.safetensors: the header's masks cannot be buil"
    ):
        FusionInferencer(weights=path)
    with pytest.raises(ValueError, match=r'does not say where the masks come from'):
        FusionInferencer(weights=with_header(lambda metadata: metadata.pop('masks')))


def test_a_student_refuses_such_a_teacher(with_header, marker):
    path = with_header(lambda metadata: metadata.update(model=command(marker)))
    student = MODELS.build(
        dict(type='StudentFuser', network=dict(type='StudentNet', widths=(8, 8), depths=(1, 1)),
             teacher=path)
    )  # fmt: skip
    image = torch.zeros(1, 3, 32, 32)
    with pytest.raises(ValueError, match=refused('model.type')):
        student.target(dict(ir=image[:, :1], vis=image))


def test_the_tools_refuse_such_weights(with_header, marker, tmp_path, tool, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = with_header(lambda metadata: metadata.update(masks=[command(marker)]))
    scene = synthetic_scene(size=(48, 64))
    write_image('ir.png', scene.ir)
    write_image('vi.png', scene.vis)
    assert tool('fuse').main(['ir.png', 'vi.png', '-o', 'out.png', '--weights', str(path)])
    assert tool('demo').main(['--weights', str(path), '--out-dir', 'out'])
    shown = ''.join(capsys.readouterr())
    assert len(re.findall(refused('masks[0].type'), shown)) == 2
    assert 'Traceback' not in shown
    with pytest.raises(ValueError, match=refused('masks[0].type')):
        tool('analysis_tools/benchmark').read_recipe(None, str(path))
    assert not (tmp_path / 'out.png').exists()


def test_sound_headers_are_built_as_before(with_header, tiny_weights, scene):
    changed = with_header(
        lambda metadata: (
            metadata['model'].update(
                init_cfg=dict(type='Kaiming', layer='Conv2d'), _scope_='mmsgdfuse'
            ),
            metadata['model'].update(type='mmsgdfuse.SGDFuse'),
            metadata.update(
                masks=[
                    dict(
                        type='GenerateMasks',
                        ir=dict(type='ThermalVisualSaliency', composer='union'),
                        vis=dict(type='ThermalVisualSaliency', composer=dict(type='union')),
                    )
                ]
            ),
        )
    )
    fuse = FusionInferencer(weights=changed, device='cpu')
    assert isinstance(fuse.model, SGDFuse)
    plain = FusionInferencer(
        weights=tiny_weights,
        device='cpu',
        masks=dict(type='ThermalVisualSaliency', composer='union'),
    )
    assert (fuse(scene.ir, scene.vis).fused == plain(scene.ir, scene.vis).fused).all()


def test_what_is_checked_has_our_scope(tiny_weights):
    recipe = Recipe.from_file(tiny_weights)
    assert recipe.model['type'] == 'mmsgdfuse.SGDFuse'
    assert recipe.model['head']['type'] == 'mmsgdfuse.HFAH'
    assert recipe.masks == [dict(type='mmsgdfuse.GenerateMasks')]


def test_a_header_that_could_not_be_read_is_not_written(tmp_path):
    with pytest.raises(ValueError, match='metadata has more than'):
        save_weights({'a': torch.ones(1)}, tmp_path / 'a.safetensors', dict(a='x' * 2**20))
    assert not list(tmp_path.iterdir())


def test_known_composers_stay_known():
    assert build_composer('union') is build_composer('mmsgdfuse.union')


@pytest.mark.parametrize(
    'masks',
    [
        dict(type='MMDetMaskGenerator', config='attack.py'),
        dict(type='mmsgdfuse.MMSegMaskGenerator', config='attack.py'),
        dict(type='TransformersSAMMaskGenerator', model='someone/else'),
    ],
)
def test_masks_that_execute_or_download_are_not_built(with_header, masks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'attack.py').write_text('open("marker", "w")\nmodel = dict(type="RetinaNet")')
    step = dict(type='GenerateMasks', ir=masks, vis=masks)
    path = with_header(lambda metadata: metadata.update(masks=[step]))
    with pytest.raises(ValueError, match='give these masks yourself'):
        FusionInferencer(weights=path, device='cpu')
    assert not (tmp_path / 'marker').exists()
