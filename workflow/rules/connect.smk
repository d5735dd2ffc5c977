# Connect: synapses of each strategy, tile by tile, and each edge set's file, R/edges/<set>.h5.
# Guarantees: ordered by (target, source), independent of tiles and of the order of jobs; tiles and prepared files vanish.

for name, strategy in PLAN.connections.items():
    nodes = [PLAN.nodes(t) for t in strategy.cell_types]
    reads = [PLAN.staged("edges", s) for s in strategy.reads]
    morphologies = [PLAN.built("morphology", m) for m in strategy.morphologies]
    prepared = [PLAN.path("prepare/connect", f"{name}.h5")] if strategy.prepares else []

    if strategy.prepares:

        rule:
            name:
                f"prepare_connect_{name}"
            input:
                build=PLAN.built("connect", name),
                nodes=nodes,
                edges=reads,
                morphologies=morphologies,
            output:
                temp(prepared),
            log:
                log_of("prepare", f"connect.{name}"),
            benchmark:
                benchmark_of("prepare", f"connect.{name}")
            conda:
                f"{ENVS}/build.yaml"
            message:
                f"prepare: what connection {name} computes once"
            shell:
                "snakefold_job prepare connect --build {input.build:q} --nodes {input.nodes:q}"
                " --edges {input.edges:q} --morphologies {input.morphologies:q} --output {output:q} > {log:q} 2>&1"

    if strategy.direct:

        rule:
            name:
                f"connect_{name}"
            input:
                build=PLAN.built("connect", name),
                nodes=nodes,
                edges=reads,
                morphologies=morphologies,
                prepared=prepared,
            output:
                [PLAN.staged("edges", s) for s in strategy.sets],
            log:
                log_of("connect", name),
            benchmark:
                benchmark_of("connect", name)
            params:
                journal=PLAN.path(".journal/connect", name, "0"),
            threads: PROFILE.ranks
            resources:
                **PROFILE.of_tile(PLAN.needs[f"connect/{name}"]),
            conda:
                f"{ENVS}/build.yaml"
            message:
                f"connect: all synapses of {name}"
            shell:
                "snakefold_tile connect --build {input.build:q} --nodes {input.nodes:q}"
                " --edges {input.edges:q} --morphologies {input.morphologies:q} --prepared={input.prepared:q} --journal {params.journal:q}"
                " --write-edges {output:q} > {log:q} 2>&1"

    else:

        rule:
            name:
                f"connect_{name}"
            input:
                build=PLAN.built("connect", name),
                nodes=nodes,
                edges=reads,
                morphologies=morphologies,
                prepared=prepared,
            output:
                temp(PLAN.path("connect", name, "0.{tile}.h5")),
            log:
                log_of("connect", name, "{tile}"),
            benchmark:
                benchmark_of("connect", name, "{tile}")
            params:
                journal=PLAN.path(".journal/connect", name, "{tile}"),
            threads: PROFILE.ranks
            resources:
                **PROFILE.of_tile(PLAN.needs[f"connect/{name}"]),
            conda:
                f"{ENVS}/build.yaml"
            message:
                f"connect: tile {{wildcards.tile}} of {strategy.tiles} of {name}"
            shell:
                "snakefold_tile connect --build {input.build:q} --nodes {input.nodes:q}"
                " --edges {input.edges:q} --morphologies {input.morphologies:q} --prepared={input.prepared:q}"
                " --tile {wildcards.tile} --journal {params.journal:q} --output {output:q} > {log:q} 2>&1"

        for edge_set in strategy.sets:

            rule:
                name:
                    f"gather_edges_{edge_set}"
                input:
                    build=PLAN.built("connect", name),
                    nodes=nodes,
                    edges=reads,
                    morphologies=morphologies,
                    tiles=tile_files("connect", name, 1, strategy.tiles),
                output:
                    PLAN.staged("edges", edge_set),
                log:
                    log_of("gather", f"edges.{edge_set}"),
                benchmark:
                    benchmark_of("gather", f"edges.{edge_set}")
                params:
                    name=edge_set,
                    journals=PLAN.path(".journal/connect", name),
                conda:
                    f"{ENVS}/build.yaml"
                message:
                    f"gather: edge set {edge_set}"
                shell:
                    "snakefold_job gather_edges --name {params.name:q} --build {input.build:q}"
                    " --nodes {input.nodes:q} --edges {input.edges:q} --morphologies {input.morphologies:q}"
                    " --tiles {input.tiles:q} --journals {params.journals:q} --output {output:q} > {log:q} 2>&1"


for name, hook in PLAN.after_connectivity.items():

    rule:
        name:
            f"after_connectivity_{name}"
        input:
            build=PLAN.built("after_connectivity", name),
            stages=PLAN.hook_inputs("edges", name),
            nodes=[PLAN.nodes(t) for t in PLAN.cell_types],
        output:
            PLAN.hook_outputs("edges", name),
        log:
            log_of("after_connectivity", name),
        benchmark:
            benchmark_of("after_connectivity", name)
        params:
            names=list(hook.files),
        conda:
            f"{ENVS}/build.yaml"
        message:
            f"after connectivity: hook {name}"
        shell:
            "snakefold_job hook after_connectivity --build {input.build:q} --inputs {input.stages:q}"
            " --nodes {input.nodes:q} --names {params.names:q} --outputs {output:q} > {log:q} 2>&1"
