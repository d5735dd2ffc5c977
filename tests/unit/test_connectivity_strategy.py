import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from snakefold.connectivity.strategy import split

sizes = st.lists(st.integers(1, 5), min_size=1, max_size=3)


@given(sizes, sizes, st.integers(0, 30), st.integers(0, 99))
def test_split_loses_nothing_and_gives_indices_within_each_type(n_sources, n_targets, n, seed):
    rng = np.random.default_rng(seed)
    source, target = rng.integers(0, sum(n_sources), n), rng.integers(0, sum(n_targets), n)
    pairs = [(f"s{i}", f"t{j}") for i in range(len(n_sources)) for j in range(len(n_targets))]
    made = split(pairs, (n_sources, n_targets), source, target)
    starts = [np.cumsum([0, *s]) for s in (n_sources, n_targets)]
    again = []
    for (pre, post), s in made.items():
        i, j = int(pre[1:]), int(post[1:])
        assert ((s.source >= 0) & (s.source < n_sources[i]) & (s.target >= 0) & (s.target < n_targets[j])).all()
        again += zip((s.source + starts[0][i]).tolist(), (s.target + starts[1][j]).tolist(), strict=True)
    assert sorted(again) == sorted(zip(source.tolist(), target.tolist(), strict=True))
