# SPDX-License-Identifier: Apache-2.0
"""A strict stand-in for the few names of `launch` and `launch_ros` that our launch files use.

An unknown keyword is a TypeError, an unknown configuration a KeyError. It shows what would be
started, with the parameter files that launch_ros would write; it cannot show that the real launch
accepts the file.
"""

from __future__ import annotations

import sys
from types import ModuleType

import yaml


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
        if self.value_type is str and not isinstance(text, str):
            raise TypeError(f"{text!r} is not a text")
        if self.value_type is bool:
            return {"true": True, "false": False}[text.lower()]
        return self.value_type(text)


class SetEnvironmentVariable:
    """An environment variable of all processes that follow."""

    def __init__(self, name, value):
        self.name, self.value = name, value


class LaunchContext:
    """The values of all arguments."""

    def __init__(self, values):
        self.launch_configurations = dict(values)


class OpaqueFunction:
    """A function of the context that returns further actions."""

    def __init__(self, *, function):
        self.function = function


class Node:
    """One process."""

    def __init__(
        self,
        *,
        package,
        executable,
        name,
        namespace="",
        parameters=(),
        remappings=(),
        arguments=(),
        output="log",
        condition=None,
    ):
        self.package, self.executable, self.name = package, executable, name
        self.namespace, self.parameters = namespace, list(parameters)
        self.remappings, self.output, self.condition = list(remappings), output, condition
        self.cli_arguments = list(arguments)
        assert all(isinstance(word, str) for word in self.cli_arguments)

    def arguments(self, values, folder):
        """Return the ROS arguments of the process; dictionaries become files as in launch_ros."""
        namespace = resolve(self.namespace, values)
        result = ["--ros-args", "-r", f"__node:={self.name}", "-r", f"__ns:=/{namespace}"]
        for number, entry in enumerate(self.parameters):
            file = resolve(entry, values)
            if isinstance(entry, dict):
                own = {name: resolve(value, values) for name, value in entry.items()}
                file = folder / f"{self.name}_{number}.yaml"
                file.write_text(
                    yaml.safe_dump({f"/{namespace}/{self.name}": {"ros__parameters": own}})
                )
            result += ["--params-file", str(file)]
        for own, wire in self.remappings:
            result += ["-r", f"{own}:={wire}"]
        return result


class ExecuteProcess:
    """One command."""

    def __init__(self, *, cmd, output="log"):
        assert all(isinstance(word, str) for word in cmd)
        self.cmd, self.output = list(cmd), output


class PythonLaunchDescriptionSource:
    """A launch file by path."""

    def __init__(self, path):
        self.path = path


class IncludeLaunchDescription:
    """A launch file of another package, with arguments."""

    def __init__(self, source, *, launch_arguments=()):
        self.source, self.launch_arguments = source, dict(launch_arguments)


class LaunchDescription:
    """A list of actions."""

    def __init__(self, entities):
        self.entities = list(entities)


def resolve(value, values):
    """Return the value of a substitution, or the value itself."""
    return value.resolve(values) if hasattr(value, "resolve") else value


def execute(description, **given):
    """Return (values of all arguments, actions with those of opaque functions).

    Raises:
        KeyError: an argument that the description does not declare.
        ValueError: a value that is not among the choices.
    """
    declared = {a.name: a for a in description.entities if isinstance(a, DeclareLaunchArgument)}
    values = {name: argument.default_value for name, argument in declared.items()}
    for name, value in given.items():
        if declared[name].choices and value not in declared[name].choices:
            raise ValueError(f"{name}: {value!r} is not one of {declared[name].choices}")
        values[name] = value
    actions = []
    for entity in description.entities:
        opaque = isinstance(entity, OpaqueFunction)
        actions += entity.function(LaunchContext(values)) if opaque else [entity]
    return values, actions


def install(share, monkeypatch):
    """Put the double in place of `launch`, `launch_ros` and the share directory of mu0."""

    def module(name, **members):
        made = ModuleType(name)
        made.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, made)

    module("launch", LaunchContext=LaunchContext, LaunchDescription=LaunchDescription)
    module(
        "launch.actions",
        DeclareLaunchArgument=DeclareLaunchArgument,
        ExecuteProcess=ExecuteProcess,
        IncludeLaunchDescription=IncludeLaunchDescription,
        OpaqueFunction=OpaqueFunction,
        SetEnvironmentVariable=SetEnvironmentVariable,
    )
    module("launch.substitutions", LaunchConfiguration=LaunchConfiguration)
    module(
        "launch.launch_description_sources",
        PythonLaunchDescriptionSource=PythonLaunchDescriptionSource,
    )
    module("launch_ros")
    module("launch_ros.actions", Node=Node)
    module("launch_ros.parameter_descriptions", ParameterValue=ParameterValue)

    def found(name):
        return str(share) if name == "mu0" else f"/opt/ros/jazzy/share/{name}"

    module("ament_index_python")
    module("ament_index_python.packages", get_package_share_directory=found)
