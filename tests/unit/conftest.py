import subprocess

import pytest
from hypothesis import HealthCheck, settings

# The same examples each time, however busy the machine is.
settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")


@pytest.fixture(scope="module")
def own_catalogue(tmp_path_factory):
    """Answers of NEST that are kept for the tests of one module alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A circuit with finished results, and what NEST was given of its simulation; not to be changed."""
    from finished import finish

    return finish(tmp_path_factory.mktemp("finished"))


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """A file system of one megabyte."""
    monkeypatch.setattr("snakefold.hdf5.crashes_at_exit", False)  # jobs in this process are not to end it
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1M", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mounting a small file system is not permitted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
