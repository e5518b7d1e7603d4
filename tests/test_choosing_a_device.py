"""Which device is taken, and why; the number of threads."""

import re

import pytest
from device_cases import (
    dev,  # noqa: F401
    sentence,
)

from dcgan_cupy import device as devices
from dcgan_cupy.device import CpuDevice, gpu


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(gpu, "why_not", lambda: "the GPU is on holiday")


def test_auto_without_a_gpu_is_the_cpu_and_says_why(no_gpu):
    dev = devices.get("auto", threads=1)
    assert dev.kind == "cpu" and dev.reason == "the GPU is on holiday"
    assert re.fullmatch(r"CPU, .+, 1 thread, .+ \(.+\)", dev.description)


def test_a_gpu_that_is_not_there(no_gpu):
    with sentence("device: gpu: need a CUDA device, got none: the GPU is on holiday"):
        devices.get("gpu")


def test_auto_takes_the_gpu_that_answers():
    if missing := gpu.why_not():
        pytest.skip(missing)
    dev = devices.get()
    assert dev.kind == "gpu" and dev.reason and dev.description.startswith("GPU ")


def test_unknown_devices_and_builds():
    with sentence("device: need auto, cpu or gpu, got 'tpu'"):
        devices.get("tpu")
    with sentence("device: cpu: build: need fast or debug, got 'slow'"):
        devices.get("cpu", build="slow")


@pytest.mark.parametrize("bad", ["two", "-1", "1.5", "²", "9" * 23, "9" * 5000])
def test_threads_that_are_no_number(monkeypatch, bad):
    monkeypatch.setenv("DCGAN_CUPY_THREADS", bad)
    with sentence(rf"device: cpu: DCGAN_CUPY_THREADS: need a whole number of threads, 1 to 256, got '{bad}'"):
        CpuDevice()


@pytest.mark.parametrize("bad", [0, -1, 257])
def test_too_few_or_too_many_threads(monkeypatch, bad):
    with sentence(rf"device: cpu: threads: need 1 to 256 .*, got {bad}"):
        CpuDevice(threads=bad)
    if bad >= 0:
        monkeypatch.setenv("DCGAN_CUPY_THREADS", str(bad))
        with sentence(rf"device: cpu: DCGAN_CUPY_THREADS: need a whole number of threads, 1 to 256, got '{bad}'"):
            CpuDevice()


def test_number_of_threads(monkeypatch):
    monkeypatch.setenv("DCGAN_CUPY_THREADS", "3")
    assert CpuDevice().threads == 3
    assert CpuDevice(threads=2).threads == 2
    assert CpuDevice(build="debug").threads == 1
    monkeypatch.setenv("DCGAN_CUPY_THREADS", "")
    monkeypatch.setattr("dcgan_cupy.device.host.launch.cores", lambda: 384)
    assert CpuDevice().threads == 256  # the pool's most
