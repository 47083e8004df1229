"""The rules for names, label keys and label values, with the sentences of k8s.io/apimachinery (pkg/util/validation)."""

import re

_LONGEST_LABEL = 63
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_NAME = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_NAME})?"

_BAD_LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    f"alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_BAD_SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
    f"with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_BAD_NAME = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    f"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_NAME}')"
)
_BAD_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    f"with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '{_VALUE}')"
)


def subdomain_problems(name: str) -> list[str]:
    """Say what keeps a text from being a DNS-1123 subdomain."""
    return _too_long(name, 253) or _unless(re.fullmatch(_SUBDOMAIN, name), _BAD_SUBDOMAIN)


def label_problems(name: str) -> list[str]:
    """Say what keeps a text from being a DNS-1123 label."""
    if "." in name:
        return ["must not contain dots"]
    return _too_long(name, _LONGEST_LABEL) or _unless(re.fullmatch(_LABEL, name), _BAD_LABEL)


def qualified_name_problems(key: str) -> list[str]:
    """Say what keeps a text from being a key of labels or annotations, or a finalizer."""
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        example = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        return [f"a valid label key {_BAD_NAME} {example}"]
    if slash and not prefix:
        return ["prefix part must be non-empty"]
    problems = [f"prefix part {problem}" for problem in subdomain_problems(prefix)] if slash else []
    if not name:
        return [*problems, "name part must be non-empty"]
    if len(name) > _LONGEST_LABEL:
        problems.append("name part must be no more than 63 bytes")
    return problems + _unless(re.fullmatch(_NAME, name), f"name part {_BAD_NAME}")


label_key_problems = qualified_name_problems


def label_value_problems(value: str) -> list[str]:
    """Say what keeps a text from being the value of a label."""
    too_long = ["must be no more than 63 bytes"] if len(value) > _LONGEST_LABEL else []
    return too_long + _unless(re.fullmatch(_VALUE, value), _BAD_VALUE)


def _too_long(name: str, most: int) -> list[str]:
    return [f"must be no more than {most} characters"] if len(name) > most else []


def _unless(fine: object, problem: str) -> list[str]:
    return [] if fine else [problem]
