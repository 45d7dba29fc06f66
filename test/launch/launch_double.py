# SPDX-License-Identifier: Apache-2.0
"""A strict stand-in for the few names of `launch` and `launch_ros` that our launch files use.

An unknown keyword is a TypeError, an unknown configuration a KeyError. It shows what would be started;
it cannot show that the real launch accepts the file, so the real one is used where it is installed.
"""

from __future__ import annotations

import sys
from types import ModuleType


class DeclareLaunchArgument:
    """An argument with a default and a description."""

    def __init__(self, name, *, default_value=None, description=None, choices=None):
        self.name, self.default_value = name, default_value
        self.description, self.choices = description, choices


class LaunchConfiguration:
    """The value of an argument."""

    def __init__(self, name):
        self.name = name

    def resolve(self, values):
        return values[self.name]


class ParameterValue:
    """A configuration with a type."""

    def __init__(self, value, *, value_type):
        self.value, self.value_type = value, value_type

    def resolve(self, values):
        text = resolve(self.value, values)
        if self.value_type is bool:
            return {"true": True, "false": False}[text.lower()]
        return self.value_type(text)


class SetEnvironmentVariable:
    """An environment variable of all processes that follow."""

    def __init__(self, name, value):
        self.name, self.value = name, value


class Node:
    """One process."""

    def __init__(self, *, package, executable, name, namespace="", parameters=(), remappings=(),
                 output="log", condition=None):
        self.package, self.executable, self.name = package, executable, name
        self.namespace, self.parameters = namespace, list(parameters)
        self.remappings, self.output, self.condition = list(remappings), output, condition


class LaunchDescription:
    """A list of actions."""

    def __init__(self, entities):
        self.entities = list(entities)


def resolve(value, values):
    """Return the value of a substitution, or the value itself."""
    return value.resolve(values) if hasattr(value, "resolve") else value


def install(share, monkeypatch):
    """Put the double in place of `launch`, `launch_ros` and the share directory of mu0."""
    def module(name, **members):
        made = ModuleType(name)
        made.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, made)

    module("launch", LaunchDescription=LaunchDescription)
    module("launch.actions", DeclareLaunchArgument=DeclareLaunchArgument,
           SetEnvironmentVariable=SetEnvironmentVariable)
    module("launch.substitutions", LaunchConfiguration=LaunchConfiguration)
    module("launch_ros")
    module("launch_ros.actions", Node=Node)
    module("launch_ros.parameter_descriptions", ParameterValue=ParameterValue)
    module("ament_index_python")
    module("ament_index_python.packages", get_package_share_directory=lambda name: str(share))
