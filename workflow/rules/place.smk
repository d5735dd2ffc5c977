# Place: cells of each strategy, tile by tile, and each cell type's node file, R/nodes/<cell_type>.h5.
# Guarantees: counts exact, positions independent of tiles and of the order of jobs; tiles and prepared files vanish.

for name, strategy in PLAN.placements.items():
    partitions = [PLAN.built(p) for p in PLAN.parts[f"place/{name}"].inputs]
    reads = [PLAN.staged("nodes", t) for t in strategy.reads]
    prepared = [PLAN.path("prepare/place", f"{name}.h5")] if strategy.prepares else []

    if strategy.prepares:

        rule:
            name:
                f"prepare_place_{name}"
            input:
                build=PLAN.built("place", name),
                partitions=partitions,
                nodes=reads,
            output:
                temp(prepared),
            log:
                log_of("prepare", f"place.{name}"),
            benchmark:
                benchmark_of("prepare", f"place.{name}")
            conda:
                f"{ENVS}/build.yaml"
            message:
                f"prepare: what placement {name} computes once"
            shell:
                "snakefold_job prepare place --build {input.build:q} --partitions {input.partitions:q}"
                " --nodes {input.nodes:q} --output {output:q} > {log:q} 2>&1"

    if strategy.direct:

        rule:
            name:
                f"place_{name}"
            input:
                build=PLAN.built("place", name),
                partitions=partitions,
                nodes=reads,
                prepared=prepared,
            output:
                [PLAN.staged("nodes", t) for t in strategy.cell_types],
            log:
                log_of("place", name),
            benchmark:
                benchmark_of("place", name)
            params:
                journal=PLAN.path(".journal/place", name, "0.0"),
            threads: PROFILE.ranks
            resources:
                **PROFILE.of_tile(PLAN.needs[f"place/{name}"]),
            conda:
                f"{ENVS}/build.yaml"
            message:
                f"place: all cells of {name}"
            shell:
                "snakefold_tile place --build {input.build:q} --partitions {input.partitions:q}"
                " --nodes {input.nodes:q} --prepared={input.prepared:q} --journal {params.journal:q}"
                " --write-nodes {output:q} > {log:q} 2>&1"

    else:

        rule:
            name:
                f"place_{name}"
            input:
                build=PLAN.built("place", name),
                partitions=partitions,
                nodes=reads,
                prepared=prepared,
                earlier=lambda w, n=name, s=strategy: tile_files("place", n, int(w.color), s.tiles),
            output:
                temp(PLAN.path("place", name, "{color}.{tile}.h5")),
            log:
                log_of("place", name, "{color}", "{tile}"),
            benchmark:
                benchmark_of("place", name, "{color}", "{tile}")
            params:
                journal=PLAN.path(".journal/place", name, "{color}.{tile}"),
            threads: PROFILE.ranks
            resources:
                **PROFILE.of_tile(PLAN.needs[f"place/{name}"]),
            conda:
                f"{ENVS}/build.yaml"
            message:
                f"place: tile {{wildcards.tile}} of {strategy.tiles} of {name}"
            shell:
                "snakefold_tile place --build {input.build:q} --partitions {input.partitions:q}"
                " --nodes {input.nodes:q} --earlier {input.earlier:q} --prepared={input.prepared:q}"
                " --tile {wildcards.tile} --pass {wildcards.color} --journal {params.journal:q}"
                " --output {output:q} > {log:q} 2>&1"


for cell_type in PLAN.gathered_cell_types():
    placers = PLAN.placers(cell_type)

    rule:
        name:
            f"gather_cells_{cell_type}"
        input:
            builds=[PLAN.built("place", n) for n in placers],
            tiles=[
                f for n in placers for f in tile_files("place", n, PLAN.placements[n].passes, PLAN.placements[n].tiles)
            ],
        output:
            PLAN.staged("nodes", cell_type),
        log:
            log_of("gather", f"cells.{cell_type}"),
        benchmark:
            benchmark_of("gather", f"cells.{cell_type}")
        params:
            cell_type=cell_type,
            journals=[PLAN.path(".journal/place", n) for n in placers],
        resources:
            **PROFILE.of_job(PLAN.needs[f"cells/{cell_type}"]),
        conda:
            f"{ENVS}/build.yaml"
        message:
            f"gather: cells of type {cell_type}"
        shell:
            "snakefold_job gather_cells --cell-type {params.cell_type:q} --builds {input.builds:q}"
            " --tiles {input.tiles:q} --journals {params.journals:q} --output {output:q} > {log:q} 2>&1"


for name, hook in PLAN.after_placement.items():

    rule:
        name:
            f"after_placement_{name}"
        input:
            build=PLAN.built("after_placement", name),
            stages=PLAN.hook_inputs("nodes", name),
        output:
            PLAN.hook_outputs("nodes", name),
        log:
            log_of("after_placement", name),
        benchmark:
            benchmark_of("after_placement", name)
        params:
            names=list(hook.files),
        conda:
            f"{ENVS}/build.yaml"
        message:
            f"after placement: hook {name}"
        shell:
            "snakefold_job hook after_placement --build {input.build:q} --inputs {input.stages:q}"
            " --names {params.names:q} --outputs {output:q} > {log:q} 2>&1"
