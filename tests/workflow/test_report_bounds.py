"""What follows where something is not as wanted: a warning, or a run that fails and keeps its report."""

import json

from flow import between, description

OWN = '''
from snakefold.config import types
from snakefold.config.nodes import Attribute
from snakefold.connectivity.fixed_total_number import FixedTotalNumber
from snakefold.connectivity.strategy import AfterConnectivity


class Promise(FixedTotalNumber):
    """Says that it makes more than it does."""

    more = Attribute(types.integer(min=0), required=True, doc="How many.")

    def expected(self, pair, n_cells):
        mean, sd = super().expected(pair, n_cells)
        return mean + self.more, sd


class Lose(AfterConnectivity):
    """Takes some edges away from thinned."""

    def postprocess(self, edge_sets, rng):
        thinned = edge_sets["thinned"]
        return {"thinned": {key: thinned[key][9:] for key in ("source", "target")}}
'''


def circuit(more):
    """A circuit with a strategy that does not do what it says, and a hook that takes edges of another away."""
    made = description(components=["own.py"], simulations={})
    made["connectivity"] = {
        "feed": between("exc", "top", strategy="own.Promise", number=300, more=more),
        "thinned": between("top", "exc", strategy="fixed_total_number", number=50),
    }
    return made | {"after_connectivity": {"lose": {"strategy": "own.Lose", "rewrites": ["thinned"]}}}


def test_what_is_out_of_bounds_warns_or_fails_the_run_and_the_report_stays(workflow):
    (workflow.folder / "own.py").write_text(OWN)
    workflow.write(circuit(7))
    ran = workflow.run()
    assert ran.code == 0, ran.output
    assert "warning: out of bounds: synapses of feed: 300 built, 307 wanted" in ran.output
    workflow.more = {"report": "fail"}
    ran = workflow.run()
    assert ran.code == 1 and ran.jobs == {"within_bounds": 1}, ran.output
    page = (workflow.results / "report.html").read_text(encoding="utf-8")
    assert "synapses of feed, in-degree of top, out-degree of exc." in page
    found = {(v["what"], v["name"]): v["verdict"] for v in json.loads((workflow.results / "verdicts.json").read_text())}
    assert found["synapses", "feed"] == "deviates" and found["cells", "exc"] == "ok"
    assert ("synapses", "thinned") not in found and "thinned by lose" in page
    log = (workflow.results / "logs/report/bounds.log").read_text()
    assert "synapses of feed: 300 built, 307 wanted" in log and "Traceback" not in log
    workflow.write(circuit(0))
    ran = workflow.run()
    assert ran.code == 0 and ran.jobs["within_bounds"] == 1, ran.output
    assert "out of bounds" not in ran.output
    assert workflow.plan() == {}
