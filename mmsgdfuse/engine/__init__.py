"""Training: phases, checkpoints and hooks."""

from mmsgdfuse.engine.building import check_model, prepare_testing
from mmsgdfuse.engine.checkpoints import AtomicLocalBackend, epoch_checkpoints, latest_checkpoint
from mmsgdfuse.engine.config_check import check_config
from mmsgdfuse.engine.downstream import DownstreamCheckHook
from mmsgdfuse.engine.hooks import EpochSeedHook, TimeBudgetHook, seed_worker
from mmsgdfuse.engine.phases import Phase, plan_phases, run_phases, select_phase
from mmsgdfuse.engine.precision import BFloat16OptimWrapper, mixed_precision
from mmsgdfuse.engine.sharding import (
    ShardedOptimWrapper,
    ShardedStrategy,
    wrap_residual_blocks,
)

__all__ = [
    'AtomicLocalBackend',
    'BFloat16OptimWrapper',
    'DownstreamCheckHook',
    'EpochSeedHook',
    'Phase',
    'ShardedOptimWrapper',
    'ShardedStrategy',
    'TimeBudgetHook',
    'check_config',
    'check_model',
    'epoch_checkpoints',
    'latest_checkpoint',
    'mixed_precision',
    'plan_phases',
    'prepare_testing',
    'run_phases',
    'seed_worker',
    'select_phase',
    'wrap_residual_blocks',
]
