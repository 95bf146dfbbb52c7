"""A made-up street scene in infrared and visible light, for samples, demos and tests.

No licence lets us pass on the public image pairs, so the pair that the package ships and the
images of every test come from here. What makes fusion hard is in it: people and engines that
only the infrared sees at night, texture and colour that only the visible has, glare,
noise, and areas where both are flat.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

# ids as in MFNet and MSRS
CLASSES = ('unlabelled', 'car', 'person')
CAR, PERSON = 1, 2


class SyntheticScene(NamedTuple):
    """One registered pair and what is in it.

    Attributes:
        ir: Infrared, uint8 (H, W); warm is bright.
        vis: Visible, uint8 (H, W, 3), RGB.
        labels: Class ids, indices into :data:`CLASSES`, uint8 (H, W).
        boxes: ``(class_id, x0, y0, x1, y1)`` per object in pixels, the right and lower edge
            exclusive, far objects first; an object that a nearer one hides has its full box.
    """

    ir: np.ndarray
    vis: np.ndarray
    labels: np.ndarray
    boxes: list[tuple[int, int, int, int, int]]


def synthetic_scene(
    seed: int = 0, size: tuple[int, int] = (480, 640), night: bool | None = None
) -> SyntheticScene:
    """Paint a street with houses, trees, cars and people.

    Args:
        seed: Every seed gives another scene, the same one each time. Default 0.
        size: Height and width in pixels, each 32 or more. Default (480, 640).
        night: Whether it is night; ``None`` (default) is night for odd seeds.

    Raises:
        ValueError: ``size`` is below 32.

    Examples:
        >>> scene = synthetic_scene(seed=3, size=(96, 128))
        >>> scene.ir.shape, scene.vis.shape, scene.labels.shape
        ((96, 128), (96, 128, 3), (96, 128))
    """
    height, width = size
    if min(size) < 32:
        raise ValueError(f'size must be at least 32 pixels each way, found {size}')
    night = bool(seed % 2) if night is None else night
    street = _Street(height, width, night, np.random.default_rng(seed))
    street.sky()
    street.houses()
    street.ground()
    street.trees()
    street.traffic()
    street.light()
    return SyntheticScene(*street.expose(), street.labels, street.boxes)


class _Street:
    """A scene on its way: radiance in both bands in 0..1, painted from far to near."""

    def __init__(self, height: int, width: int, night: bool, rng: np.random.Generator) -> None:
        self.height, self.width, self.night, self.rng = height, width, night, rng
        self.horizon = int(height * rng.uniform(0.42, 0.5))
        self.vanishing = width * rng.uniform(0.4, 0.6)
        self.ir = np.zeros((height, width), np.float32)
        self.vis = np.zeros((height, width, 3), np.float32)
        self.emitted = np.zeros((height, width, 3), np.float32)  # what shines by itself at night
        self.labels = np.zeros((height, width), np.uint8)
        self.boxes: list[tuple[int, int, int, int, int]] = []
        self.lamps: list[tuple[float, float, float]] = []  # x, y, radius
        self.rows, self.columns = np.mgrid[0:height, 0:width].astype(np.float32)

    # ---------------------------------------------------------------- tools
    def texture(self, scale: float) -> np.ndarray:
        """Smooth noise of mean 0 and deviation 1 whose grain is ``scale`` image heights."""
        sigma = max(scale * self.height, 0.5)
        rows = max(int(self.height / sigma) + 2, 2)
        columns = max(int(self.width / sigma) + 2, 2)
        coarse = self.rng.standard_normal((rows, columns)).astype(np.float32)
        return cv2.resize(coarse, (self.width, self.height), interpolation=cv2.INTER_CUBIC)

    def paint(
        self, area: np.ndarray, colour: tuple[float, float, float], heat: float, grain: float = 0.0
    ) -> None:
        """Cover the pixels of a bool map; ``grain`` is the visible texture's contrast."""
        shade = 1 + grain * self.texture(0.006)[area, None] if grain else 1.0
        self.vis[area] = np.array(colour, np.float32) * shade
        self.emitted[area] = 0
        self.ir[area] = heat

    def polygon(self, points: list[tuple[float, float]]) -> np.ndarray:
        canvas = np.zeros((self.height, self.width), np.uint8)
        cv2.fillPoly(canvas, [np.round(points).astype(np.int32)], 1)
        return canvas.astype(bool)

    def box(self, x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
        inside = (self.columns >= x0) & (self.columns < x1) & (self.rows >= y0)
        return inside & (self.rows < y1)

    def ellipse(self, x: float, y: float, rx: float, ry: float) -> np.ndarray:
        rx, ry = max(rx, 0.6), max(ry, 0.6)
        return ((self.columns - x) / rx) ** 2 + ((self.rows - y) / ry) ** 2 <= 1

    def depth_scale(self, foot: float) -> float:
        """Pixels per metre of something that stands on the ground at row ``foot``."""
        return (foot - self.horizon) / 1.6  # the camera is 1.6 m above the road

    # ---------------------------------------------------------------- scenery
    def sky(self) -> None:
        fall = np.clip(self.rows / self.horizon, 0, 1)
        clouds = np.clip(self.texture(0.15) + 0.6 * self.texture(0.06), 0, 2)
        blue = np.array([0.38, 0.58, 0.88], np.float32) + fall[..., None] * np.array(
            [0.35, 0.25, 0.08], np.float32
        )
        self.vis[:] = blue + 0.12 * clouds[..., None]
        self.ir[:] = 0.05 + 0.1 * fall + 0.03 * clouds

    def houses(self) -> None:
        x = -self.width * 0.05
        while x < self.width:
            span = self.width * self.rng.uniform(0.12, 0.24)
            # lower towards the vanishing point: farther away
            near = abs(x + span / 2 - self.vanishing) / self.width
            top = self.horizon * (1 - 0.35 - 1.1 * near * self.rng.uniform(0.6, 1.0))
            self.house(x, max(top, self.horizon * 0.08), x + span)
            x += span * self.rng.uniform(1.0, 1.25)

    def house(self, x0: float, top: float, x1: float) -> None:
        bottom = self.horizon + 0.03 * self.height
        wall = np.array([0.56, 0.47, 0.4]) + self.rng.uniform(-0.16, 0.2)
        wall = wall + self.rng.uniform(-0.07, 0.07, 3)
        warmth = self.rng.uniform(0.3, 0.42)
        self.paint(self.box(x0, top, x1, bottom), tuple(wall), warmth, grain=0.08)
        step = max(0.055 * self.height, 4.0)
        for y in np.arange(top + 0.4 * step, bottom - step, 1.3 * step):
            for x in np.arange(x0 + 0.4 * step, x1 - 0.7 * step, 1.2 * step):
                pane = self.box(x, y, x + 0.6 * step, y + 0.75 * step)
                self.paint(pane, (0.2, 0.24, 0.3), warmth + self.rng.uniform(0.02, 0.14))
                if self.rng.random() < 0.25:
                    self.emitted[pane] = np.array([0.95, 0.75, 0.4], np.float32) * self.rng.uniform(
                        0.6, 1
                    )

    def ground(self) -> None:
        below = self.rows >= self.horizon
        self.paint(below, (0.36, 0.44, 0.24), 0.27, grain=0.14)
        edge = self.horizon * 1.0
        left, right = self.vanishing - 0.75 * self.width, self.vanishing + 0.75 * self.width
        pavement = self.polygon(
            [(self.vanishing, edge), (left - 0.3 * self.width, self.height),
             (right + 0.3 * self.width, self.height)]
        )  # fmt: skip
        self.paint(pavement & below, (0.5, 0.48, 0.46), 0.4, grain=0.07)
        road = self.polygon([(self.vanishing, edge), (left, self.height), (right, self.height)])
        self.paint(road & below, (0.3, 0.3, 0.32), 0.33, grain=0.1)
        # a dashed centre line: equal lengths on the road shrink with distance
        for metres in range(3, 40, 5):
            near, far = (
                self.horizon + 1.1 * self.height / distance for distance in (metres, metres + 2.2)
            )
            half = 0.016 * self.width * (near - self.horizon) / (0.5 * self.height)
            dash = self.polygon(
                [(self.vanishing - half, near), (self.vanishing + half, near),
                 (self.vanishing, far)]
            )  # fmt: skip
            self.paint(dash & below, (0.85, 0.85, 0.8), 0.35)
        self.ir += 0.02 * self.texture(0.1)

    def trees(self) -> None:
        for _ in range(self.rng.integers(2, 5)):
            side = self.rng.choice([-1, 1])
            x = self.vanishing + side * self.width * self.rng.uniform(0.3, 0.52)
            foot = self.horizon + self.height * self.rng.uniform(0.04, 0.12)
            reach = self.height * self.rng.uniform(0.08, 0.15)
            trunk = self.box(x - 0.1 * reach, foot - 2.2 * reach, x + 0.1 * reach, foot)
            self.paint(trunk, (0.28, 0.2, 0.14), 0.34, grain=0.15)
            ragged = self.texture(0.02) * 0.35 + 1
            crown = ((self.columns - x) / reach) ** 2 + (
                (self.rows - foot + 2.4 * reach) / (1.1 * reach)
            ) ** 2
            self.paint(crown < ragged, (0.2, 0.36, 0.14), 0.24, grain=0.4)

    # ---------------------------------------------------------------- what moves
    def traffic(self) -> None:
        count = int(self.rng.integers(4, 8))
        feet = np.sort(self.rng.uniform(0.1, 0.42, count)) * self.height + self.horizon
        places = self.rng.permutation(np.linspace(0.08, 0.92, count)) * self.width
        extra = self.rng.choice([CAR, PERSON, PERSON], count - 3)
        kinds = self.rng.permutation([CAR, PERSON, PERSON, *extra])
        for foot, place, kind in zip(feet, places, kinds):
            # a car any nearer would fill the picture
            foot = self.horizon + (foot - self.horizon) * (0.75 if kind == CAR else 1.0)
            paint = self.car if kind == CAR else self.person
            paint(place, foot, self.depth_scale(foot))

    def mark(self, kind: int, area: np.ndarray) -> None:
        if not area.any():
            return
        self.labels[area] = kind
        rows, columns = np.flatnonzero(area.any(axis=1)), np.flatnonzero(area.any(axis=0))
        x0, x1, y0, y1 = (int(v) for v in (columns[0], columns[-1] + 1, rows[0], rows[-1] + 1))
        self.boxes.append((kind, x0, y0, x1, y1))

    def person(self, x: float, foot: float, metre: float) -> None:
        coat, trousers = (tuple(self.rng.uniform(0.08, 0.75, 3)) for _ in range(2))
        stride = self.rng.uniform(0.06, 0.2) * metre
        hip, shoulder, chin = foot - 0.85 * metre, foot - 1.42 * metre, foot - 1.5 * metre
        legs = np.zeros_like(self.labels, dtype=bool)
        for side in (-1, 1):
            legs |= self.polygon(
                [(x - 0.1 * metre, hip), (x + 0.1 * metre, hip),
                 (x + side * stride + 0.07 * metre, foot), (x + side * stride - 0.07 * metre, foot)]
            )  # fmt: skip
        body = self.polygon(
            [(x - 0.22 * metre, shoulder), (x + 0.22 * metre, shoulder),
             (x + 0.16 * metre, hip + 0.05 * metre), (x - 0.16 * metre, hip + 0.05 * metre)]
        )  # fmt: skip
        head = self.ellipse(x, chin - 0.12 * metre, 0.1 * metre, 0.14 * metre)
        self.paint(legs, trousers, 0.7)
        self.paint(body, coat, 0.76)
        self.paint(head, (0.72, 0.54, 0.44), 0.95)
        self.mark(PERSON, legs | body | head)

    def car(self, x: float, foot: float, metre: float) -> None:
        colour = np.array(
            [(0.7, 0.1, 0.1), (0.12, 0.25, 0.6), (0.75, 0.75, 0.75), (0.1, 0.1, 0.12)]
        )
        colour = colour[self.rng.integers(len(colour))] * self.rng.uniform(0.8, 1.2)
        half, sill, belt, roof = (
            0.9 * metre, foot - 0.22 * metre, foot - 0.8 * metre, foot - 1.45 * metre
        )  # fmt: skip
        body = self.box(x - half, belt, x + half, sill)
        cabin = self.polygon(
            [(x - 0.86 * half, belt), (x + 0.86 * half, belt), (x + 0.66 * half, roof),
             (x - 0.66 * half, roof)]
        )  # fmt: skip
        glass = self.polygon(
            [(x - 0.74 * half, belt - 0.05 * metre), (x + 0.74 * half, belt - 0.05 * metre),
             (x + 0.58 * half, roof + 0.1 * metre), (x - 0.58 * half, roof + 0.1 * metre)]
        )  # fmt: skip
        self.paint(cabin, tuple(colour * 0.9), 0.42)
        self.paint(glass, (0.16, 0.2, 0.24), 0.3)
        self.paint(body, tuple(colour), 0.46)
        self.paint(
            self.box(x - 0.4 * half, belt + 0.22 * metre, x + 0.4 * half, sill), (0.1,) * 3, 0.85
        )
        plate = self.box(x - 0.26 * half, sill - 0.16 * metre, x + 0.26 * half, sill - 0.05 * metre)
        self.paint(plate, (0.9, 0.9, 0.82), 0.5)
        wheels = np.zeros_like(body)
        for side in (-1, 1):
            wheels |= self.box(
                x + side * 0.78 * half - 0.13 * metre,
                sill,
                x + side * 0.78 * half + 0.13 * metre,
                foot,
            )
            lamp_x, lamp_y = x + side * 0.74 * half, belt + 0.18 * metre
            self.paint(
                self.ellipse(lamp_x, lamp_y, 0.12 * metre, 0.09 * metre), (0.95, 0.95, 0.9), 0.55
            )
            self.lamps.append((lamp_x, lamp_y, 0.12 * metre))
        self.paint(wheels, (0.06, 0.06, 0.06), 0.78)
        self.mark(CAR, body | cabin | wheels)

    # ---------------------------------------------------------------- light and sensor
    def light(self) -> None:
        """Day: sun from one side. Night: hardly anything but windows, lamps and their glare."""
        if not self.night:
            self.vis *= (0.85 + 0.25 * self.columns / self.width)[..., None]
            return
        glow = np.zeros_like(self.ir)
        for x, y, radius in self.lamps:
            distance = np.hypot(self.columns - x, self.rows - y) / max(radius, 0.6)
            glow += 1.6 / (1 + distance**2) + 0.12 / (1 + 0.15 * distance)
        # the beams light the road in front of the camera as well
        beam = np.exp(-(((self.columns - self.vanishing) / (0.35 * self.width)) ** 2))
        beam *= np.clip((self.rows - self.horizon) / (self.height - self.horizon), 0, 1)
        lit = self.vis * (0.45 * beam + 0.5 * np.clip(glow, 0, 0.5))[..., None]
        self.vis = 0.13 * self.vis + lit + self.emitted
        self.vis += np.clip(glow, 0, 1)[..., None] * np.array([0.8, 0.76, 0.6], np.float32)

    def expose(self) -> tuple[np.ndarray, np.ndarray]:
        """Blur by the optics, add the sensors' noise and write 8 bits."""
        blur = self.height / 480
        ir = cv2.GaussianBlur(self.ir, (0, 0), max(1.1 * blur, 0.35))
        vis = cv2.GaussianBlur(self.vis, (0, 0), max(0.6 * blur, 0.3))
        columns = self.rng.standard_normal(self.width).astype(np.float32)
        ir = ir + 0.006 * columns + 0.008 * self.noise(ir.shape)
        vis = vis + (0.022 if self.night else 0.01) * self.noise(vis.shape)
        return _to_bytes(ir), _to_bytes(vis)

    def noise(self, shape: tuple[int, ...]) -> np.ndarray:
        return self.rng.standard_normal(shape, dtype=np.float32)


def _to_bytes(radiance: np.ndarray) -> np.ndarray:
    return np.round(np.clip(radiance, 0, 1) * 255).astype(np.uint8)
