# Build: one job per part, from its slice of the typed tree (in params) and the data files that the slice names; one per
# morphology, which also writes it as SWC for other programs; and one per file in NESTML, which makes an extension module.
# Guarantees: the only jobs through which an edit of the description enters the workflow.


rule build:
    input:
        parts=lambda w: [PLAN.built(part) for part in PLAN.parts[w.part].inputs],
        files=lambda w: list(PLAN.parts[w.part].files.values()),
    output:
        PLAN.built("{part}"),
    log:
        log_of("build", "{part}"),
    benchmark:
        benchmark_of("build", "{part}")
    params:
        slice=lambda w: PLAN.slice_file(PLAN.parts[w.part].digest),
    resources:
        mem_mb=lambda w, attempt: PROFILE.of_job(PLAN.needs_of_build(w.part))["mem_mb"](w, attempt),
        runtime=lambda w, attempt: PROFILE.of_job(PLAN.needs_of_build(w.part))["runtime"](w, attempt),
    wildcard_constraints:
        part=r"(?!morphology/)[a-z_]+/[^/]+",
    conda:
        f"{ENVS}/build.yaml"
    message:
        "build: {wildcards.part}"
    shell:
        "snakefold_job build --slice {params.slice:q}"
        " --inputs {input.parts:q} --files {input.files:q} --output {output:q} > {log:q} 2>&1"


rule build_morphology:
    input:
        parts=lambda w: [PLAN.built(part) for part in PLAN.parts[f"morphology/{w.morphology}"].inputs],
        files=lambda w: list(PLAN.parts[f"morphology/{w.morphology}"].files.values()),
    output:
        part=PLAN.built("morphology", "{morphology}"),
        swc=PLAN.morphology("{morphology}"),
    log:
        log_of("build", "morphology/{morphology}"),
    benchmark:
        benchmark_of("build", "morphology/{morphology}")
    params:
        slice=lambda w: PLAN.slice_file(PLAN.parts[f"morphology/{w.morphology}"].digest),
    wildcard_constraints:
        morphology=r"[^/]+",
    conda:
        f"{ENVS}/build.yaml"
    message:
        "build: morphology {wildcards.morphology}"
    shell:
        "snakefold_job build --slice {params.slice:q} --inputs {input.parts:q} --files {input.files:q}"
        " --output {output.part:q} --export {output.swc:q} > {log:q} 2>&1"


rule build_module:
    input:
        lambda w: list(PLAN.modules[w.module].files.values()),
    output:
        PLAN.library("{module}"),
    log:
        log_of("build", "module/{module}"),
    benchmark:
        benchmark_of("build", "module/{module}")
    params:
        slice=lambda w: PLAN.slice_file(PLAN.modules[w.module].digest),
    threads: 2
    resources:
        mem_mb=2000,
    priority: 100
    conda:
        f"{ENVS}/module.yaml"
    message:
        "build: extension module {wildcards.module}"
    shell:
        "snakefold_job build_module --slice {params.slice:q} --source {input:q} --threads {threads}"
        " --output {output:q} > {log:q} 2>&1"
