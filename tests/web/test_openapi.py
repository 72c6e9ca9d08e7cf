"""Schemathesis reads our OpenAPI document and asks whatever it allows, and what it does not."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.web.conftest import leaks, serving

schemathesis = pytest.importorskip(
    "schemathesis", reason="schemathesis is not installed; pip install 'netwright[test]'"
)


@pytest.mark.parametrize("examples", [8, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("served", "num"), [("bundle", 6), ("mask_bundle", 5), ("row_bundles", 5)])
def test_every_answer_is_one_that_the_document_names(
    served: str, num: int, examples: int, request: pytest.FixtureRequest
) -> None:
    """No 5xx but the documented 503, the documented statuses, types and bodies, and no path or stack in any of them."""
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    found = request.getfixturevalue(served)
    with serving(found["classes"] if isinstance(found, dict) else found) as (client, _):
        schema = schemathesis.openapi.from_url(f"{client.base_url}/openapi.json")
        operations = [each.ok() for each in schema.get_all_operations()]
        assert len(operations) == num
        for operation in operations:
            modes = list(schemathesis.GenerationMode)
            if operation.method != "post":  # nothing can be wrong about a request without input
                modes.remove(schemathesis.GenerationMode.NEGATIVE)
            for mode in modes:

                @settings(
                    max_examples=examples, deadline=None, database=None, derandomize=True,
                    phases=[Phase.generate], suppress_health_check=list(HealthCheck),
                )  # fmt: skip
                @given(case=operation.as_strategy(generation_mode=mode))
                def ask(case: schemathesis.Case) -> None:
                    # bytes drawn at random fit the document and are no picture
                    answer = case.call_and_validate(excluded_checks=[positive_data_acceptance])
                    assert not leaks(answer.content.decode(errors="replace"))

                ask()
