import pytest
import yaml

from leeward.stack.clusters import ChoiceError, chosen, identities
from shared.contracts.ids import is_cluster_id


@pytest.fixture
def kubeconfig(tmp_path):
    path = tmp_path / "config"
    names = ["kind-eu1", "arn:aws:eks:eu-west-1:1234:cluster/Prod_2", "team=blue"]
    path.write_text(yaml.safe_dump({"contexts": [{"name": name} for name in names], "current-context": "kind-eu1"}))
    return path


def test_a_context_becomes_a_cluster_whose_id_is_a_dns_label(kubeconfig):
    eu1, eks = chosen(kubeconfig, ["kind-eu1", "arn:aws:eks:eu-west-1:1234:cluster/Prod_2"], "velero")
    assert (eu1.id, eu1.context, eu1.kubeconfig) == ("kind-eu1", "kind-eu1", kubeconfig)
    assert eks.id == "arn-aws-eks-eu-west-1-1234-cluster-prod-2"
    assert eks.context == "arn:aws:eks:eu-west-1:1234:cluster/Prod_2"


def test_a_person_may_name_a_cluster(kubeconfig):
    (cluster,) = chosen(kubeconfig, ["prod=arn:aws:eks:eu-west-1:1234:cluster/Prod_2"], "backup")
    assert (cluster.id, cluster.namespace) == ("prod", "backup")


def test_a_context_with_such_a_sign_in_its_name_is_found(kubeconfig):
    (cluster,) = chosen(kubeconfig, ["team=blue"], "velero")
    assert (cluster.id, cluster.context) == ("team-blue", "team=blue")


def test_without_a_choice_it_is_the_current_context(kubeconfig):
    assert [c.context for c in chosen(kubeconfig, [], "velero")] == ["kind-eu1"]


def test_the_usual_kubeconfig_is_found(kubeconfig, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", f"{kubeconfig}:/nowhere")
    assert chosen(None, [], "velero")[0].kubeconfig == kubeconfig


@pytest.mark.parametrize(
    ("contexts", "words"),
    [
        (["nowhere"], "has no context 'nowhere'; it has kind-eu1"),
        (["kind-eu1", "kind-eu1"], "given twice"),
        (["Prod!=kind-eu1"], "no id for a cluster"),
        (["a=kind-eu1", "a=team=blue"], "given twice"),
    ],
)
def test_a_choice_that_cannot_be_is_refused_in_words(kubeconfig, contexts, words):
    with pytest.raises(ChoiceError, match=words):
        chosen(kubeconfig, contexts, "velero")


@pytest.mark.parametrize(
    ("text", "words"), [(None, "cannot be read"), ("- 1", "is not a kubeconfig"), ("{}", "no current context")]
)
def test_a_file_that_is_no_kubeconfig_is_refused_in_words(tmp_path, text, words):
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ChoiceError, match=words):
        chosen(path, [], "velero")


def test_names_that_become_one_label_stay_two_clusters():
    names = identities([(None, "Prod"), (None, "prod"), (None, "prod-"), (None, "x" * 80), (None, "x" * 90), (None, "日本")])
    assert len(set(names.values())) == 6
    assert all(is_cluster_id(name) for name in names.values()), names
