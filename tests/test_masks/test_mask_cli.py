import argparse

import pytest

from mmsgdfuse.masks import SAMMaskGenerator, ThermalVisualSaliency
from mmsgdfuse.masks.cli import add_generator_arguments, generator_from_arguments


def generator(*argv):
    parser = argparse.ArgumentParser()
    add_generator_arguments(parser)
    return generator_from_arguments(parser.parse_args(argv))


def test_the_default():
    assert generator().settings == ThermalVisualSaliency().settings


def test_a_name_and_options():
    built = generator('--generator', 'SAMMaskGenerator', '--options', 'model_type=vit_l')
    assert isinstance(built, SAMMaskGenerator)
    assert built.model_type == 'vit_l'
    assert generator('--options', 'levels=1,2', 'composer=union').levels == (1.0, 2.0)


def test_a_config(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("mask_generator = dict(type='ThermalVisualSaliency', peak=2.5)")
    assert generator('--config', str(config)).peak == 2.5
    assert generator('--config', str(config), '--options', 'peak=3').peak == 3


def test_errors(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text('a = 1')
    with pytest.raises(
        ValueError, match=r'choose one of .*SAMMaskGenerator, ThermalVisualSaliency'
    ):
        generator('--generator', 'Nix')
    with pytest.raises(ValueError, match=r'no such option.*nix'):
        generator('--options', 'nix=3')
    with pytest.raises(ValueError, match='polarity'):
        generator('--options', 'polarity=hot')
    with pytest.raises(ValueError, match='no `mask_generator`'):
        generator('--config', str(config))
    with pytest.raises(ValueError, match='not both'):
        generator('--config', str(config), '--generator', 'Nix')
