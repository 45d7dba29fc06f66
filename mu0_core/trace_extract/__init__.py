# SPDX-License-Identifier: Apache-2.0
"""TraceExtract: raw video, RGB-D folders, bags and LeRobot data sets become 3D-trace episodes.

``sources`` read clips, ``stages`` turn a clip into records (one pure function each), ``backends``
are the models behind the stages, ``pipeline`` puts them together.
"""
