"""Labels for detection and segmentation on image pairs: read, checked and converted."""

from mmsgdfuse.datasets.downstream.boxes import BOX_FORMATS, Box, read_voc, read_yolo
from mmsgdfuse.datasets.downstream.coco import DetectionLabels, collect_boxes, to_coco
from mmsgdfuse.datasets.downstream.config_check import check_config, image_folder, map_folder
from mmsgdfuse.datasets.downstream.faults import Fault, LabelError, count_kinds
from mmsgdfuse.datasets.downstream.fused_folder import check_fused_folder
from mmsgdfuse.datasets.downstream.maps import MapReport, check_maps
from mmsgdfuse.datasets.downstream.sets import (
    DETECTION_SETS,
    SEGMENTATION_SETS,
    DetectionSet,
    SegmentationSet,
    read_classes,
)

__all__ = [
    'BOX_FORMATS',
    'DETECTION_SETS',
    'SEGMENTATION_SETS',
    'Box',
    'DetectionLabels',
    'DetectionSet',
    'Fault',
    'LabelError',
    'MapReport',
    'SegmentationSet',
    'check_config',
    'check_fused_folder',
    'check_maps',
    'collect_boxes',
    'count_kinds',
    'image_folder',
    'map_folder',
    'read_classes',
    'read_voc',
    'read_yolo',
    'to_coco',
]
