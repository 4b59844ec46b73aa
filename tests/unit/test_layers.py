"""The four layers: every derivative against central differences, and every pass against a naive twin."""

import math

import naive_learned as naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siftcli.learned import layers

STEP = 1e-6
"""Central differences of functions of order 1: truncation below 1e-12, rounding about 1e-10."""
TOLERANCE = 1e-6
SEEDS = st.integers(0, 2**32 - 1)
FEW = settings(max_examples=40, deadline=None)


def relative_error(analytic, numeric):
    """Norm of the difference over the larger norm (Karpathy's measure, for a whole array)."""
    scale = max(np.linalg.norm(analytic), np.linalg.norm(numeric))
    return np.linalg.norm(analytic - numeric) / scale if scale else 0.0


def central_differences(loss, array):
    """dL/d(array) by (L(a + h) − L(a − h)) / 2h, one element at a time."""
    derivative = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + STEP
        above = loss()
        array[index] = kept - STEP
        below = loss()
        array[index] = kept
        derivative[index] = (above - below) / (2 * STEP)
    return derivative


def agrees(analytic, loss, array):
    return relative_error(analytic, central_differences(loss, array)) < TOLERANCE


@st.composite
def convolutions(draw):
    """x, weights, bias and stride of any small convolution, with rows that no window reaches too."""
    rng = np.random.default_rng(draw(SEEDS))
    n, channels, kernels = (draw(st.integers(1, 3)) for _ in range(3))
    window = tuple(draw(st.integers(1, 4)) for _ in range(2))
    size = tuple(w + draw(st.integers(0, 4)) for w in window)
    stride = tuple(draw(st.integers(1, 3)) for _ in range(2))
    x = rng.standard_normal((n, channels, *size))
    return x, rng.standard_normal((kernels, channels, *window)), rng.standard_normal(kernels), stride, rng


@FEW
@given(convolutions())
def test_convolution_is_its_formula(case):
    x, weights, bias, stride, _ = case
    expected = [naive.convolve(sample, weights, bias, stride) for sample in x]
    np.testing.assert_allclose(layers.convolve(x, weights, bias, stride), expected, atol=1e-12)


@FEW
@given(convolutions())
def test_convolution_passes_derivatives_as_its_twin_does(case):
    x, weights, bias, stride, rng = case
    dy = rng.standard_normal(layers.convolve(x, weights, bias, stride).shape)
    dx, dweights, dbias = layers.convolve_backward(dy, x, weights, stride)
    twins = [naive.convolve_backward(d, sample, weights, stride) for d, sample in zip(dy, x, strict=True)]
    np.testing.assert_allclose(dx, [twin[0] for twin in twins], atol=1e-12)
    np.testing.assert_allclose(dweights, sum(twin[1] for twin in twins), atol=1e-12)
    np.testing.assert_allclose(dbias, sum(twin[2] for twin in twins), atol=1e-12)


@FEW
@given(convolutions())
def test_convolution_gradients_against_central_differences(case):
    x, weights, bias, stride, rng = case
    factors = rng.standard_normal(layers.convolve(x, weights, bias, stride).shape)

    def loss():
        # Not linear in y, so that a derivative taken at the wrong place would show.
        return float(np.sum(factors * np.sin(layers.convolve(x, weights, bias, stride))))

    dy = factors * np.cos(layers.convolve(x, weights, bias, stride))
    dx, dweights, dbias = layers.convolve_backward(dy, x, weights, stride)
    assert agrees(dx, loss, x)
    assert agrees(dweights, loss, weights)
    assert agrees(dbias, loss, bias)


@st.composite
def poolings(draw):
    """x, window and stride; windows may overlap, and leave gaps."""
    rng = np.random.default_rng(draw(SEEDS))
    n, channels = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    window = tuple(draw(st.integers(1, 3)) for _ in range(2))
    size = tuple(w + draw(st.integers(0, 4)) for w in window)
    stride = tuple(draw(st.integers(1, 3)) for _ in range(2))
    # A permutation: no two samples are nearer than what central differences move.
    return (
        rng.permutation(n * channels * math.prod(size)).reshape(n, channels, *size) / 8,
        window,
        stride,
        rng,
    )


@FEW
@given(poolings(), st.booleans())
def test_max_pooling_and_its_gradient_are_those_of_the_twin(case, with_ties):
    x, window, stride, rng = case
    x = np.floor(x) if with_ties else x
    y, winner = layers.max_pool(x, window, stride)
    dy = rng.standard_normal(y.shape)
    dx = layers.max_pool_backward(dy, winner, x.shape, window, stride)
    for i, sample in enumerate(x):
        expected, where = naive.max_pool(sample, window, stride)
        np.testing.assert_array_equal(y[i], expected)
        np.testing.assert_allclose(dx[i], naive.max_pool_backward(dy[i], where, sample.shape), atol=1e-12)


@FEW
@given(poolings())
def test_max_pooling_gradient_against_central_differences(case):
    x, window, stride, rng = case
    y, winner = layers.max_pool(x, window, stride)
    factors = rng.standard_normal(y.shape)
    dx = layers.max_pool_backward(factors * np.cos(y), winner, x.shape, window, stride)
    assert agrees(dx, lambda: float(np.sum(factors * np.sin(layers.max_pool(x, window, stride)[0]))), x)


def test_of_equal_samples_the_first_in_row_order_gets_the_gradient():
    x = np.array([[[[1.0, 2.0], [2.0, 2.0]]]])
    y, winner = layers.max_pool(x, (2, 2), (2, 2))
    assert (y.item(), winner.item()) == (2.0, 1)
    dx = layers.max_pool_backward(np.ones_like(y), winner, x.shape, (2, 2), (2, 2))
    np.testing.assert_array_equal(dx, [[[[0, 1], [0, 0]]]])


@FEW
@given(SEEDS, st.integers(1, 5), st.integers(1, 6), st.integers(1, 6))
def test_fully_connected_and_its_gradients(seed, n, n_in, n_out):
    rng = np.random.default_rng(seed)
    x, weights, bias = (rng.standard_normal(shape) for shape in ((n, n_in), (n_out, n_in), n_out))
    y = layers.fully_connected(x, weights, bias)
    for i, c in np.ndindex(n, n_out):
        assert y[i, c] == pytest.approx(bias[c] + sum(weights[c, d] * x[i, d] for d in range(n_in)))
    factors = rng.standard_normal(y.shape)

    def loss():
        return float(np.sum(factors * np.sin(layers.fully_connected(x, weights, bias))))

    dx, dweights, dbias = layers.fully_connected_backward(factors * np.cos(y), x, weights)
    assert agrees(dx, loss, x)
    assert agrees(dweights, loss, weights)
    assert agrees(dbias, loss, bias)


@FEW
@given(SEEDS, st.integers(1, 5), st.integers(2, 7), st.booleans())
def test_softmax_with_cross_entropy(seed, n, n_classes, spread):
    rng = np.random.default_rng(seed)
    y, classes = 3 * rng.standard_normal((1 + n, n_classes)), rng.integers(0, n_classes, 1 + n)
    target = rng.dirichlet(np.ones(n_classes), 1 + n) if spread else np.eye(n_classes)[classes]
    # Differences of a loss near 10 are good to 1e-9, and rows that are nearly certain have gradients that are
    # hardly larger. Of a row that is quite uncertain they are large.
    y[0], target[0] = 0, np.eye(n_classes)[classes[0]]
    loss, dy = layers.softmax_cross_entropy(y, target if spread else classes)
    expected = np.mean([naive.cross_entropy(row, t) for row, t in zip(y, target, strict=True)])
    assert loss == pytest.approx(expected)
    shares = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(dy, (shares - target) / (1 + n), rtol=1e-9, atol=1e-15)
    numeric = central_differences(lambda: layers.softmax_cross_entropy(y, target)[0], y)
    assert relative_error(dy, numeric) < TOLERANCE


def test_softmax_survives_scores_that_would_overflow():
    y = np.array([[1e4, 0.0, -1e4], [-1e4, -1e4, -1e4]])
    loss, dy = layers.softmax_cross_entropy(y, np.array([1, 2]))
    assert loss == pytest.approx((1e4 + math.log(3)) / 2)
    np.testing.assert_allclose(2 * dy, [[1, -1, 0], [1 / 3, 1 / 3, -2 / 3]], atol=1e-12)


def test_results_keep_single_precision():
    x, weights, bias = (
        np.ones((2, 1, 4, 4), np.float32),
        np.ones((3, 1, 2, 2), np.float32),
        np.ones(3, np.float32),
    )
    y = layers.convolve(x, weights, bias)
    pooled, winner = layers.max_pool(y, (3, 3), (1, 1))
    scores = layers.fully_connected(pooled[:, :, 0, 0], np.ones((4, 3), np.float32), np.ones(4, np.float32))
    _, dscores = layers.softmax_cross_entropy(scores, np.array([0, 1]))
    found = [y, pooled, scores, dscores, *layers.convolve_backward(y, x, weights)]
    found += [layers.max_pool_backward(pooled, winner, y.shape, (3, 3), (1, 1))]
    assert {array.dtype for array in found} == {np.dtype(np.float32)}


def test_pytorch_agrees_where_it_is_installed():
    rng = np.random.default_rng(0)
    x, weights, bias = (rng.standard_normal(shape) for shape in ((2, 3, 9, 8), (4, 3, 3, 2), 4))
    y = layers.convolve(x, weights, bias, (2, 1))
    pooled, winner = layers.max_pool(y, (2, 2), (2, 2))
    loss, dflat = layers.softmax_cross_entropy(pooled.reshape(2, -1), np.array([3, 1]))
    dpooled = layers.max_pool_backward(dflat.reshape(pooled.shape), winner, y.shape, (2, 2), (2, 2))
    gradients = layers.convolve_backward(dpooled, x, weights, (2, 1))
    # Asserted everywhere: the loss falls along the gradient by what the gradient says, to first order.
    moved = weights - 1e-4 * gradients[1]
    again = layers.max_pool(layers.convolve(x, moved, bias, (2, 1)), (2, 2), (2, 2))[0]
    fallen = loss - layers.softmax_cross_entropy(again.reshape(2, -1), np.array([3, 1]))[0]
    assert fallen == pytest.approx(1e-4 * np.sum(gradients[1] ** 2), rel=1e-2)
    try:
        import torch
    except ImportError:
        return
    tensors = [torch.tensor(array, requires_grad=True) for array in (x, weights, bias)]
    maxima = torch.max_pool2d(torch.conv2d(*tensors, stride=(2, 1)), 2)
    theirs = torch.nn.functional.cross_entropy(maxima.flatten(1), torch.tensor([3, 1]))
    theirs.backward()
    assert theirs.item() == pytest.approx(loss)
    for tensor, ours in zip(tensors, gradients, strict=True):
        np.testing.assert_allclose(tensor.grad.numpy(), ours, atol=1e-10)
