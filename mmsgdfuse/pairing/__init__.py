"""Which files belong together: rules, lists and the plan of pairs. Imports no torch itself."""

from mmsgdfuse.pairing.manifest import Entry, read_manifest
from mmsgdfuse.pairing.plan import (
    ImagePair,
    PairPlan,
    complete_pairs,
    plan_pairs,
    refuse_same_source,
    same_file,
)
from mmsgdfuse.pairing.rules import PAIRING_HELP, PairingRule, parse_pairing, partner_path
from mmsgdfuse.pairing.timestamps import parse_timestamp

__all__ = [
    'PAIRING_HELP',
    'Entry',
    'ImagePair',
    'PairPlan',
    'PairingRule',
    'complete_pairs',
    'parse_pairing',
    'parse_timestamp',
    'partner_path',
    'plan_pairs',
    'read_manifest',
    'refuse_same_source',
    'same_file',
]
