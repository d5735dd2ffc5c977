import h5py

from descriptions import plan_of, small
from snakefold.config.parse import parse
from snakefold.config.stage import read_document, write_parse


def test_parse_h5_holds_the_document_its_marks_and_its_sources(tmp_path):
    plan = plan_of(tmp_path, small())
    plan.freeze()
    output = tmp_path / "parse.h5"
    write_parse(plan.slice_file(plan.parts["parse"].digest), output)
    document = parse(tmp_path / "circuit.yaml")
    assert read_document(output) == document.tree
    with h5py.File(output) as file:
        assert file["sources/path"].asstr()[:].tolist() == [str(tmp_path / "circuit.yaml")]
        assert file["sources/size"][0] == (tmp_path / "circuit.yaml").stat().st_size
        assert file["sources/digest"].asstr()[0] == document.sources[0].digest
        assert f'"[\\"network\\", \\"x\\"]":["{tmp_path}/circuit.yaml",2,13]' in file["marks"].asstr()[()]
