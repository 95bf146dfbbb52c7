"""Everything that an evaluation leaves in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmsgdfuse.evaluation.comparison import Difference
from mmsgdfuse.evaluation.contrast_page import contrast_page
from mmsgdfuse.evaluation.exports import (
    differences_csv,
    evaluation_json,
    images_csv,
    means_csv,
)
from mmsgdfuse.evaluation.folders import Sample
from mmsgdfuse.evaluation.leaderboard import leaderboard_page
from mmsgdfuse.evaluation.plots import write_box_plots
from mmsgdfuse.evaluation.scores import Scores
from mmsgdfuse.evaluation.staging import staged_folder
from mmsgdfuse.evaluation.tables import difference_table, metric_table, to_latex, to_markdown
from mmsgdfuse.utils.files import write_text
from mmsgdfuse.utils.text import printable

_OWN = (
    'metrics.csv',
    'per_image.csv',
    'differences.csv',
    'evaluation.json',
    'metrics.md',
    'metrics.tex',
    'largest_differences.html',
    'leaderboard.html',
    'box_plots/*.png',
)


def default_contrast(scores: Scores) -> tuple[str, str, str]:
    """The rows and the metric to look at when none are named.

    Args:
        scores: Values of an evaluation.

    Returns:
        The first method, the second one (with a single method: the last baseline), and VIF, which
        agrees best with downstream tasks (or the first metric, where VIF was not computed).
    """
    other = scores.methods[1] if len(scores.methods) > 1 else scores.baselines[-1]
    metric = 'VIF' if 'VIF' in scores.metrics else scores.metrics[0]
    return scores.methods[0], other, metric


def write_outputs(
    out: Path,
    scores: Scores,
    differences: list[Difference],
    samples: Sequence[Sample],
    contrast: tuple[str, str, str] | None = None,
    contrast_images: int = 8,
    digits: int = 3,
    plots: bool = True,
    title: str = 'Leaderboard',
    scenes: int = 12,
    resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[Path]:
    """Writes the tables, values, plots, the leaderboard and the page of largest differences.

    All of it is written first, and then takes the place of an earlier evaluation as a whole;
    other files in the folder stay.

    Args:
        out: Folder; made if it is missing.
        scores: Values of an evaluation.
        differences: Their paired differences.
        samples: The files of its images.
        contrast: Two rows and the metric for the page. Default: :func:`default_contrast`.
        contrast_images: Images on that page. Default 8.
        digits: Digits after the point in Markdown and LaTeX. Default 3.
        plots: Whether to write box plots and the two pages. Default True.
        title: Heading of the leaderboard. Default 'Leaderboard'.
        scenes: Images with pictures on it. Default 12.
        resamples: Draws of the leaderboard's intervals; give what ``differences`` were found with,
            and so for the next two. Default 10,000.
        confidence: Share of the resampled means that an interval holds. Default 0.95.
        seed: Seed of the draws. Default 0.

    Returns:
        The files: ``metrics.csv``, ``per_image.csv``, ``differences.csv``, ``evaluation.json``,
        ``metrics.md``, ``metrics.tex``, ``box_plots/<metric>.png``, ``largest_differences.html``,
        ``leaderboard.html``.

    Raises:
        InputError: ``contrast`` names what is not part of the evaluation.
        OSError: The folder cannot be written; then it holds what it held before.
    """
    means = metric_table(scores, digits)
    paired = [difference_table(method, scores, differences, digits) for method in scores.methods]
    texts = {
        'metrics.csv': means_csv(scores),
        'per_image.csv': images_csv(scores),
        'differences.csv': differences_csv(differences),
        'evaluation.json': evaluation_json(scores, differences),
        'metrics.md': '\n'.join(to_markdown(table) for table in (means, *paired)),
        'metrics.tex': to_latex(means),
    }
    if plots:
        row, other, metric = contrast or default_contrast(scores)
        texts['largest_differences.html'] = contrast_page(
            scores, samples, row, other, metric, contrast_images
        )
        texts['leaderboard.html'] = leaderboard_page(
            scores, differences, samples, title, scenes, digits, resamples, confidence, seed
        )
    with staged_folder(out, _OWN) as stage:
        for name, text in texts.items():
            write_text(stage / name, printable(text))
        if plots:
            write_box_plots(scores, stage / 'box_plots')
        written = [path.relative_to(stage) for path in stage.rglob('*') if path.is_file()]
    return [out / path for path in sorted(written)]
