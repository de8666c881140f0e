"""Registries of composites, rules, attributors and their parameters, as data.

They drive the schema of requests, `/models`, the command line and the tests. `service.lrp` maps
each rule and attributor to code; adding a composite is one entry in `service.methods.composites`.
"""

from service.methods.attributors import (
    ATTRIBUTORS,
    DEFAULT_ATTRIBUTOR,
    MAX_WINDOWS,
    SAMPLES_OF,
    STARTS,
    Attributor,
    Start,
)
from service.methods.composites import COMPOSITES, DEFAULT_COMPOSITE, PLAIN, Composite
from service.methods.method import CUSTOM, INPUT, Method, Rules, all_parameters, make_method
from service.methods.parameters import Kind, Parameter, Value
from service.methods.rules import RULES, TYPES, Assignment, Rule, parse_rules

__all__ = [
    "ATTRIBUTORS",
    "COMPOSITES",
    "CUSTOM",
    "DEFAULT_ATTRIBUTOR",
    "DEFAULT_COMPOSITE",
    "INPUT",
    "MAX_WINDOWS",
    "PLAIN",
    "RULES",
    "SAMPLES_OF",
    "STARTS",
    "TYPES",
    "Assignment",
    "Attributor",
    "Composite",
    "Kind",
    "Method",
    "Parameter",
    "Rule",
    "Rules",
    "Start",
    "Value",
    "all_parameters",
    "make_method",
    "parse_rules",
]
