# Parse: the resolved description, with marks and sources, from the frozen plan to R/parse.h5.
# Guarantees: no other phase waits for it; a comment in the description reruns this and nothing else.


rule parse:
    output:
        PLAN.path("parse.h5"),
    log:
        log_of("parse", "parse"),
    benchmark:
        benchmark_of("parse", "parse")
    params:
        slice=PLAN.slice_file(PLAN.parts["parse"].digest),
    conda:
        f"{ENVS}/build.yaml"
    message:
        "parse: the resolved description"
    shell:
        "snakefold_job parse --slice {params.slice:q} --output {output:q}" " > {log:q} 2>&1"
