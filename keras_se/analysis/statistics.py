"""What gates say about classes, as numbers: arrays in, numbers out.

The paper shows curves of gates (figures 6 and 7) and says what it sees in them (section 7.2); these
measure it. Squeeze-and-Excitation Networks, https://arxiv.org/abs/1709.01507.
"""

import numpy as np

# Section 7.2 calls gates saturated that are close to one, "and the remainder is close to 0".
HIGH, LOW = 0.95, 0.05


class ClassMoments:
    """Counts, sums and sums of squares of gates for each class, added up batch by batch.

    Args:
        classes: Number of classes.
        channels: Number of channels.

    Attributes:
        counts: Float64 array `(class,)`: how many images there are.
        sums: Float64 array `(class, channel)`: the sums of their gates.
        squares: Float64 array `(class, channel)`: the sums of the squares.

    Example:
    >>> moments = ClassMoments(classes=2, channels=1)
    >>> moments.update(np.array([[0.2], [0.4], [0.9]]), np.array([0, 0, 1]))
    >>> moments.means.round(6).tolist()
    [[0.3], [0.9]]
    """

    def __init__(self, classes: int, channels: int):
        self.counts = np.zeros(classes)
        self.sums = np.zeros((classes, channels))
        self.squares = np.zeros((classes, channels))

    def update(self, gates: np.ndarray, labels: np.ndarray) -> None:
        """Adds a batch.

        Args:
            gates: Float64 array `(image, channel)`.
            labels: Integer array `(image,)`.
        """
        present, where = np.unique(labels, return_inverse=True)
        members = np.eye(len(present))[where].T
        self.counts[present] += members.sum(axis=1)
        self.sums[present] += members @ gates
        self.squares[present] += members @ gates**2

    @property
    def means(self) -> np.ndarray:
        """The mean gates of each class, `(class, channel)`; NaN for a class without images."""
        with np.errstate(invalid="ignore"):
            return self.sums / self.counts[:, None]

    @property
    def deviations(self) -> np.ndarray:
        """The standard deviations within each class, `(class, channel)`."""
        with np.errstate(invalid="ignore"):
            variances = self.squares / self.counts[:, None] - self.means**2
        return np.sqrt(variances.clip(0))

    @property
    def mean(self) -> np.ndarray:
        """The mean gates of all images, `(channel,)`."""
        return self.sums.sum(axis=0) / self.counts.sum()

    def variation(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the sums of squares between classes and within them, two arrays `(channel,)`."""
        there = self.counts > 0
        counts, sums = self.counts[there, None], self.sums[there]
        between = (sums**2 / counts).sum(axis=0) - sums.sum(axis=0) ** 2 / counts.sum()
        within = self.squares.sum(axis=0) - (sums**2 / counts).sum(axis=0)
        # Gates that are equal differ by rounding only.
        rounding = 1e-12 * self.squares.sum(axis=0)
        return tuple(np.where(values > rounding, values, 0.0) for values in (between, within))


def eta_squared(between: np.ndarray, within: np.ndarray) -> float:
    """Returns the share of the variance of gates that is between classes, as it is.

    Classes of `n` images that differ by chance alone have about `1 / n`; see
    `intraclass_correlation`, which has not.

    Args:
        between: Sums of squares between classes, an array `(channel,)` or a number.
        within: Those within classes.

    Returns:
        A number from 0 to 1; 0 for gates that are constant.

    Example:
    >>> eta_squared(3.0, 1.0)
    0.75
    """
    total = np.sum(between) + np.sum(within)
    return float(np.sum(between) / total) if total > 0 else 0.0


def intraclass_correlation(
    between: np.ndarray, within: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Returns the share of variance between classes that many images would show.

    It is the estimate of `sb**2 / (sb**2 + sw**2)` for classes whose means have the variance
    `sb**2`, around which images have `sw**2`: `(MSB - MSW) / (MSB + (n - 1) * MSW)` of the mean
    squares between and within classes. It is about zero, and may be below, where classes differ by
    chance alone.

    Args:
        between: Sums of squares between classes, of any shape.
        within: Those within classes, of the same shape.
        counts: Number of images of each class, `(class,)`.

    Returns:
        Numbers of the shape of `between`; NaN where there are not two classes, one of them with two
        images, and 0 where gates are constant.

    Example:
    >>> round(float(intraclass_correlation(3.0, 1.0, np.array([10, 10]))), 3)
    0.841

    Reference:
        Shrout and Fleiss, "Intraclass correlations: uses in assessing rater reliability", 1979,
        ICC(1, 1), with the mean class size of analysis of variance for unequal classes.
    """
    counts = counts[counts > 0]
    classes, total = len(counts), counts.sum()
    if classes < 2 or total <= classes:
        return np.full(np.shape(between), np.nan)
    size = (total - (counts**2).sum() / total) / (classes - 1)
    mean_between, mean_within = between / (classes - 1), within / (total - classes)
    denominator = mean_between + (size - 1) * mean_within
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(denominator > 0, (mean_between - mean_within) / denominator, 0.0)


def selectivity(means: np.ndarray) -> np.ndarray:
    """Returns how much more each channel is gated for its best class than for the others.

    `(best - others) / (best + others)` of the largest class mean and the mean of all other class
    means. That a channel is selective does not show that the network needs it (Leavitt and Morcos,
    https://arxiv.org/abs/2003.01262).

    Args:
        means: Mean gates, `(class, channel)`; classes that are NaN are left out.

    Returns:
        Array `(channel,)`, from 0 to 1; NaN for channels with a negative mean.

    Example:
    >>> selectivity(np.array([[0.9, 0.5], [0.1, 0.5], [0.1, 0.5]])).round(6).tolist()
    [0.8, 0.0]

    Reference:
        Morcos et al., "On the importance of single directions for generalization",
        https://arxiv.org/abs/1803.06959, section 2.4.
    """
    means = means[np.isfinite(means).all(axis=1)]
    if len(means) < 2:
        return np.full(means.shape[1], np.nan)
    best = means.max(axis=0)
    others = (means.sum(axis=0) - best) / (len(means) - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.where(best + others > 0, (best - others) / (best + others), 0.0)
    return np.where((means < 0).any(axis=0), np.nan, values)


def distance_to_constant(mean: np.ndarray, mean_square: np.ndarray) -> float:
    """Returns the error of the mean gate in place of the gates, of their root mean square.

    `RMS(g - mean(g)) / RMS(g)`, the mean being of each channel over images. Zero for gates that
    constants can replace.

    Args:
        mean: Mean gate of each channel, `(channel,)`.
        mean_square: Mean square of each, `(channel,)`.

    Example:
    >>> distance_to_constant(np.array([0.5]), np.array([0.25]))
    0.0
    """
    total = mean_square.sum()
    variance = (mean_square - mean**2).clip(0).sum()
    return float(np.sqrt(variance / total)) if total > 0 else 0.0


def effective_channels(covariance: np.ndarray) -> float:
    """Returns how many independent gates of equal variance would vary as much as these do.

    The participation ratio `sum(e)**2 / sum(e**2)` of the eigenvalues `e` of the covariance: 1 if
    all channels rise and fall together, the number of channels if each is on its own.

    Args:
        covariance: Array `(channel, channel)`.

    Example:
    >>> round(effective_channels(np.eye(4))), round(effective_channels(np.ones((4, 4))))
    (4, 1)

    Reference:
        Gao et al., "A theory of multineuronal dimensionality, dynamics and measurement", 2017,
        https://doi.org/10.1101/214262.
    """
    squares = (covariance**2).sum()  # the trace of the squared matrix
    return float(np.trace(covariance) ** 2 / squares) if squares > 0 else 0.0


def nearest_mean_accuracy(gates: np.ndarray, labels: np.ndarray, means: np.ndarray) -> float:
    """Returns the percentage of images whose gates are nearest to the mean gates of their class.

    Args:
        gates: Array `(image, channel)`.
        labels: Integer array `(image,)`.
        means: Mean gates of other images, `(class, channel)`; a class that is NaN is never taken.

    Example:
    >>> means = np.array([[0.2, 0.8], [0.8, 0.2]])
    >>> nearest_mean_accuracy(np.array([[0.3, 0.7], [0.4, 0.6]]), np.array([0, 1]), means)
    50.0
    """
    # |g - m|**2 without g**2, which is the same for all classes.
    distances = (means**2).sum(axis=1) - 2 * gates @ means.T
    distances = np.where(np.isnan(distances), np.inf, distances)
    return 100 * float(np.mean(distances.argmin(axis=1) == labels))
