"""The drawing of the candidates of an image that became no keypoint."""

from __future__ import annotations

from typing import Any

from ..detection import working_bytes
from ..drawing.encoding import png
from ..drawing.rejected import draw_rejected
from ..errors import ParameterError
from ..explanation.rejected import rejected
from ..io.limits import require_memory
from ..io.reading import STANDARD_INPUT
from ..io.writing import is_special
from ..params import SiftParams
from .detect_image import DetectionOptions, read_inputs
from .detect_plan import Plan
from .match_files import check_drawing


def check_rejected(plan: Plan, path: str, params: SiftParams, *, overwrite: bool) -> None:
    """Check that the removed candidates of an image can be drawn.

    Raises
    ------
    ParameterError
        If there are several images, one that can be read only once, or simulated views.
    OutputError
        If the drawing cannot be written.
    """
    if len(plan.jobs) > 1:
        raise ParameterError("--draw-rejected expects one image, got several; name one")
    image = plan.jobs[0].image.path
    if image == STANDARD_INPUT or is_special(image):
        raise ParameterError(
            "--draw-rejected reads the image again, which a pipe does not allow; name a file"
        )
    if params.views:
        raise ParameterError("--draw-rejected cannot draw candidates of simulated views; drop --views")
    check_drawing(path, overwrite=overwrite)


def rejected_png(plan: Plan, params: SiftParams, threads: int | None, **reading: Any) -> bytes:
    """Find the candidates of the image of a plan again, and draw those that were removed, as a PNG file.

    Raises
    ------
    InputError
        If the image or its mask cannot be read.
    """
    (job,) = plan.jobs
    options = DetectionOptions(
        params, threads, page=plan.page, has_stored_frame=plan.has_stored_frame, **reading
    )
    picture, mask = read_inputs(options, job)
    height, width = picture.grey.shape
    require_memory(
        2 * working_bytes((height, width), params),
        f"{picture.label}: drawing its candidates",
        "reduce it with --max-image-size",
    )
    alone = picture._replace(reduction=1.0, input_size=(width, height))
    found = rejected(alone, params, mask, threads)
    return png(draw_rejected(picture.grey, found.xy, found.n_kept))
