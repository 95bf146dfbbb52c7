"""The registries of mmsgdfuse, scope ``mmsgdfuse``.

Most are children of mmengine's root registries, so that any OpenMMLab config that
imports this package can build its classes by ``type='mmsgdfuse.ClassName'``. What
mmengine has no root for (noise schedules, samplers, mask generators, mask composers)
are roots of their own.

``locations`` are imported on first use: importing the package itself stays cheap.
"""

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
from mmengine.registry import Registry

SCOPE = 'mmsgdfuse'

MODELS = Registry(
    'model',
    parent=MMENGINE_MODELS,
    scope=SCOPE,
    locations=['mmsgdfuse.models'],
)
DATASETS = Registry(
    'dataset',
    parent=MMENGINE_DATASETS,
    scope=SCOPE,
    locations=['mmsgdfuse.datasets'],
)
TRANSFORMS = Registry(
    'transform',
    parent=MMENGINE_TRANSFORMS,
    scope=SCOPE,
    locations=['mmsgdfuse.datasets.transforms'],
)
METRICS = Registry(
    'metric',
    parent=MMENGINE_METRICS,
    scope=SCOPE,
    locations=['mmsgdfuse.evaluation.metrics'],
)
HOOKS = Registry(
    'hook',
    parent=MMENGINE_HOOKS,
    scope=SCOPE,
    locations=['mmsgdfuse.engine', 'mmsgdfuse.visualization'],
)
FUNCTIONS = Registry(
    'function',
    parent=MMENGINE_FUNCTIONS,
    scope=SCOPE,
    locations=['mmsgdfuse.engine'],
)
VISUALIZERS = Registry(
    'visualizer',
    parent=MMENGINE_VISUALIZERS,
    scope=SCOPE,
    locations=['mmsgdfuse.visualization'],
)

NOISE_SCHEDULES = Registry(
    'noise schedule',
    scope=SCOPE,
    locations=['mmsgdfuse.models.diffusion'],
)
DIFFUSION_SCHEDULERS = Registry(
    'diffusion scheduler',
    scope=SCOPE,
    locations=['mmsgdfuse.models.diffusion'],
)
MASK_GENERATORS = Registry(
    'mask generator',
    scope=SCOPE,
    locations=['mmsgdfuse.masks'],
)
MASK_COMPOSERS = Registry(
    'mask composer',
    scope=SCOPE,
    locations=['mmsgdfuse.masks'],
)
