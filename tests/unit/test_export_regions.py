import pytest

from snakefold.export.regions import Regions

DOCUMENT = {
    "partitions": {"low": {}, "mid": {}, "free": {}},
    "regions": {
        "brain": {"children": ["hind", "fore"]},
        "hind": {"type": "stack", "children": ["low"]},
        "fore": {"children": ["mid"]},
    },
}


@pytest.mark.parametrize(
    ("partition", "region"), [("low", "hind"), ("mid", "fore"), ("free", "free"), ("of_a_hook", "of_a_hook")]
)
def test_a_cell_is_in_the_innermost_region_of_its_partition_or_the_partition(partition, region):
    assert Regions.of(DOCUMENT, ["a"]).of_partition(partition, "a") == region


def test_cells_that_are_nowhere_are_a_region_of_their_type_under_a_free_name():
    regions = Regions.of(DOCUMENT, ["a", "hind"])
    assert [regions.of_partition("", t) for t in ("a", "hind")] == ["a", "hind_cells"]


def test_without_regions_partitions_are():
    regions = Regions.of({"partitions": {"low": {}}}, [])
    assert regions.of_partition("low", "a") == "low"
