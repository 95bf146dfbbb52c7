"""Known values on real pairs, where they are at hand."""

from __future__ import annotations

import json

import pytest

from mmsgdfuse.evaluation.baselines import baseline_image
from mmsgdfuse.evaluation.functional import fusion_metrics
from mmsgdfuse.evaluation.summary import summarise
from mmsgdfuse.utils.image_io import read_image

# Published beside the images; SSIM and MS_SSIM carry their variant in the name there.
THEIRS = {'SSIM': 'SSIM_gauss_mean', 'MS_SSIM': 'MS_SSIM_mean'}
OURS = ('EN', 'SD', 'SF', 'MI', 'SCD', 'VIF', 'VIF_ir', 'VIF_vi', 'Qabf', 'AG', 'CC', 'SSIM',
        'MS_SSIM', 'Nabf', 'QRG')  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(('baseline', 'row'), [('average', 'average'), ('maximum', 'maximum_luma')])
def test_baselines_on_msrs_agree_with_an_independent_implementation(real_data, baseline, row):
    expected = json.loads((real_data / 'peers_msrs_dev.json').read_text())['means'][row]
    root = real_data / 'MSRS' / 'dev'
    values = []
    for path in sorted((root / 'ir').iterdir()):
        ir, vis = read_image(path), read_image(root / 'vi' / path.name)
        values.append(fusion_metrics(ir, vis, baseline_image(baseline, ir, vis), OURS))
    for name in OURS:
        summary = summarise(value[name] for value in values)
        published = expected[THEIRS.get(name, name)]
        if published is None:
            assert summary.count == 0
        else:
            digits = 3 if name == 'QRG' else 4
            assert round(summary.mean, digits) == pytest.approx(published, abs=1e-9), name
    assert round(summarise(v['QRG'] for v in values).worst, 3) == expected['QRG_worst']
