"""Which cluster the tests get; never one that was merely current."""

from pathlib import Path

import pytest

from controlplane.errors import ControlPlaneError
from controlplane.origin import Kind, Origin, choose


@pytest.fixture
def everything(tmp_path: Path) -> dict[str, str]:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.touch()
    assets = tmp_path / "assets"
    assets.mkdir()
    return {
        "KEYWRIGHT_TEST_KUBECONFIG": str(kubeconfig),
        "KEYWRIGHT_TEST_KIND": "1",
        "KUBEBUILDER_ASSETS": str(assets),
        "KUBECONFIG": str(tmp_path / "production"),
    }


def test_the_order_is_given_then_kind_then_envtest_then_built(everything: dict[str, str]) -> None:
    kubeconfig, assets = Path(everything["KEYWRIGHT_TEST_KUBECONFIG"]), Path(everything["KUBEBUILDER_ASSETS"])

    assert choose(everything) == Origin(Kind.GIVEN, kubeconfig)
    del everything["KEYWRIGHT_TEST_KUBECONFIG"]
    assert choose(everything) == Origin(Kind.KIND)
    del everything["KEYWRIGHT_TEST_KIND"]
    assert choose(everything) == Origin(Kind.ENVTEST, assets)
    del everything["KUBEBUILDER_ASSETS"]
    assert choose(everything) == Origin(Kind.BUILT)


@pytest.mark.parametrize("value", ["", "0", "false"])
def test_kind_is_used_only_where_it_was_asked_for(value: str) -> None:
    assert choose({"KEYWRIGHT_TEST_KIND": value}) == Origin(Kind.BUILT)


@pytest.mark.parametrize("variable", ["KEYWRIGHT_TEST_KUBECONFIG", "KUBEBUILDER_ASSETS"])
def test_a_named_cluster_that_is_not_there_is_an_error_and_no_fall_through(
    variable: str, tmp_path: Path
) -> None:
    with pytest.raises(ControlPlaneError, match=variable):
        choose({variable: str(tmp_path / "gone")})
