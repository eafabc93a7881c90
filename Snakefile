# Rules from dvc.yaml, the one stage table: `snakemake --cores 8 all`. What must re-run is decided by times, after pipeline/agreement.py has
# brought them into line with DVC's record of contents. profiles/default/config.yaml is read by itself.
import subprocess
import sys

from snakemake.utils import min_version

min_version("9.10")
sys.path.insert(0, workflow.basedir)

from cgm.core.console import any_encoding
from cgm.core.errors import UserError
from pipeline import agreement, snakemake_pages, stage_table

any_encoding()
try:
    table = stage_table.load_table()
    if workflow.is_main_process:
        agreement.before(table)
        agreement.check_sources(table)
except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)

if workflow.nodes is None:  # jobs run on this machine
    workflow.register_resource("slots", table.compute_slots())
    if "gpu" not in workflow.global_resources:
        workflow.register_resource("gpu", 1)


def flagged(out, template):
    """With Snakemake's own marks: a folder, an output that its stage renews in place, what `--report` shows."""
    marked = out if Path(out).suffix else directory(out)
    marked = update(marked) if out in template.kept else marked
    return report(marked, **snakemake_pages.PAGES[out]) if out in snakemake_pages.PAGES else marked


rule all:
    default_target: True
    input: table.outputs()
    message: "all of params.yaml is done"


for template in table.templates:
    if template.name == stage_table.FINGERPRINT:  # agreement.before has run it
        continue

    def stage(wildcards, template=template):
        return table.stages[template.stage_name(wildcards)]

    rule:
        name: template.rule
        input: lambda wildcards, stage=stage: [stage(wildcards).stamp, *table.inputs(stage(wildcards))]
        output: [flagged(out, template) for out in template.outs]
        log: template.log
        conda: "environment.yaml"
        wildcard_constraints: **template.constraints
        params: command=lambda wildcards, stage=stage: stage_table.as_job(stage(wildcards).command)
        threads: lambda wildcards, stage=stage: table.threads(stage(wildcards))
        resources:
            slots=lambda wildcards, stage=stage: table.slots(stage(wildcards)),
            gpu=lambda wildcards, stage=stage: table.gpus(stage(wildcards)),
        priority: lambda wildcards, stage=stage: table.priority(stage(wildcards))
        message: template.message
        localrule: template.work.local
        shell: "CGM_ENGINE=$PPID {params.command} > {log:q} 2>&1"


onstart:
    agreement.begin(table)


onsuccess:
    agreement.after(table, touched=workflow.touch)


onerror:
    subprocess.run([sys.executable, "-m", "pipeline.partial_report"])
    agreement.after(table, touched=workflow.touch)
