"""What the workflow takes a page to depend on."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from toy import trained

import build
import child
import dependencies
import graph
import needs
import patient
import prepare
from cpmlib.cpm.model_file import write_model
from cpmlib.cpm.processors import available_processors, usable_processors
from cpmlib.mri import survey
from cpmlib.mri.images import write_image
from cpmlib.mri.patient import PatientImages
from cpmlib.study.dataset import read_tables
from cpmlib.study.errors import DatasetError
from cpmlib.study.files import unknown_patients
from cpmlib.study.schemas import wanted
from studies import ROOT, rewrite, set_cell

RAW = (
    "{0}/anat/{0}_T1w",
    "{0}/anat/{0}_ce-gadolinium_T1w",
    "{0}/anat/{0}_FLAIR",
    "{0}/dwi/{0}_ADC",
)


def put_images(study: Path, patient: str, *names: str) -> None:
    """Add images, too small to be used but whole."""
    for name in names:
        image = nib.Nifti1Image(np.ones((3, 3, 3), np.float32), np.eye(4))
        write_image(study / f"{name.format(patient)}.nii.gz", image)


def modules(script: str) -> set[str]:
    return {path.removeprefix("src/") for path in dependencies.library_files(script)}


def test_a_notebook_needs_its_modules_and_theirs():
    needed = modules("notebooks/03_correlations.md")
    names = ("statistics/rout", "statistics/correlation", "paper/correlations")
    assert {f"cpmlib/{name}.py" for name in names} <= needed
    assert "cpmlib/statistics/mixed_model.py" not in needed
    assert "cpmlib/statistics/group_comparison.py" not in needed


def test_the_cohort_page_needs_no_statistics_of_association():
    needed = modules("notebooks/01_cohort.md")
    assert "cpmlib/statistics/descriptives.py" in needed
    names = ("rout", "meng", "mixed_model")
    assert not {f"cpmlib/statistics/{name}.py" for name in names} & needed


def test_the_whole_library_is_every_module():
    listed = dependencies.library_files(None)
    assert "src/cpmlib/statistics/rout.py" in listed
    assert "src/cpmlib/paper/groups.py" in listed
    assert "src/cpmsurrogate/recipe.py" in listed


def imports_of(name: str) -> str:
    """Return the lines that a notebook's cells begin with."""
    source = (ROOT / "notebooks" / f"{name}.md").read_text("utf-8")
    cells = dependencies._CELL.findall(source)
    lines = [line for cell in cells for line in cell.splitlines()]
    return "\n".join(line for line in lines if line.startswith(("import ", "from ")))


EACH = """
import os, sys
import matplotlib.pyplot, pandas, scipy.stats  # what most of them load takes the most time
for code in {codes!r}:
    if os.fork():
        assert os.wait()[1] == 0, code
    else:
        exec(code)
        print(*sys.modules, flush=True)
        os._exit(0)
"""


def loaded_by_each(codes: list[str]) -> list[set[str]]:
    """Return the modules that a Python has loaded after each of some codes, without the others."""
    return [set(line.split()) for line in said_by(EACH.format(codes=codes)).splitlines()]


def loaded(code: str) -> set[str]:
    """Return the modules that a fresh Python has loaded after some code."""
    return set(said_by(f"{code}\nimport sys; print(*sys.modules)").split())


def said_by(code: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT / 'workflow'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout


HEAVY = {"SimpleITK", "numba", "skimage", "sklearn", "dipy", "nilearn", "shapely"}
"""What takes long to import and only images need."""
MAY_LOAD = {
    "07_cases": {"skimage"},
    "08_one_patient": {"skimage"},
    "11_training": {"numba"},
    "20_learn_map": {"sklearn"},
    "22_learn_counting": {"skimage"},
    "27_learn_domain": {"sklearn"},
}


@pytest.mark.slow
def test_real_imports_are_among_the_declared_ones_and_none_is_heavy():
    """Python itself says which modules a notebook loads."""
    names = dependencies.notebook_names()
    loaded_ones = loaded_by_each([imports_of(name) for name in names])
    for name, found in zip(names, loaded_ones, strict=True):
        declared = modules(f"notebooks/{name}.md")
        own = [module for module in found if module.split(".")[0] in dependencies.PACKAGES]
        assert own, name
        for module in own:
            path = module.replace(".", "/")
            assert {f"{path}.py", f"{path}/__init__.py"} & declared, (name, module)
        assert HEAVY & found <= MAY_LOAD.get(name, set()), name


@pytest.mark.parametrize(
    ("script", "also"),
    [
        ("build", {"matplotlib", "scipy.stats", "seaborn", "snakemake"}),
        ("run, cpmlib.paper.ledger", {"matplotlib", "scipy.stats", "seaborn"}),
        ("dataset", {"matplotlib", "scipy.stats", "seaborn"}),
        ("stage", {"matplotlib", "scipy.stats", "seaborn"}),
        ("values", {"matplotlib", "scipy.stats", "seaborn"}),
        ("execute", {"matplotlib", "scipy", "pandas"}),
    ],
)
def test_no_job_of_tables_loads_what_images_need(script, also):
    assert not (HEAVY | also) & loaded(f"import {script}")


def test_a_patient_s_job_loads_no_training_and_no_registration_before_it_needs_them():
    later = {"SimpleITK", "numba", "sklearn", "seaborn", "dipy", "nilearn", "shapely"}
    later |= {"matplotlib", "scipy.stats", "skimage.metrics"}
    assert not later & loaded("import patient")


def test_implied_edges_are_left_out_of_the_drawing(tmp_path, monkeypatch):
    edges = [("1", "2"), ("2", "3"), ("1", "3"), ("3", "4"), ("1", "5"), ("5", "3")]
    nodes = {"1": "first", "2": "second", "3": "third", "4": "all", "5": "also second"}
    drawn = graph.groups(nodes, edges)
    assert set(drawn) == {("first",), ("also second", "second"), ("third",)}
    monkeypatch.setattr(graph, "read_graph", lambda: (nodes, edges))
    target = tmp_path / "graph.svg"
    graph.main(str(target))
    drawn = target.read_text()
    graph.main(str(target))
    assert target.read_text() == drawn
    shapes = re.findall(r'<g id="patch_\d+">', drawn)
    assert len(shapes) == 1 + 3 + 2  # the ground, boxes, arrows


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Point the workflow at an empty folder for what it builds."""
    for module in (dependencies, prepare):
        monkeypatch.setattr(module, "BUILD", tmp_path / "build" / "private")
    (tmp_path / "build" / "private").mkdir(parents=True)
    return tmp_path


def settle(project, **options: str) -> None:
    """Write what the driver writes for a study."""
    chosen = {"cpm_normalise": "output"} | options
    (project / dependencies.BUILD_NAME / "image_options.json").write_text(json.dumps(chosen))
    settings = {
        "dataset": f"{dependencies.BUILD_NAME}/source",
        "surrogate": False,
        "profile": "light",
    }
    (project / dependencies.BUILD_NAME / "settings.json").write_text(
        json.dumps(settings | {"model": "trained"})
    )


def test_a_model_is_needed_only_by_a_patient_whose_map_is_predicted(project, study):
    put_images(study, "sub-01", *RAW)
    put_images(study, "sub-02", "derivatives/x/{0}/anat/{0}_cpm", "derivatives/x/{0}/dwi/{0}_ADC")
    settle(project)
    prepare.prepare_study(study)
    assert dependencies.patients() == ["sub-01", "sub-02"]
    assert dependencies.image_jobs(["sub-01"])
    assert not dependencies.image_jobs(["sub-02"])
    assert dependencies.model_scaling() == "none"
    settle(project, cpm_normalise="input")
    assert dependencies.model_scaling() == "whole-brain-SD"


def test_the_files_of_a_patient_are_listed_without_the_study_s_path(project, study):
    put_images(study, "sub-01", *RAW)
    put_images(study, "sub-02", "derivatives/x/{0}/anat/{0}_cpm")
    prepare.prepare_study(study)
    manifests = project / dependencies.BUILD_NAME / "manifests"
    before = (manifests / "sub-01.tsv").read_text()
    assert [line.split("\t")[0] for line in before.splitlines()[1:]] == sorted(
        f"{name.format('sub-01')}.nii.gz" for name in RAW
    )
    assert str(study) not in before
    path = study / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"
    os.utime(path, ns=(1, 1))  # as `cp -p` would leave another image in its place
    other = (manifests / "sub-02.tsv").stat().st_mtime_ns
    prepare.prepare_study(study)
    assert (manifests / "sub-01.tsv").read_text() != before
    assert (manifests / "sub-02.tsv").stat().st_mtime_ns == other
    shutil.rmtree(study / "sub-01")
    prepare.prepare_study(study)
    assert [path.name for path in manifests.iterdir()] == ["sub-02.tsv"]


@pytest.fixture
def copied(tmp_path, study) -> Path:
    """A copy of the project in which Snakemake can be asked for single files."""
    folder = tmp_path / "project"
    for name in ("workflow", "src", "notebooks", "book", "benchmarks"):
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    (folder / "build" / "private").mkdir(parents=True)
    settle(folder)
    return folder


def ask(folder: Path, *arguments: str) -> str:
    """Run a program of the copied project; return what it said."""
    run = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    return run.stdout


def prepared(folder: Path, study: Path) -> None:
    code = f"import prepare; from pathlib import Path; prepare.prepare_study(Path({str(study)!r}))"
    ask(folder, "-c", f"import sys; sys.path.insert(0, 'workflow'); {code}")


SNAKEMAKE = ("-m", "snakemake", "--snakefile", "workflow/Snakefile", "--cores", "1")


@pytest.mark.slow
def test_an_image_replaced_by_an_older_one_is_seen(copied, study):
    """Snakemake's own answer to what would run, before and after."""
    put_images(study, "sub-01", "derivatives/x/{0}/anat/{0}_cpm")
    prepared(copied, study)
    target = "build/private/patients/sub-01"
    for name in (target, "build/private/derivatives/cpmlib/sub-01"):
        (copied / name).mkdir(parents=True)
    ask(copied, *SNAKEMAKE, "--touch", target)
    assert "Nothing to be done" in ask(copied, *SNAKEMAKE, "--dry-run", target)
    image = study / "derivatives" / "x" / "sub-01" / "anat" / "sub-01_cpm.nii.gz"
    os.utime(image, ns=(1, 1))
    prepared(copied, study)
    assert "Updated input files: build/private/manifests/sub-01.tsv" in ask(
        copied, *SNAKEMAKE, "--dry-run", target
    )


@pytest.mark.slow
def test_braces_in_a_study_s_names_are_no_wildcards(copied, study):
    put_images(study, "sub-01", "derivatives/{{x}} y/{0}/anat/{0}_cpm")
    prepared(copied, study)
    said = ask(copied, *SNAKEMAKE, "--dry-run", "build/private/patients/sub-01")
    assert "rule patient" in said


@pytest.mark.slow
def test_another_model_takes_the_place_of_the_first(copied, study):
    prepared(copied, study)
    settings = json.loads((copied / dependencies.BUILD_NAME / "settings.json").read_text())
    (copied / dependencies.BUILD_NAME / "settings.json").write_text(
        json.dumps(settings | {"model": "given"})
    )
    given = copied / dependencies.BUILD_NAME / dependencies.GIVEN_MODEL.name
    made = copied / dependencies.BUILD_NAME / "model" / "none" / "model.npz"
    model = trained()[0]
    for label in ("The first", "The second"):
        write_model(given, replace(model, card=replace(model.card, label=label)))
        ask(copied, *SNAKEMAKE, "build/private/model/none")
        assert made.read_bytes() == given.read_bytes()


def test_a_missing_contrast_is_noted_where_a_sample_needs_it():
    image = nib.Nifti1Image(np.ones((3, 3, 3), np.float32), np.eye(4))
    some = PatientImages({"T1w": image, "T1wGd": image, "ADC": image})
    samples = pd.DataFrame({"sample_id": ["a", "b"]})
    stated = samples.assign(cpm=[1200.0, np.nan])
    assert patient._without_map(some, stated) == [
        "no cellularity map, since these are not there: FLAIR"
    ]
    assert patient._without_map(some, samples.assign(cpm=1200.0)) == []
    assert patient._without_map(PatientImages(), samples) == []
    assert patient._without_map(some, samples.assign(cpm_exclude_reason="no FLAIR")) == []
    whole = PatientImages(dict.fromkeys(("T1w", "T1wGd", "FLAIR", "ADC"), image))
    assert patient._without_map(whole, stated) == []


def without_column(study: Path, column: str) -> None:
    def leave_out(rows: list[list[str]]) -> None:
        place = rows[0].index(column)
        for row in rows:
            del row[place]

    rewrite(study / "samples.tsv", leave_out)


def test_what_is_missing_is_told_before_an_image_is_read(project, study):
    """Of all patients at once, and of contrasts, texts and links together."""
    samples = pd.read_csv(study / "samples.tsv", sep="\t")
    everyone = samples["participant_id"].unique()
    for who in everyone:
        put_images(study, who, *RAW)
    no_flair, no_text, no_link, *_ = everyone
    prepare.prepare_study(study)
    (study / f"{RAW[2].format(no_flair)}.nii.gz").unlink()
    (study / f"{RAW[3].format(no_text)}.nii.gz").unlink()
    series = nib.Nifti1Image(np.ones((3, 3, 3, 2), np.float32), np.eye(4))
    write_image(study / no_text / "dwi" / f"{no_text}_dwi.nii.gz", series)
    with pytest.raises(DatasetError) as error:
        prepare.prepare_study(study)
    assert len(error.value.problems) == 2  # two texts; the column is there
    link = study / f"{RAW[0].format(no_link)}.nii.gz"
    link.unlink()
    link.symlink_to("nowhere")
    without_column(study, "cpm")
    with pytest.raises(DatasetError) as error:
        prepare.prepare_study(study)
    said = str(error.value)
    assert f"{no_flair}: found no FLAIR (FLAIR)" in said
    assert f"{no_text}_dwi.bval: found no such file" in said
    assert f"{no_link}_T1w.nii.gz: found a link to nowhere" in said
    assert len(said.splitlines()) == 5


@pytest.mark.parametrize("reason", ["exclude_reason", "cpm_exclude_reason"])
def test_a_patient_whose_samples_are_excluded_needs_no_map(project, study, reason):
    samples = pd.read_csv(study / "samples.tsv", sep="\t")
    put_images(study, "sub-02", *RAW)
    others = samples["participant_id"] != "sub-02"
    table = samples.drop(columns="cpm").assign(**{reason: np.where(others, "no scan", "n/a")})
    table.to_csv(study / "samples.tsv", sep="\t", index=False, na_rep="n/a")
    prepare.prepare_study(study)
    table.loc[0, reason] = "n/a"
    table.to_csv(study / "samples.tsv", sep="\t", index=False, na_rep="n/a")
    with pytest.raises(DatasetError, match=f"{samples['participant_id'][0]}: found no FLAIR"):
        prepare.prepare_study(study)


def test_samples_that_cannot_be_measured_are_named_to_the_author(project, study, capsys):
    table = pd.read_csv(study / "samples.tsv", sep="\t")
    folder = study / "derivatives" / "qupath" / "sub-01"
    folder.mkdir(parents=True)
    first, *others = table["sample_id"]
    (folder / f"{first}_annotations.tsv").touch()
    without_column(study, "he_cellularity")
    prepare.prepare_study(study)
    said = capsys.readouterr().out
    assert f"no he_cellularity of {len(others)} samples" in said
    assert f"sub-01 {first}" not in said


def test_files_that_are_not_used_are_named_to_the_author(project, study, capsys):
    put_images(study, "sub-01", *RAW, "{0}/anat/{0}_T2w", "sub-99/anat/sub-99_T1w")
    prepare.prepare_study(study)
    said = capsys.readouterr().out
    assert "T2-weighted image (nothing here needs it), 1: sub-01/anat/sub-01_T2w.nii.gz" in said
    assert "folder of a patient (the tables have no such patient), 1: sub-99" in said
    listed = (project / "build" / "private" / "not_used.tsv").read_text().splitlines()
    assert len(listed) == 3
    assert str(study) not in "".join(listed)
    (study / "sub-01" / "a\x1b[2Jb.txt").touch()  # would clear the terminal
    prepare.prepare_study(study)
    assert "sub-01/a\\x1b[2Jb.txt" in capsys.readouterr().out


def test_a_column_that_a_study_leaves_out_stays_out_of_what_its_images_need(project, study):
    put_images(study, "sub-01", *RAW)
    prepare.prepare_study(study)
    assert "cpm" in dependencies.read_targets("sub-01").columns
    for who in pd.read_csv(study / "samples.tsv", sep="\t")["participant_id"].unique():
        put_images(study, who, *RAW)
    without_column(study, "cpm")
    prepare.prepare_study(study)
    assert "cpm" not in dependencies.read_targets("sub-01").columns


def test_jobs_beside_each_other_share_the_processors(monkeypatch):
    """Snakemake tells a job its threads by this variable."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert usable_processors() == 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert usable_processors() == available_processors()


def test_the_build_needs_no_system_call_of_linux_alone(monkeypatch):
    for name in ("sched_getaffinity", "sched_setaffinity", "process_cpu_count"):
        monkeypatch.delattr(os, name, raising=False)
    monkeypatch.setattr(sys, "argv", ["build.py"])
    assert build._arguments().cores == os.cpu_count()


WRITER = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))  # as a disk that is full after ten bytes
Path(sys.argv[1]).write_text("more than ten bytes")
"""


def test_a_full_disk_is_named_without_a_traceback(copied):
    (copied / "writer.py").write_text(WRITER)
    for target in ("build/values.json", str(copied / "build" / "values.json")):
        run = subprocess.run(
            [sys.executable, "workflow/child.py", "./writer.py", target],
            cwd=copied,
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 1
        assert "Traceback" not in run.stderr
        assert re.search(r"File too large; expected room.*Remedy: free some space", run.stderr)


def test_only_what_the_project_s_folder_refuses_is_called_so():
    error = OSError(errno.EACCES, "Permission denied", str(ROOT / "build" / "values.json"))
    assert child.cannot_write(error).startswith("build/values.json: Permission denied")
    assert child.cannot_write(OSError(errno.ENOENT, "No such file", str(ROOT / "x"))) is None
    assert child.cannot_write(OSError(errno.EACCES, "Permission denied", "/study/x.nii")) is None


def test_steps_and_faults_are_taken_from_the_fields_of_snakemake_s_messages(capsys):
    import logging

    from snakemake_interface_logger_plugins.common import LogEvent

    from run import Progress

    progress = Progress()

    def tell(level: int, **fields: object) -> None:
        progress.emit(logging.makeLogRecord({"msg": "said", "levelno": level, **fields}))

    job = {"event": LogEvent.JOB_INFO, "rule_name": "patient", "wildcards": {"patient": "sub-01"}}
    tell(logging.INFO, **job)
    tell(logging.INFO, **job | {"rule_name": "all", "wildcards": {}})
    assert capsys.readouterr().out == "maps and regions of sub-01\n"
    tell(logging.ERROR, event=LogEvent.JOB_ERROR, log=["build/private/logs/x.log"])
    tell(logging.ERROR, event=LogEvent.ERROR)
    tell(logging.INFO)
    assert progress.failed == [ROOT / "build" / "private" / "logs" / "x.log"]
    assert progress.errors == ["said"]


CHAIN = """
rule all:
    input: expand("w{i}", i=range(4))
rule first:
    output: "first"
    shell: "touch {output}"
rule second:
    input: "first"
    output: "second"
    shell: "touch {output}"
rule wide:
    input: "second"
    output: "w{i}"
    shell: "date +%s.%N > {output}; sleep 1; date +%s.%N >> {output}"
"""


@pytest.mark.slow
def test_a_chain_of_single_jobs_makes_no_cores(tmp_path):
    """The whole of Snakemake: after two jobs in a row, four that are ready at once."""
    (tmp_path / "Snakefile").write_text(CHAIN)
    ask(tmp_path, "-m", "snakemake", "--cores", "2")
    steps = []
    for path in tmp_path.glob("w*"):
        began, ended = map(float, path.read_text().split())
        steps += [(began, 1), (ended, -1)]
    at_once = np.cumsum([step for _, step in sorted(steps)])
    assert at_once.max() == 2


def test_what_is_left_out_and_why_is_told_to_the_job_of_a_patient(project, study, capsys):
    put_images(study, "sub-01", *RAW)
    without_column(study, "adc")
    add_reasons(study, "adc_exclude_reason", {"sub-01": "Nothing there"})
    prepare.prepare_study(study)
    targets = dependencies.read_targets("sub-01")
    assert set(targets["adc_exclude_reason"]) == {"Nothing there"}
    assert not wanted(targets, "adc").any()
    assert wanted(targets, "cpm").all()
    assert "sub-01" not in capsys.readouterr().out  # nothing is missed


def add_reasons(study: Path, column: str, reasons: dict[str, str]) -> None:
    """Give all samples of some patients a reason."""

    def add(rows: list[list[str]]) -> None:
        who = rows[0].index("participant_id")
        for number, row in enumerate(rows):
            row.append(reasons.get(row[who], "n/a") if number else column)

    rewrite(study / "samples.tsv", add)


def test_a_patient_of_whom_no_map_is_wanted_needs_no_contrasts(project, study):
    everyone = pd.read_csv(study / "samples.tsv", sep="\t")["participant_id"].unique()
    for who in everyone:
        put_images(study, who, *RAW)
    without_column(study, "cpm")
    (study / f"{RAW[2].format('sub-01')}.nii.gz").unlink()
    with pytest.raises(DatasetError, match=r"sub-01: found no FLAIR.*cpm_exclude_reason") as error:
        prepare.prepare_study(study)
    assert len(error.value.problems) == 1
    add_reasons(study, "cpm_exclude_reason", {"sub-01": "no FLAIR"})
    prepare.prepare_study(study)
    assert set(dependencies.patients()) == set(everyone)


@pytest.mark.parametrize("reason", ["exclude_reason", "cpm_exclude_reason"])
def test_a_faulty_table_asks_for_no_image_that_is_not_needed(project, study, reason):
    everyone = pd.read_csv(study / "samples.tsv", sep="\t")["participant_id"].unique()
    for who in everyone[1:]:
        put_images(study, who, *RAW)
    without_column(study, "cpm")
    add_reasons(study, reason, {everyone[0]: "lost to follow-up"})
    set_cell(study / "samples.tsv", 3, "target_x", "far")
    with pytest.raises(DatasetError) as error:
        prepare.prepare_study(study)
    assert [problem.column for problem in error.value.problems] == ["target_x"]


def test_a_file_that_is_not_read_is_seen_too(project, study):
    """A note of its patient names what kind it is."""
    put_images(study, "sub-01", *RAW)
    prepare.prepare_study(study)
    listed = project / dependencies.BUILD_NAME / "manifests" / "sub-01.tsv"
    before = listed.read_text()
    put_images(study, "sub-01", "{0}/anat/{0}_T2w")
    prepare.prepare_study(study)
    (new,) = set(listed.read_text().splitlines()) - set(before.splitlines())
    path = "sub-01/anat/sub-01_T2w.nii.gz"
    assert new.split("\t") == [path, "", "", "T2-weighted image", "nothing here needs it"]


def test_the_patient_who_is_shown_step_by_step_has_images_and_is_no_excluded_case(project, study):
    """As cases come and go; this patient's job alone keeps its steps."""
    settle(project)
    table = read_tables(study)[1]
    one, two, three = table["participant_id"].unique()[:3]
    for who in (one, two):
        folder = study / "derivatives" / "qupath" / who
        folder.mkdir(parents=True)
        first = table.loc[table["participant_id"] == who, "sample_id"].iloc[0]
        (folder / f"{first}_annotations.tsv").write_text("a\tb\n")

    def shown() -> str:
        prepare.prepare_study(study)
        (chosen,) = needs.shown_patients("08_one_patient")
        assert needs.shown_step_by_step() == {chosen}
        return chosen

    name_case(study, two)
    assert shown() == two  # nobody has images
    put_images(study, three, *RAW)
    assert shown() == three
    put_images(study, two, *RAW)
    assert shown() == two
    put_images(study, one, *RAW)
    assert shown() == two
    assert needs.shown_patients("07_cases") == [two]
    add_reasons(study, "exclude_reason", {two: "late"})
    assert shown() == one
    assert needs.shown_patients("07_cases") == []


def name_case(study: Path, who: str) -> None:
    """Make the first sample of a patient the only case."""

    def name(rows: list[list[str]]) -> None:
        place, owner = rows[0].index("case"), rows[0].index("participant_id")
        found = next(row for row in rows[1:] if row[owner] == who)
        for row in rows[1:]:
            row[place] = "fig3a" if row is found else "n/a"

    rewrite(study / "samples.tsv", name)


@pytest.mark.parametrize("images", [True, False])
def test_folders_of_nobody_are_looked_for_once(project, study, monkeypatch, capsys, images):
    if images:
        put_images(study, "sub-01", *RAW)
    (study / "sourcedata").mkdir()
    found = []

    def count(*arguments):
        found.append(unknown_patients(*arguments))
        return found[-1]

    monkeypatch.setattr(survey, "unknown_patients", count)
    prepare.prepare_study(study)
    assert len(found) == 1
    assert "1: sourcedata" in capsys.readouterr().out
