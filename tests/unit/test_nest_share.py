import numpy as np
import pytest

from snakefold.errors import UserError
from snakefold.nest.share import Share


@pytest.mark.parametrize(("n_ranks", "n_virtual"), [(1, 3), (2, 2), (2, 6), (3, 6), (4, 4)])
def test_each_cell_is_on_one_rank_that_of_its_virtual_process(n_ranks, n_virtual):
    gids = np.random.default_rng(1).integers(1, 1000, 400)
    shares = [Share(rank, n_ranks, n_virtual) for rank in range(n_ranks)]
    rows = [np.arange(400)[share.rows(gids)] for share in shares]
    assert sorted(np.concatenate(rows)) == list(range(400))
    for rank, own in enumerate(rows):
        assert {gid % n_virtual % n_ranks for gid in gids[own].tolist()} == {rank}
        assert (np.diff(own) > 0).all()
    assert sum(share.n_threads for share in shares) == n_virtual


@pytest.mark.parametrize(("n_ranks", "n_virtual"), [(2, 1), (2, 3), (4, 6)])
def test_ranks_that_do_not_divide_the_threads_are_refused(n_ranks, n_virtual):
    says = rf"threads should be: a multiple of the {n_ranks} MPI ranks \(got: {n_virtual}\)"
    with pytest.raises(UserError, match=says):
        Share(0, n_ranks, n_virtual)
