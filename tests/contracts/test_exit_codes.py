"""The exit codes of the command line, as promised."""

import pytest

from netwright import errors

EXIT_CODES = {
    "NetwrightError": 1,
    "InputError": 2,
    "RecipeError": 2,
    "DataError": 2,
    "WeightsError": 2,
    "MachineError": 4,
    "Interrupted": 5,
    "WorkFailed": 6,
}


def error_classes() -> dict[str, type[errors.NetwrightError]]:
    found = [errors.NetwrightError]
    for error in found:
        found += error.__subclasses__()
    return {error.__name__: error for error in found if error.__module__.startswith("netwright.")}


@pytest.mark.parametrize(("name", "exit_code"), EXIT_CODES.items())
def test_error_has_its_exit_code(name: str, exit_code: int) -> None:
    assert getattr(errors, name).exit_code == exit_code


def test_every_error_is_in_the_list() -> None:
    assert set(error_classes()) == set(EXIT_CODES)
