# SPDX-License-Identifier: Apache-2.0
"""Traces for people: markers, point cloud and image overlay, each only while somebody subscribes.

It reads `TraceArray` and colour images and has no influence on the loop. The colour topic is
subscribed to only while the overlay is wanted, so an idle visualizer costs nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from mu0.msg import TraceArray
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from mu0_core.errors import ObservationError
from mu0_core.evaluation.overlay import draw_forecast
from mu0_core.observation.image_raster import rgb_from_image
from mu0_core.types import CameraIntrinsics, TraceForecast
from mu0_ros import qos
from mu0_ros.conversions.camera import intrinsics_from_info
from mu0_ros.conversions.image import image_from_rgb
from mu0_ros.conversions.stamp import ns_from_stamp
from mu0_ros.conversions.trace import forecast_from_msg
from mu0_ros.lifecycle import Mu0LifecycleNode
from mu0_ros.markers import trace_cloud, trace_markers
from mu0_ros.node_process import run
from mu0_ros.params import parameter


@dataclass(frozen=True)
class VisualizerParameters:
    """Parameters of the node."""

    num_samples: int = parameter(33, "points on each trace of markers and cloud", low=2, high=257)
    max_rate_hz: float = parameter(5.0, "forecasts shown at most", unit="Hz", low=0.1, high=30.0)
    kept_images: int = parameter(
        40, "colour images kept to find the one that a forecast was made from", low=1, high=200
    )


class VisualizerNode(Mu0LifecycleNode):
    """Shows every forecast to whoever looks."""

    def __init__(self) -> None:
        super().__init__("visualizer", VisualizerParameters)

    def setup(self) -> None:
        """Make publishers and the cheap subscriptions."""
        self._camera: CameraIntrinsics | None = None
        self._images: OrderedDict[int, Image] = OrderedDict()
        self._colour: Subscription | None = None
        self._shown_s = -1e9
        self._markers = self.create_lifecycle_publisher(MarkerArray, "traces/markers", qos.NEWEST)
        self._points = self.create_lifecycle_publisher(PointCloud2, "traces/points", qos.NEWEST)
        self._overlay = self.create_lifecycle_publisher(Image, "traces/overlay", qos.NEWEST)
        self.create_subscription(
            TraceArray, "traces", self.guard("traces", self._on_traces), qos.NEWEST
        )
        self.create_subscription(
            CameraInfo, "color/camera_info", self.guard("camera_info", self._on_info), qos.SENSOR
        )
        self.create_timer(0.2, self.guard("look", self._follow_interest), clock=self.steady)

    def halt(self) -> None:
        """Let go of the images."""
        self._follow_interest()

    def _wanted(self, publisher) -> bool:
        return self.active and publisher.get_subscription_count() > 0

    def _follow_interest(self) -> None:
        """Subscribe to colour images exactly while somebody subscribes to the overlay."""
        wanted = self._wanted(self._overlay)
        if wanted and self._colour is None:
            self._colour = self.create_subscription(
                Image, "color/image_raw", self.guard("color", self._on_colour), qos.SENSOR
            )
        elif not wanted and self._colour is not None:
            self.destroy_subscription(self._colour)
            self._colour = None
            self._images.clear()

    def _on_info(self, message: CameraInfo) -> None:
        if self._wanted(self._overlay):
            self._camera = intrinsics_from_info(message)

    def _on_colour(self, message: Image) -> None:
        self._images[ns_from_stamp(message.header.stamp)] = message
        while len(self._images) > self.settings.kept_images:
            self._images.popitem(last=False)

    def _on_traces(self, message: TraceArray) -> None:
        publishers = (self._markers, self._points, self._overlay)
        wanted = [self._wanted(publisher) for publisher in publishers]
        now_s = self.steady_s()
        if not any(wanted) or now_s - self._shown_s < 1.0 / self.settings.max_rate_hz:
            return
        self._shown_s = now_s
        forecast, count = forecast_from_msg(message), self.settings.num_samples
        if wanted[0]:
            self._markers.publish(trace_markers(forecast, message.header, count))
        if wanted[1]:
            self._points.publish(trace_cloud(forecast, message.header, count))
        if wanted[2]:
            self._overlay.publish(self._draw(forecast))

    def _draw(self, forecast: TraceForecast) -> Image:
        """Return the image of a forecast with its traces.

        Raises:
            ObservationError: that image is not among those kept, or there is no camera_info.
        """
        image = self._images.get(forecast.stamp_ns)
        if image is None or self._camera is None:
            raise ObservationError(
                f"no colour image of stamp {forecast.stamp_ns} among {len(self._images)} kept"
                if image is None
                else "no camera_info yet"
            )
        message = image_from_rgb(draw_forecast(rgb_from_image(image), forecast, self._camera))
        message.header = image.header
        return message


def main() -> None:
    """Run the node."""
    raise SystemExit(run(VisualizerNode))


if __name__ == "__main__":
    main()
