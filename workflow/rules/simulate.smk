# Simulate: the circuit's configuration, and each simulation's spikes and reports in R/simulations/<name>/.
# Guarantees: complete or absent; a killed run's segments stay in the journal until the next attempt.


rule circuit:
    input:
        PLAN.circuit_files(),
        PLAN.files_behind_circuit(),


rule circuit_config:
    input:
        nodes=[PLAN.nodes(t) for t in PLAN.cell_types],
        edges=[PLAN.edges(s) for s in PLAN.edge_sets()],
    output:
        config=report(PLAN.path("circuit_config.json"), caption="../report/circuit.rst", category="Circuit"),
        node_sets=PLAN.path("node_sets.json"),
        types=[PLAN.path("node_types.csv"), PLAN.path("edge_types.csv")],
    log:
        log_of("simulate", "circuit"),
    benchmark:
        benchmark_of("simulate", "circuit")
    params:
        morphologies=[PLAN.path("morphologies")] if PLAN.morphologies() else [],
    conda:
        f"{ENVS}/build.yaml"
    message:
        f"circuit: {len(PLAN.cell_types)} populations, {len(PLAN.edge_sets())} edge sets"
    shell:
        "snakefold_job circuit --nodes {input.nodes:q} --edges {input.edges:q} --output {output.config:q}"
        " --morphologies={params.morphologies:q} > {log:q} 2>&1"


for name in PLAN.simulations:

    rule:
        name:
            f"simulate_{name}"
        input:
            build=PLAN.built("simulate", name),
            validate=PLAN.path("validate", f"{name}.h5"),
            modules=PLAN.libraries[name],
            circuit=PLAN.path("circuit_config.json"),
            nodes=[PLAN.nodes(t) for t in PLAN.cell_types],
            edges=[PLAN.edges(s) for s in PLAN.edge_sets()],
        output:
            told_of(PLAN.simulation_outputs(name), "provenance.json", "../report/simulation.rst", "Simulations", name),
        log:
            log_of("simulate", name),
        benchmark:
            benchmark_of("simulate", name)
        params:
            folder=lambda w, output: Path(output[0]).parent,
            journal=PLAN.path(".journal/simulate", name),
        threads: PLAN.parts[f"simulate/{name}"].slice["run"]["threads"]
        resources:
            **PROFILE.of_simulation(
                PLAN.needs[f"simulate/{name}"], PLAN.parts[f"simulate/{name}"].slice["run"]["threads"]
            ),
        conda:
            f"{ENVS}/nest.yaml"
        message:
            f"simulate: {name}"
        shell:
            "snakefold_simulation simulate --build {input.build:q} --modules {input.modules:q}"
            " --nodes {input.nodes:q} --edges {input.edges:q} --folder {params.folder:q} --journal {params.journal:q} > {log:q} 2>&1"
