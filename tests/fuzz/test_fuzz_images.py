from __future__ import annotations

from fuzz_images import OUTCOMES, fuzz


def test_mutated_images_are_read_right_or_refused_by_name():
    outcomes, findings = fuzz(count=105, seed=1)
    assert findings == []
    assert sum(counts[name] for counts in outcomes.values() for name in OUTCOMES) == 105
    # what has checksums is never silently damaged
    for kind in ('PNG, 8 bits', 'PNG, 16 bits', 'TIFF, deflate'):
        assert outcomes[kind]['silent'] == 0
        assert outcomes[kind]['refused'] > 0
