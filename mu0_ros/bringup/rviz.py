# SPDX-License-Identifier: Apache-2.0
"""``config/rviz/mu0.rviz`` for another namespace, another arm, another camera."""

from __future__ import annotations

from pathlib import Path

from mu0_core.paths import config_file
from mu0_ros.bringup.cameras import camera_topics
from mu0_ros.bringup.plan import Process
from mu0_ros.bringup.request import Request

_NAMESPACE, _FRAME, _PREFIX = "/mu0/", "Fixed Frame: fr3_link0", 'TF Prefix: ""'
_COLOUR = "color/image_raw"


def rviz_config(request: Request) -> str:
    """Return the text of the configuration for a request."""
    colour = request.absolute(request.driver_topic(camera_topics(request.camera)[_COLOUR]))
    text = config_file("rviz/mu0.rviz").read_text()
    text = text.replace(f"{_NAMESPACE}{_COLOUR}", "@colour@")
    text = text.replace(_NAMESPACE, request.absolute("")).replace("@colour@", colour)
    base = request.frame_prefix + request.robot.base_frame
    prefix = request.frame_prefix.rstrip("/")  # RViz puts the slash itself
    return text.replace(_FRAME, f"Fixed Frame: {base}").replace(_PREFIX, f'TF Prefix: "{prefix}"')


def plan_rviz(request: Request, folder: Path) -> Process:
    """Write the configuration into a folder and return the process that shows it."""
    path = folder / "mu0.rviz"
    path.write_text(rviz_config(request))
    return Process(
        "rviz2",
        "rviz2",
        "rviz",
        request.namespace,
        parameters={"use_sim_time": request.use_sim_time},
        remappings={} if request.clock == "/clock" else {"/clock": request.clock},
        arguments=("-d", str(path)),
    )
