"""Cells without a file, as connectivity strategies see them."""

import numpy as np

from snakefold.config.context import BuildContext, building
from snakefold.connectivity.strategy import Given


class FakeCells:
    """Some cells of one type: node ids first to first + n."""

    def __init__(self, n: int, first: int = 0):
        self.n, self.first = n, first

    def __len__(self) -> int:
        return self.n

    @property
    def node_ids(self) -> np.ndarray:
        return np.arange(self.first, self.first + self.n, dtype=np.uint32)


def build(cls, sources, targets, **attributes):
    """Build a strategy between cell types."""
    value = {"presynaptic": {"cell_types": list(sources)}, "postsynaptic": {"cell_types": list(targets)}}
    with building(BuildContext()) as context:
        strategy = cls.build(value | attributes, ("connectivity", "s"))
    assert context.mistakes == [], [str(m) for m in context.mistakes]
    return strategy


def in_chunks(strategy, sources, targets, n_chunks, seed):
    """Connect cells, {type: number}, whose targets lie in chunks; yield {pair: (source ids, target ids)} chunk by chunk."""
    ends = {t: np.linspace(0, n, n_chunks + 1).astype(int) for t, n in targets.items()}
    rng = np.random.default_rng(seed)
    dealt = strategy.deal(rng, sources, {t: np.diff(e) for t, e in ends.items()})
    for i in range(n_chunks):
        own = {t: FakeCells(int(e[i + 1] - e[i]), int(e[i])) for t, e in ends.items()}
        given = Given(numbers={pair: int(n[i]) for pair, n in dealt.items()})
        made = strategy.connect({t: FakeCells(n) for t, n in sources.items()}, own, rng, given)
        for (_, post), s in made.items():
            assert len(s.source) == len(s.target)
            if len(s.target):
                assert 0 <= s.target.min() <= s.target.max() < len(own[post])
        yield {pair: (s.source, s.target + own[pair[1]].first) for pair, s in made.items()}


def together(strategy, sources, targets, n_chunks=1, seed=1):
    """Return {pair: (source ids, target ids)} of all chunks."""
    parts = list(in_chunks(strategy, sources, targets, n_chunks, seed))
    return {pair: tuple(np.concatenate([p[pair][i] for p in parts]) for i in range(2)) for pair in parts[0]}
