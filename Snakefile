# Snakefold: from a circuit description to a SONATA circuit, its NEST simulations and a report.
# Every phase is a file in workflow/rules/; what to build is said in config/config.yaml or with --config.
from snakemake.utils import min_version

min_version("9.14")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/parse.smk"
include: "workflow/rules/build.smk"
include: "workflow/rules/validate.smk"
include: "workflow/rules/place.smk"
include: "workflow/rules/connect.smk"
include: "workflow/rules/simulate.smk"
include: "workflow/rules/report.smk"


localrules:
    all,
    validated,
    circuit,
    circuit_config,
    within_bounds,


rule all:
    default_target: True
    input:
        PLAN.kept_files(),
        PLAN.path("within_bounds.txt") if config.get("report") == "fail" else [],
