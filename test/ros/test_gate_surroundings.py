# SPDX-License-Identifier: Apache-2.0
"""Point clouds and files of obstacles are read strictly; parameters reach the gate."""

import numpy as np
import pytest
from sensor_msgs.msg import PointCloud2, PointField

from mu0_core.control.gate_settings import GateSettings
from mu0_core.errors import ConfigError, ObservationError
from mu0_core.robot.description import load_robot
from mu0_ros.conversions.point_cloud import points_from_cloud
from mu0_ros.gate_parameters import SafetyGateParameters
from mu0_ros.gate_surroundings import scene_points
from mu0_ros.obstacles import obstacles_from_file

POINTS = np.array([[0.1, 0.2, 0.3], [np.nan, 0, 0], [1.0, -1.0, 0.5]], dtype=np.float32)


def cloud(points: np.ndarray = POINTS, names: str = "xyz", step: int = 16) -> PointCloud2:
    """Return a cloud with a gap after each point, as drivers lay it out."""
    message = PointCloud2(height=1, width=len(points), point_step=step)
    message.row_step = step * len(points)
    message.fields = [
        PointField(name=n, offset=4 * k, datatype=PointField.FLOAT32, count=1)
        for k, n in enumerate(names)
    ]
    data = np.zeros((len(points), step // 4), dtype=np.float32)
    data[:, :3] = points
    message.data = data.tobytes()
    message.header.frame_id = "fr3_link0"
    message.header.stamp.sec = 5
    return message


def test_finite_points_are_read_whatever_lies_between_them():
    np.testing.assert_allclose(points_from_cloud(cloud()), POINTS[[0, 2]], atol=1e-7)
    assert points_from_cloud(cloud(POINTS[:0])).shape == (0, 3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"names": "xyi"}, r"fields \['z'\]"),
        ({"width": 10}, "makes no sense"),
        ({"row_step": 7}, "makes no sense"),
        ({"point_step": 8}, "makes no sense"),
        ({"data": b"1234"}, "has 4 bytes"),
        ({"is_bigendian": True}, "little-endian"),
    ],
)
def test_a_malformed_cloud_is_refused(change, reason):
    message = cloud(names=change.pop("names", "xyz"))
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(ObservationError, match=reason):
        points_from_cloud(message)


def test_points_of_the_scene_are_thinned_and_stamped():
    points, radius_m, stamp_ns = scene_points(cloud(), load_robot("fr3"), 0.02)
    assert len(points) == 2 and radius_m > 0.02 and stamp_ns == 5 * 10**9


def test_points_in_another_frame_are_refused_by_name():
    message = cloud()
    message.header.frame_id = "camera"
    with pytest.raises(ObservationError, match="'camera'.*'fr3_link0'"):
        scene_points(message, load_robot("fr3"), 0.02)
    message.header.frame_id = "left/fr3_link0"
    assert len(scene_points(message, load_robot("fr3"), 0.02)[0]) == 2


@pytest.mark.parametrize("text", ["", "boxes: 3", "crates: []", "boxes: [{name: x}]", "{"])
def test_a_file_of_obstacles_that_makes_no_sense_is_refused(tmp_path, text):
    path = tmp_path / "obstacles.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="obstacle"):
        obstacles_from_file(str(path))


def test_no_file_no_obstacles():
    assert obstacles_from_file("") == ()
    with pytest.raises(ConfigError, match="missing.yaml"):
        obstacles_from_file("/missing.yaml")


def test_parameters_reach_the_gate():
    assert SafetyGateParameters().gate_settings() == GateSettings()
    given = SafetyGateParameters(points_topic="points", speed_scale=0.2, arming_s=1.0)
    settings = given.gate_settings()
    assert settings.require_points and (settings.speed_scale, settings.arming_s) == (0.2, 1.0)
