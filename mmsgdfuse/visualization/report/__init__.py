"""One self-contained HTML page of a run: configuration, losses, metrics and images."""

from mmsgdfuse.visualization.report.errors import ReportError
from mmsgdfuse.visualization.report.gallery import Picture, build_gallery
from mmsgdfuse.visualization.report.page import render_report
from mmsgdfuse.visualization.report.run import PhaseLog
from mmsgdfuse.visualization.report.sources import Findings, find_folders, search

__all__ = [
    'Findings',
    'PhaseLog',
    'Picture',
    'ReportError',
    'build_gallery',
    'find_folders',
    'render_report',
    'search',
]
