# SPDX-License-Identifier: Apache-2.0
"""Every error that mu0 raises on purpose. A leaf module: it imports nothing of the project.

A user can fix a `Mu0Error`; its message names the value and what is allowed. Anything else that
escapes is a defect. `code` is the name of the constant in ``msg/ErrorCode.msg`` that the ROS shell
reports for the error.
"""


class Mu0Error(Exception):
    """Base of all errors raised on purpose."""

    code = "UNKNOWN"


class ConfigError(Mu0Error, ValueError):
    """A configuration value is missing, unknown or out of range."""

    code = "INVALID_REQUEST"


class ShapeError(Mu0Error, ValueError):
    """An array has the wrong shape or dtype."""

    code = "INVALID_REQUEST"


class DataError(Mu0Error, ValueError):
    """A file or record of a data set is broken."""

    code = "INVALID_REQUEST"


class SourceError(DataError):
    """A video, bag, folder or data set cannot be turned into clips."""


class RequestError(Mu0Error, ValueError):
    """A task request cannot be served as it stands."""

    code = "INVALID_REQUEST"


class ModelError(Mu0Error):
    """A model cannot be loaded or used."""

    code = "MODEL_LOAD_FAILED"


class ModelIntegrityError(ModelError):
    """A checkpoint differs from what its manifest or configuration promises."""

    code = "MODEL_INTEGRITY_FAILED"


class UnknownModelError(ModelError):
    """A model id is not in the registry."""

    code = "UNKNOWN_MODEL"


class MissingWeightsError(ModelError):
    """A package that carries pretrained weights is absent; the message has the command to run."""

    code = "MODEL_LOAD_FAILED"


class ObservationError(Mu0Error, ValueError):
    """An observation cannot be used: encoding, shape, calibration, non-finite numbers."""

    code = "OBSERVATION_INVALID"


class StaleObservationError(ObservationError):
    """An observation is older than allowed."""

    code = "OBSERVATION_STALE"


class TransformError(Mu0Error):
    """A frame is unknown or not connected at the wanted time."""

    code = "TRANSFORM_UNAVAILABLE"


class NoQueryPointsError(Mu0Error, ValueError):
    """No usable query point is left."""

    code = "NO_QUERY_POINTS"


class InferenceError(Mu0Error):
    """The model failed on a valid input."""

    code = "INFERENCE_FAILED"


class NonFiniteOutputError(InferenceError):
    """The model produced NaN or infinity."""

    code = "NON_FINITE_OUTPUT"


class UnclearTraceError(InferenceError):
    """Traces show no motion that an arm could make of them; the message says why."""


class KinematicsError(Mu0Error):
    """Inverse kinematics found no solution within tolerance and limits."""

    code = "NO_IK_SOLUTION"


class PlanningError(Mu0Error):
    """A motion leads through something, or no way around was found; the message says what."""

    code = "COLLISION_PREDICTED"


class PlannerUnavailableError(Mu0Error):
    """A planner is not installed, does not answer or has died; nothing else takes its place."""

    code = "NOT_READY"


class TrajectoryError(Mu0Error, ValueError):
    """A joint trajectory breaks the rules of the controller that received it."""

    code = "CONTROLLER_REJECTED"


class SimulationError(Mu0Error):
    """The simulator cannot do what was asked (scene, renderer, task name)."""

    code = "UNKNOWN"
