# SPDX-License-Identifier: Apache-2.0
"""`Worker`: one job at a time, errors told, a hanging job left behind."""

import threading

import pytest

from mu0_ros.worker import Worker


@pytest.fixture
def errors():
    return []


@pytest.fixture
def worker(errors):
    worker = Worker("test", errors.append)
    yield worker
    worker.close()


def wait_idle(worker):
    done = threading.Event()
    while worker.busy:
        done.wait(0.005)


def test_a_second_job_is_refused_while_one_runs(worker):
    begin, ran = threading.Event(), []
    assert worker.try_start(lambda: begin.wait(5.0))
    assert worker.busy and not worker.try_start(lambda: ran.append(1))
    begin.set()
    wait_idle(worker)
    assert worker.try_start(lambda: ran.append(2))
    wait_idle(worker)
    assert ran == [2]


def test_jobs_share_one_thread_and_survive_an_error(worker, errors):
    threads = []

    def fail():
        threads.append(threading.get_ident())
        raise ValueError("x")

    for _ in range(3):
        assert worker.try_start(fail)
        wait_idle(worker)
    assert len(set(threads)) == 1 and [type(e) for e in errors] == [ValueError] * 3


def test_an_abandoned_job_does_not_disturb_the_next(worker):
    hang, ran = threading.Event(), []
    worker.try_start(lambda: hang.wait(5.0))
    worker.abandon()
    assert worker.busy_s == 0.0
    second = threading.Event()
    assert worker.try_start(lambda: (ran.append(1), second.wait(5.0)))
    hang.set()  # the first one ends while the second runs: it must not be taken for its end
    threading.Event().wait(0.05)
    assert worker.busy and ran == [1]
    second.set()
    wait_idle(worker)
