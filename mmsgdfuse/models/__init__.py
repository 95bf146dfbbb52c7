"""Networks, losses and the models that mmengine trains."""

from mmsgdfuse.models.data_preprocessors import *  # noqa: F403
from mmsgdfuse.models.diffusion import *  # noqa: F403
from mmsgdfuse.models.downstream import *  # noqa: F403
from mmsgdfuse.models.fusers import *  # noqa: F403
from mmsgdfuse.models.losses import *  # noqa: F403
from mmsgdfuse.models.preliminary import *  # noqa: F403
from mmsgdfuse.models.restoration import *  # noqa: F403
from mmsgdfuse.models.student import *  # noqa: F403
