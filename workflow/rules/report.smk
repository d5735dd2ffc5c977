# Report: what was built against what was wanted, and what the simulations did, on one page, R/report.html; and what
# the results are, as RO-Crate metadata.
# Guarantees: self-contained; a function of the results, and of the rates that the description expects, but for a section
# about the run; with "report: fail", a run whose verdicts are out of bounds fails and keeps the page.


rule report:
    input:
        builds=[PLAN.built(part) for part in PLAN.parts if part != "parse"],
        circuit=PLAN.path("circuit_config.json"),
        nodes=[PLAN.nodes(t) for t in PLAN.cell_types],
        edges=[PLAN.edges(s) for s in PLAN.edge_sets()],
        simulations=[f for name in PLAN.simulations for f in PLAN.simulation_outputs(name)],
    output:
        page=report(PLAN.path("report.html"), caption="../report/page.rst", category="Report"),
        verdicts=PLAN.path("verdicts.json"),
        crate=PLAN.path("ro-crate-metadata.json"),
    log:
        log_of("report", "report"),
    benchmark:
        benchmark_of("report", "report")
    params:
        results=lambda w, output: Path(output[0]).parent,
        cell_types=list(PLAN.cell_types),
        edge_sets=list(PLAN.edge_sets()),
        simulations=list(PLAN.simulations),
        expected_rates=json.dumps(PLAN.expected_rates, sort_keys=True),
        authors=config.get("authors", []),
        license=config.get("license", ""),
    conda:
        f"{ENVS}/report.yaml"
    message:
        "report: {output.page}"
    shell:
        "snakefold_job report --results {params.results:q} --builds {input.builds:q}"
        " --cell-types {params.cell_types:q} --edge-sets {params.edge_sets:q} --simulations {params.simulations:q}"
        " --expected-rates {params.expected_rates:q} --authors {params.authors:q} --license={params.license:q} --output {output.page:q} --verdicts {output.verdicts:q}"
        " > {log:q} 2>&1"


rule within_bounds:
    input:
        verdicts=PLAN.path("verdicts.json"),
    output:
        PLAN.path("within_bounds.txt"),
    log:
        log_of("report", "bounds"),
    benchmark:
        benchmark_of("report", "bounds")
    conda:
        f"{ENVS}/report.yaml"
    message:
        "report: are the verdicts within bounds?"
    shell:
        "snakefold_job bounds --verdicts {input.verdicts:q} --output {output:q} > {log:q} 2>&1"
