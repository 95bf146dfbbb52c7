"""The index of models that `mim` reads says what is there."""

from __future__ import annotations

import pytest
import yaml
from mmengine.config import Config

from mmsgdfuse.utils.config import find_config, load_config


@pytest.fixture
def models(repository) -> list[dict]:
    index = yaml.safe_load((repository / 'model-index.yml').read_text())
    files = [yaml.safe_load((repository / path).read_text()) for path in index['Import']]
    collections = {each['Name'] for file in files for each in file['Collections']}
    found = [model for file in files for model in file['Models']]
    assert {model['In Collection'] for model in found} <= collections
    return found


def test_each_model_has_its_config_and_weights(models, repository):
    names = [model['Name'] for model in models]
    assert len(set(names)) == len(names)
    for model in models:
        assert (repository / model['Config']).stem == model['Name']
        assert Config.fromfile(repository / model['Config']).model
        if 'Weights' in model:
            assert (repository / model['Weights']).is_file()
    shipped = {path.name for path in (repository / 'mmsgdfuse' / 'assets').glob('*.safetensors')}
    assert shipped == {
        model['Weights'].rpartition('/')[2] for model in models if 'Weights' in model
    }


@pytest.mark.parametrize('name', ['mmsgdfuse::sgdfuse_msrs', 'mmsgdfuse::sgdfuse_msrs.py'])
def test_shipped_configs_have_a_name(name, repository):
    assert find_config(name) == str(repository / 'configs' / 'sgdfuse_msrs.py')
    assert load_config(name).model.type == 'SGDFuse'
    assert find_config('my/own.py') == 'my/own.py'


def test_a_slip_in_the_name_is_told():
    with pytest.raises(FileNotFoundError, match='did you mean sgdfuse_msrs'):
        load_config('mmsgdfuse::sgdfuse_msr')
