"""model + patients' files -> images, maps and regions of each patient; see Snakefile."""

STEP_BY_STEP = shown_step_by_step()


rule model:
    input:
        given=f"{BUILD}/{GIVEN_MODEL.name}" if MODEL == "given" else [],
        script="workflow/train.py",
        library=library_files("workflow/train.py"),
    output:
        directory(f"{BUILD}/model/{{scaling}}"),
    params:
        origin=MODEL,
        profile=PROFILE,
    threads: 64  # all there are
    log:
        f"{BUILD}/logs/model_{{scaling}}.log",
    shell:
        "{CHILD} {input.script} {params.origin} {wildcards.scaling} {params.profile}"
        " > {log} 2>&1"


rule surrogate_patient:
    input:
        rows=f"{BUILD}/calibrated/{{patient}}.tsv",
        model=f"{BUILD}/model/none",
        solution="data/surrogate_solution.json",
        script="workflow/surrogate_patient.py",
        library=library_files("workflow/surrogate_patient.py"),
    output:
        directory(f"{BUILD}/surrogate/{{patient}}"),
        directory(f"{BUILD}/surrogate/derivatives/qupath/{{patient}}"),
    params:
        profile=PROFILE,
    log:
        f"{BUILD}/logs/images_{{patient}}.log",
    shell:
        "{CHILD} {input.script} {wildcards.patient} {params.profile} > {log} 2>&1"


rule patient:
    input:
        files=lambda wildcards: raw_files(wildcards.patient),
        model=lambda wildcards: model_files([wildcards.patient]),
        targets=f"{BUILD}/targets/{{patient}}.tsv",
        options=f"{BUILD}/image_options.json",
        script="workflow/patient.py",
        library=library_files("workflow/patient.py"),
    output:
        directory(f"{BUILD}/{FOLDER}/{{patient}}"),
        directory(f"{BUILD}/patients/{{patient}}"),
    params:
        keep=lambda wildcards: "--keep-steps" if wildcards.patient in STEP_BY_STEP else "",
    log:
        f"{BUILD}/logs/maps_{{patient}}.log",
    shell:
        "{CHILD} {input.script} {wildcards.patient} {params.keep} > {log} 2>&1"
