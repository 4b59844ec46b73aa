"""Four layers of a network, forwards and backwards, in NumPy alone.

Batch first: N samples, T input channels, K kernels, H × W or I × J positions, M × Q a kernel's window.
Each backward function takes ∂L/∂y, the derivative of the loss with respect to the layer's result,
and returns those with respect to what went in. Results have the dtype of what goes in.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Pair = tuple[int, int]
"""(down, across)."""


# --- strided convolution, without padding --------------------------------------------------------


def convolve(x: Array, weights: Array, bias: Array, stride: Pair = (1, 1)) -> Array:
    """y(k,i,j) = Σ_t Σ_m Σ_n x(t, i·s+m, j·s+n) W_k(t,m,n) + b_k.

    Parameters
    ----------
    x
        (N, T, H, W).
    weights
        (K, T, M, Q), M ≤ H, Q ≤ W.
    bias
        (K,).
    stride
        s, down and across.

    Returns
    -------
    y
        (N, K, I, J), I = (H − M) // s + 1, J likewise.
    """
    windows = _windows(x, _window_of(weights), stride)
    y = np.tensordot(windows, weights, axes=((1, 4, 5), (1, 2, 3)))  # Σ_t Σ_m Σ_n x W
    return np.ascontiguousarray(np.moveaxis(y + bias, 3, 1))


def convolve_backward(
    dy: Array, x: Array, weights: Array, stride: Pair = (1, 1)
) -> tuple[Array, Array, Array]:
    """The derivatives of the loss with respect to what :func:`convolve` was given.

    Parameters
    ----------
    dy
        (N, K, I, J), ∂L/∂y.
    x, weights, stride
        As they were given to :func:`convolve`.

    Returns
    -------
    dx
        (N, T, H, W); zero where no window reaches.
    dweights
        (K, T, M, Q), summed over the batch.
    dbias
        (K,), summed over the batch.
    """
    return (_convolve_dx(dy, weights, x.shape, stride), *convolve_parameters_backward(dy, x, weights, stride))


def convolve_parameters_backward(
    dy: Array, x: Array, weights: Array, stride: Pair = (1, 1)
) -> tuple[Array, Array]:
    """∂L/∂W and ∂L/∂b of :func:`convolve_backward` alone: a first layer needs no more."""
    windows = _windows(x, _window_of(weights), stride)
    dweights = np.tensordot(dy, windows, axes=((0, 2, 3), (0, 2, 3)))  # Σ_ij ∂L/∂y(k,i,j) x(t, i·s+m, j·s+n)
    dbias = dy.sum(axis=(0, 2, 3))  # Σ_ij ∂L/∂y(k,i,j)
    return dweights, dbias


def _convolve_dx(dy: Array, weights: Array, shape: tuple[int, ...], stride: Pair) -> Array:
    """∂L/∂x(t,i′,j′) = Σ_k Σ_(i,j) ∂L/∂y(k,i,j) W_k(t, i′−i·s, j′−j·s).

    ∂L/∂y is laid out as far apart as its windows are, with room for a kernel all round; then the
    windows that contain (i′, j′) lie below one kernel, and meet it in reverse order.
    """
    (n, n_kernels, rows, columns), (m, q) = dy.shape, _window_of(weights)
    spread = np.zeros((n, n_kernels, shape[2] + m - 1, shape[3] + q - 1), dy.dtype)
    down, across = stride
    spread[:, :, m - 1 :: down, q - 1 :: across][:, :, :rows, :columns] = dy
    dx = np.tensordot(  # Σ_k Σ_(i,j) ∂L/∂y W
        _windows(spread, (m, q)), weights[:, :, ::-1, ::-1], axes=((1, 4, 5), (0, 2, 3))
    )
    return np.ascontiguousarray(np.moveaxis(dx, 3, 1))


# --- max pooling ---------------------------------------------------------------------------------


def max_pool(x: Array, window: Pair, stride: Pair) -> tuple[Array, NDArray[np.intp]]:
    """y(t,i,j) = max over m, n of x(t, i·s+m, j·s+n).

    Parameters
    ----------
    x
        (N, T, H, W).
    window
        (M, Q).
    stride
        s, down and across.

    Returns
    -------
    y
        (N, T, I, J), as of :func:`convolve`.
    winner
        (N, T, I, J): m·Q + n of the maximum; of equal samples the first in row order.
    """
    windows = _windows(x, window, stride)
    flat = windows.reshape(*windows.shape[:4], window[0] * window[1])
    winner = flat.argmax(axis=4)  # NumPy's argmax is the first of equals
    return np.take_along_axis(flat, winner[..., None], axis=4)[..., 0], winner


def max_pool_backward(
    dy: Array, winner: NDArray[np.intp], shape: tuple[int, ...], window: Pair, stride: Pair
) -> Array:
    """∂L/∂x(t,i′,j′) = Σ ∂L/∂y(t,i,j) over the windows whose maximum was at (i′, j′).

    Parameters
    ----------
    dy
        (N, T, I, J), ∂L/∂y.
    winner
        As :func:`max_pool` returned it.
    shape
        (N, T, H, W), that of x.
    window, stride
        As they were given to :func:`max_pool`.

    Returns
    -------
    dx
        (N, T, H, W).
    """
    row = winner // window[1] + stride[0] * np.arange(dy.shape[2])[:, None]  # i′ = i·s + m
    column = winner % window[1] + stride[1] * np.arange(dy.shape[3])  # j′ = j·s + n
    plane = np.arange(shape[0] * shape[1]).reshape(*shape[:2], 1, 1)
    dx = np.zeros(shape, dy.dtype)
    np.add.at(dx.reshape(-1), ((plane * shape[2] + row) * shape[3] + column).ravel(), dy.ravel())
    return dx


# --- fully connected -----------------------------------------------------------------------------


def fully_connected(x: Array, weights: Array, bias: Array) -> Array:
    """Y = W x + b, for each sample.

    Parameters
    ----------
    x
        (N, D).
    weights
        (C, D).
    bias
        (C,).

    Returns
    -------
    y
        (N, C).
    """
    return np.asarray(x @ weights.T + bias)


def fully_connected_backward(dy: Array, x: Array, weights: Array) -> tuple[Array, Array, Array]:
    """The derivatives of the loss with respect to what :func:`fully_connected` was given.

    Parameters
    ----------
    dy
        (N, C), ∂L/∂y.
    x, weights
        As they were given to :func:`fully_connected`.

    Returns
    -------
    dx
        (N, D).
    dweights
        (C, D), summed over the batch.
    dbias
        (C,), summed over the batch.
    """
    dx = dy @ weights  # ∂L/∂x = ∂L/∂y W
    dweights = dy.T @ x  # ∂L/∂W = (∂L/∂y)ᵀ xᵀ, x a column; here it is a row of the batch
    return dx, dweights, dy.sum(axis=0)  # ∂L/∂b = (∂L/∂y)ᵀ


# --- softmax with cross-entropy ------------------------------------------------------------------


def log_softmax(y: Array) -> Array:
    """Log p_i = y_i − log Σ_j exp y_j of each row of (N, C); the largest score is taken off first."""
    shifted = y - y.max(axis=1, keepdims=True)  # or exp would overflow
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def softmax_cross_entropy(y: Array, truth: NDArray[Any]) -> tuple[float, Array]:
    """The loss −Σ_i t_i log p_i, p = softmax(y), and its derivative p_i − t_i.

    Parameters
    ----------
    y
        (N, C) scores.
    truth
        (N,) the true class of each sample, gt, or (N, C) a distribution t over the classes, of
        which t_i = [i = gt] is the usual case.

    Returns
    -------
    loss
        Mean over the batch.
    dy
        (N, C), its derivative.
    """
    target = truth if truth.ndim == 2 else np.equal.outer(truth, np.arange(y.shape[1])).astype(y.dtype)
    log_p = log_softmax(y)
    loss = -np.sum(target * log_p) / len(y)  # −Σ_i t_i log p_i
    return float(loss), (np.exp(log_p) - target) / np.asarray(len(y), y.dtype)  # p_i − [i = gt]


# --- windows -------------------------------------------------------------------------------------


def _window_of(weights: Array) -> Pair:
    return weights.shape[2], weights.shape[3]


def _windows(x: Array, window: Pair, stride: Pair = (1, 1)) -> Array:
    """A view (N, T, I, J, M, Q) of the windows of x (N, T, H, W)."""
    every = sliding_window_view(x, window, axis=(2, 3))
    return np.asarray(every[:, :, :: stride[0], :: stride[1]])
