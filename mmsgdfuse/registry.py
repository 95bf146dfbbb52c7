"""The registries of mmsgdfuse, scope ``mmsgdfuse``.

Most are children of mmengine's root registries, so that any OpenMMLab config that
imports this package can build its classes by ``type='mmsgdfuse.ClassName'``. What
mmengine has no root for (noise schedules, samplers, mask generators, mask composers)
are roots of their own.

``locations`` are imported on first use: importing the package itself stays cheap.
"""

from contextlib import AbstractContextManager

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import EVALUATOR as MMENGINE_EVALUATOR
from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import LOG_PROCESSORS as MMENGINE_LOG_PROCESSORS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODEL_WRAPPERS as MMENGINE_MODEL_WRAPPERS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import OPTIMIZERS as MMENGINE_OPTIMIZERS
from mmengine.registry import PARAM_SCHEDULERS as MMENGINE_PARAM_SCHEDULERS
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.registry import STRATEGIES as MMENGINE_STRATEGIES
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISBACKENDS as MMENGINE_VISBACKENDS
from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
from mmengine.registry import WEIGHT_INITIALIZERS as MMENGINE_WEIGHT_INITIALIZERS
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
OPTIM_WRAPPERS = Registry(
    'optim_wrapper',
    parent=MMENGINE_OPTIM_WRAPPERS,
    scope=SCOPE,
    locations=['mmsgdfuse.engine'],
)
STRATEGIES = Registry(
    'strategy',
    parent=MMENGINE_STRATEGIES,
    scope=SCOPE,
    locations=['mmsgdfuse.engine'],
)
VISUALIZERS = Registry(
    'visualizer',
    parent=MMENGINE_VISUALIZERS,
    scope=SCOPE,
    locations=['mmsgdfuse.visualization'],
)

# Nothing is registered in these yet. They exist because mmengine, under the default scope
# mmsgdfuse, looks here before it turns to its own and warns about each that it does not find.
DATA_SAMPLERS = Registry('data sampler', parent=MMENGINE_DATA_SAMPLERS, scope=SCOPE)
EVALUATOR = Registry('evaluator', parent=MMENGINE_EVALUATOR, scope=SCOPE)
LOG_PROCESSORS = Registry('log_processor', parent=MMENGINE_LOG_PROCESSORS, scope=SCOPE)
LOOPS = Registry('loop', parent=MMENGINE_LOOPS, scope=SCOPE)
MODEL_WRAPPERS = Registry('model_wrapper', parent=MMENGINE_MODEL_WRAPPERS, scope=SCOPE)
OPTIMIZERS = Registry('optimizer', parent=MMENGINE_OPTIMIZERS, scope=SCOPE)
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor', parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS, scope=SCOPE
)
PARAM_SCHEDULERS = Registry('parameter scheduler', parent=MMENGINE_PARAM_SCHEDULERS, scope=SCOPE)
RUNNERS = Registry('runner', parent=MMENGINE_RUNNERS, scope=SCOPE)
VISBACKENDS = Registry('vis_backend', parent=MMENGINE_VISBACKENDS, scope=SCOPE)
WEIGHT_INITIALIZERS = Registry(
    'weight initializer', parent=MMENGINE_WEIGHT_INITIALIZERS, scope=SCOPE
)


class RootRegistry(Registry):
    """A registry without a parent in mmengine.

    Under the default scope of another package mmengine would look for that package's part of
    the tree, which cannot be there, and warn on every build. So what is built here is built
    under our own scope, unless its config names another one by ``_scope_``.
    """

    def switch_scope_and_registry(self, scope: str | None) -> AbstractContextManager[Registry]:
        return super().switch_scope_and_registry(scope or self.scope)


NOISE_SCHEDULES = RootRegistry(
    'noise schedule',
    scope=SCOPE,
    locations=['mmsgdfuse.models.diffusion'],
)
DIFFUSION_SCHEDULERS = RootRegistry(
    'diffusion scheduler',
    scope=SCOPE,
    locations=['mmsgdfuse.models.diffusion'],
)
MASK_GENERATORS = RootRegistry(
    'mask generator',
    scope=SCOPE,
    locations=[
        'mmsgdfuse.masks',
        'mmsgdfuse.masks.sam',
        'mmsgdfuse.masks.openmmlab',
        'mmsgdfuse.masks.transformers_sam',
    ],
)
MASK_COMPOSERS = RootRegistry(
    'mask composer',
    scope=SCOPE,
    locations=['mmsgdfuse.masks'],
)
