"""What follows where something is not as wanted: a warning, or a run that fails and keeps its report."""

import json

from flow import between, description

HOOK = '''
from snakefold.connectivity.strategy import AfterConnectivity
from snakefold.config import types
from snakefold.config.nodes import Attribute


class Lose(AfterConnectivity):
    """Takes some edges away from feed."""

    lost = Attribute(types.integer(min=0), required=True, doc="How many.")
    def postprocess(self, edge_sets, rng):
        feed = edge_sets["feed"]
        return {"feed": {key: feed[key][self.lost:] for key in ("source", "target")}}
'''


def circuit(lost):
    """A circuit of which a hook takes edges away."""
    made = description(components=["own.py"], simulations={})
    made["connectivity"] = {"feed": between("exc", "top", strategy="fixed_total_number", number=300)}
    return made | {"after_connectivity": {"lose": {"strategy": "own.Lose", "rewrites": ["feed"], "lost": lost}}}


def test_what_is_out_of_bounds_warns_or_fails_the_run_and_the_report_stays(workflow):
    (workflow.folder / "own.py").write_text(HOOK)
    workflow.write(circuit(7))
    ran = workflow.run()
    assert ran.code == 0, ran.output
    assert "warning: out of bounds: synapses of feed: 293 built, 300 wanted" in ran.output
    workflow.more = {"report": "fail"}
    ran = workflow.run()
    assert ran.code == 1 and ran.jobs == {"within_bounds": 1}, ran.output
    page = (workflow.results / "report.html").read_text(encoding="utf-8")
    assert "synapses of feed, in-degree of top, out-degree of exc." in page
    found = {(v["what"], v["name"]): v["verdict"] for v in json.loads((workflow.results / "verdicts.json").read_text())}
    assert found["synapses", "feed"] == "deviates" and found["cells", "exc"] == "ok"
    log = (workflow.results / "logs/report/bounds.log").read_text()
    assert "synapses of feed: 293 built, 300 wanted" in log and "Traceback" not in log
    workflow.write(circuit(0))
    ran = workflow.run()
    assert ran.code == 0 and ran.jobs["within_bounds"] == 1, ran.output
    assert "out of bounds" not in ran.output
    assert workflow.plan() == {}
