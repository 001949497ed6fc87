"""`viba reproduce`: a finished run beside the reference run of its profile."""

from pathlib import Path

import typer

from viba_lib.cli.options import STUDY, OpenStudy, described, print_rows


@described(*STUDY)
def reproduce(
    open_study: OpenStudy, reference: Path | None = None, write: Path | None = None
) -> None:
    """Compare the numbers of a finished run with a reference run. Trains and explains nothing.

    Exit status 0 if every compared number lies in the reference's 95 % interval, 1 if one lies
    outside, 2 if there is no finished run or no valid reference. Missing numbers are named and do
    not change it.

    Parameters
    ----------
    reference : Reference run. Default: the one of the profile that comes with the library.
    write : Write the numbers of this run as a reference run to this file.
    """
    from viba_lib.core.errors import VibaError
    from viba_lib.experiments import reference_run, reproduction

    study = open_study()
    profile = study.profile.name
    given = reference_run.read_reference(reference) if reference else None
    given = given or reference_run.stored_reference(profile)
    if given is None and write is None:
        raise VibaError(
            f"no reference run of profile {profile!r} comes with the library; name one with "
            "--reference FILE, or write this run's with --write FILE"
        )
    if given is not None:
        reproduction.check_profile(profile, given)
    run = reproduction.finished_run(study)
    if write is not None:
        print(f"written to {reference_run.write_reference(write, run)}")
    if given is None:
        print(f"no reference run of profile {profile!r} is stored, so nothing is compared")
        return
    compared = reproduction.compare(run, given)
    columns = "number | reference | low | high | this run | result"
    cells = (
        "{table}, {row}, {measure} | {value:.4g} | {low:.4g} | {high:.4g} | {run:.4g} | {result}"
    )
    print_rows(compared.to_dict("records"), columns, cells)
    print(reproduction.origin_text(run.about, given.about))
    print(reproduction.reproduction_text(compared))
    if (compared.result == reproduction.OUTSIDE).any():
        raise typer.Exit(1)
