# SPDX-License-Identifier: Apache-2.0
"""Tables that people write are read strictly; what is written can be read back by the nodes."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from mu0_core.calibration.hand_eye_file import parse_driver, write_mount, write_parameters
from mu0_core.calibration.table_file import read_numbers, read_poses
from mu0_core.errors import ConfigError, DataError
from mu0_core.geometry import se3
from mu0_core.testing.calibration_views import pose

HEAD = "image,x,y,z,qx,qy,qz,qw\n"


def test_csv_yaml_and_json_say_the_same(tmp_path):
    half = 0.5
    (tmp_path / "a.csv").write_text(f"{HEAD}0.png, 0.1,0.2,0.3, {half},{half},{half},{half}\n")
    entry = [{"image": "0.png", "xyz": [0.1, 0.2, 0.3], "quat_xyzw": [half] * 4}]
    (tmp_path / "b.yaml").write_text(yaml.safe_dump(entry))
    (tmp_path / "c.json").write_text(json.dumps(entry))
    found = [read_poses(tmp_path / n) for n in ("a.csv", "b.yaml", "c.json")]
    for poses in found:
        assert list(poses) == ["0.png"]
        np.testing.assert_allclose(poses["0.png"], found[0]["0.png"])
    np.testing.assert_allclose(found[0]["0.png"][:3, 0], [0, 1, 0], atol=1e-12)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("p.csv", "image,x,y\n", "no column z, qx"),
        ("p.csv", HEAD, "no rows"),
        ("p.csv", HEAD + "a.png,0,0,zero,0,0,0,1\n", "p.csv:2: z is 'zero'"),
        ("p.csv", HEAD + "a.png,0,0,nan,0,0,0,1\n", "finite"),
        ("p.csv", HEAD + "a.png,0,0,0,0,0,0,1\na.png,0,0,0,0,0,0,1\n", "'a.png' is empty or"),
        ("p.csv", HEAD + "a.png,0,0,0,0,0,0,2\n", "a.png: not a rigid transform"),
        ("p.yaml", "a: 1", "expected a list"),
        ("p.yaml", "- {image: a.png, xyz: [0, 0, 0]}", "entry 0.*quat_xyzw"),
        ("p.yaml", "- {image: a.png, xyz: [0, 0], quat_xyzw: [0, 0, 0, 1]}", "3 numbers in xyz"),
        ("p.yaml", "{", "cannot be read"),
    ],
)
def test_a_table_that_is_none_is_named_with_its_place(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=words):
        read_poses(tmp_path / name)


def test_a_missing_table_is_an_error(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_numbers(tmp_path / "nothing.csv", ["x"])


def test_the_parameter_file_is_the_pose_that_was_found(tmp_path):
    T = pose(np.array([0.5, -0.1, 0.6]), np.array([2.0, 1.0, 0.3]))
    record, parameters = write_mount(tmp_path, T, "base", "lens", {"mode": "x"}, still=True)
    values = yaml.safe_load(parameters.read_text())["/**"]["ros__parameters"]
    assert values["transform_source"] == "static" and values["camera_frame"] == "lens"
    numbers = np.array(values["camera_pose"])
    np.testing.assert_allclose(se3.from_quat_xyzw(numbers[:3], numbers[3:]), T, atol=1e-6)
    facts = yaml.safe_load(record.read_text())
    assert facts["mode"] == "x" and facts["parent_frame"] == "base"
    assert "--frame-id base --child-frame-id lens" in facts["static_transform"]["command"]


def test_a_camera_on_the_hand_has_no_parameter_file_and_its_driver_keeps_its_frame(tmp_path):
    T_hand_optical = pose(np.array([0.05, 0.0, 0.04]), np.array([0.1, 0.2, 1.5]))
    T_link_optical = pose(np.array([0.0, 0.015, 0.0]), np.array([-1.2, 1.2, -1.2]))
    driver = ("camera_link", T_link_optical)
    (record,) = write_mount(tmp_path, T_hand_optical, "tcp", "lens", {}, driver)
    told = yaml.safe_load(record.read_text())["static_transform"]
    assert (told["parent_frame"], told["child_frame"]) == ("tcp", "camera_link")
    T_hand_link = se3.from_quat_xyzw(told["xyz"], told["quat_xyzw"])
    np.testing.assert_allclose(T_hand_link @ T_link_optical, T_hand_optical, atol=1e-6)


def test_the_drivers_transform_is_parsed_or_refused():
    frame, T = parse_driver("camera_link:0,0.015,0,-0.5,0.5,-0.5,0.5")
    assert frame == "camera_link" and T[1, 3] == 0.015
    for text in ("camera_link", "camera_link:1,2,3", "x:0,0,0,0,0,0,2", ":0,0,0,0,0,0,1"):
        with pytest.raises(ConfigError, match="driver transform"):
            parse_driver(text)


def test_depth_parameters_reach_every_node(tmp_path):
    path = write_parameters(tmp_path / "d.yaml", "why", depth_scale=1.01, depth_offset_m=-0.002)
    values = yaml.safe_load(path.read_text())
    assert values == {"/**": {"ros__parameters": {"depth_scale": 1.01, "depth_offset_m": -0.002}}}
