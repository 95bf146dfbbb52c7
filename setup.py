"""Build and install mmsgdfuse; what the build needs is in pyproject.toml."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
# `train` is what both stacks share; an extra may name others of this package
STACKS = ('train', 'openmmlab', 'lite', 'downstream', 'onedl', 'onedl-downstream')
OPTIONAL = (*STACKS, 'onnx', 'export', 'sam', 'tensorboard', 'video', 'tests', 'checks')


class BuildWithConfigs(build_py):
    """Put ``configs/`` and ``tools/`` into the package, where OpenMMLab's ``mim`` looks.

    An editable install reads them from the checkout instead.
    """

    def run(self):
        super().run()
        if self.editable_mode:
            return
        for folder in ('configs', 'tools'):
            target = Path(self.build_lib, 'mmsgdfuse', '.mim', folder)
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(ROOT / folder, target, ignore=shutil.ignore_patterns('__pycache__'))
        shutil.copy(ROOT / 'model-index.yml', Path(self.build_lib, 'mmsgdfuse', '.mim'))


def requirements(name: str) -> list[str]:
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    return [line for line in lines if line and not line.startswith('#')]


version = re.search(r"__version__ = '(.+)'", (ROOT / 'mmsgdfuse/version.py').read_text())[1]
extras = {name: requirements(name) for name in OPTIONAL}
extras['all'] = [line for name in ('downstream', 'sam', 'tensorboard') for line in extras[name]]

setup(
    name='mmsgdfuse',
    version=version,
    description='Semantic-guided diffusion fusion of infrared and visible images for OpenMMLab',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords=['image fusion', 'infrared', 'diffusion', 'OpenMMLab'],
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Image Processing',
    ],
    python_requires='>=3.10,<3.13',
    packages=find_packages(include=['mmsgdfuse', 'mmsgdfuse.*']),
    package_data={'mmsgdfuse': ['py.typed', 'assets/*', '**/templates/*']},
    entry_points={'console_scripts': ['mmsgdfuse = mmsgdfuse.cli:main']},
    cmdclass={'build_py': BuildWithConfigs},
    # No mmengine and no mmcv: a hard requirement would overwrite a fork of them, and mmcv and
    # mmcv-lite install the same folder. The extras `openmmlab` and `onedl` bring one stack each.
    install_requires=requirements('runtime'),
    extras_require=extras,
)
