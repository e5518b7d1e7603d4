"""TensorBoard's event files, by tensorboard's own writer (the extra `tensorboard`)."""

import time
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from ..errors import UserError


def ready(wanted: bool) -> None:
    """Raises: UserError if it is wanted and not installed."""
    if wanted and not find_spec("tensorboard"):
        raise UserError(
            "train: --tensorboard: need the tensorboard extra (pip install 'dcgan-cupy[tensorboard]'), got none"
        )


class Board:
    """Events of one run, or of a part of it: TensorBoard puts the parts together."""

    def __init__(self, folder: Path, first: int):
        """first: steps that an earlier part has done; what it wrote of later ones is not shown any more."""
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary = event_pb2, summary_pb2.Summary
        folder.mkdir(exist_ok=True)
        self._writer = EventFileWriter(str(folder))
        if first:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._add(first + 1, session_log=start)

    def step(self, step: int, numbers) -> None:
        """numbers: the Step."""
        values = [self._summary.Value(tag=name, simple_value=value) for name, value in numbers._asdict().items()]
        self._add(step, summary=self._summary(value=values))

    def picture(self, step: int, name: str, path: Path) -> None:
        """A PNG file."""
        with Image.open(path) as image:
            (width, height), colours = image.size, len(image.getbands())
        shown = self._summary.Image(
            width=width, height=height, colorspace=colours, encoded_image_string=path.read_bytes()
        )
        self._add(step, summary=self._summary(value=[self._summary.Value(tag=name, image=shown)]))

    def close(self) -> None:
        """Ends the file."""
        self._writer.close()

    def _add(self, step: int, **what) -> None:
        self._writer.add_event(self._event.Event(wall_time=time.time(), step=step, **what))
