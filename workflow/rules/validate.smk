# Validate: NEST's verdict on each simulation, from R/build/simulate/<name>.h5 to R/validate/<name>.h5.
# Guarantees: asked in a process of its own; first of all jobs; only simulate waits for it.


rule validated:
    input:
        [PLAN.path("validate", f"{name}.h5") for name in PLAN.simulations],


rule validate:
    input:
        build=PLAN.built("simulate", "{simulation}"),
        modules=lambda w: PLAN.libraries[w.simulation],
    output:
        PLAN.path("validate", "{simulation}.h5"),
    log:
        log_of("validate", "{simulation}"),
    benchmark:
        benchmark_of("validate", "{simulation}")
    priority: 100
    conda:
        f"{ENVS}/nest.yaml"
    message:
        "validate: simulation {wildcards.simulation} against NEST"
    shell:
        "snakefold_job validate --build {input.build:q} --modules {input.modules:q} --output {output:q} > {log:q} 2>&1"
