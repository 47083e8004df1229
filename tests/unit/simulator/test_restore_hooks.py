"""Hooks of a restore: what they add to a pod, and what is to be run in one."""

import pytest

from simulator.velero.restore_hooks import Command, commands, hook_errors, prepared

FIRST = {"name": "first", "image": "i", "command": ["true"]}
POD = {"metadata": {"name": "web", "labels": {"app": "web"}}, "spec": {"containers": [{"name": "main"}, {"name": "side"}]}}


def hooks(*steps, **selectors):
    return {"hooks": {"resources": [{"name": "h", "postHooks": list(steps), **selectors}]}}


def annotated(**annotations):
    told = {f"{kind}.hook.restore.velero.io/{key}": value for kind, each in annotations.items() for key, value in each.items()}
    return {**POD, "metadata": {**POD["metadata"], "annotations": told}}


@pytest.mark.parametrize(
    ("selectors", "added"),
    [
        ({}, True),
        ({"includedNamespaces": ["there"]}, True),
        ({"includedNamespaces": ["here"]}, False),
        ({"excludedNamespaces": ["there"]}, False),
        ({"labelSelector": {"matchLabels": {"app": "web"}}}, True),
        ({"labelSelector": {"matchLabels": {"app": "db"}}}, False),
    ],
)
def test_init_containers_come_first_in_pods_that_go_where_the_hook_is_for(selectors, added):
    pod = {**POD, "spec": {**POD["spec"], "initContainers": [{"name": "own"}]}}
    found = prepared(pod, hooks({"init": {"initContainers": [FIRST]}}, **selectors), "there")
    assert [each["name"] for each in found["spec"]["initContainers"]] == ["first", "own"][not added :]


def test_annotations_come_before_the_hooks_of_the_spec():
    spec = hooks({"init": {"initContainers": [FIRST]}}, {"exec": {"command": ["a"], "waitTimeout": "2s"}})
    pod = annotated(
        init={"container-image": "i", "container-name": "noted"},
        post={"command": "b", "container": "side", "wait-timeout": "1m"},
    )
    assert [each["name"] for each in prepared(pod, spec, "there")["spec"]["initContainers"]] == ["noted"]
    assert commands(pod, spec, "there") == [Command("<from-annotation>", "side", "there", "web", 60.0)]


def test_a_command_is_for_the_first_container_unless_it_names_one_that_is_there():
    run = {"command": ["a"], "waitTimeout": "2s"}
    spec = hooks({"exec": run}, {"exec": {**run, "container": "side"}}, {"exec": {**run, "container": "none"}})
    assert [each.container for each in commands(POD, spec, "there")] == ["main", "side"]
    assert commands(POD, hooks({"exec": {"command": ["a"]}}), "there")[0].patience == 600.0


@pytest.mark.parametrize("missing", ["name", "image", "command"])
def test_a_container_of_an_init_hook_needs_name_image_and_command(missing):
    container = {key: value for key, value in FIRST.items() if key != missing}
    assert len(list(hook_errors(hooks({"init": {"initContainers": [container, FIRST]}})))) == 1
