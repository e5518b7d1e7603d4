"""The definition of every operation, in float64 NumPy: what a kernel must compute, not how.

Each function is its formula, a sum over kernel taps written as a loop. Nothing here is fast and nothing is shared
with the code under test. Inputs of any float type are taken to float64 first; results are float64.

Shapes: activations x[n, h, w, c]; weights w[kh, kw, ic, oc], for a transposed convolution w[kh, kw, oc, ic].
        stride, padding, output_padding, kernel_hw and x_hw are (h, w) pairs. dx dy dw are gradients.
"""

from .base import f64
from .batchnorm import (
    batchnorm_backward_eval,
    batchnorm_backward_train,
    batchnorm_forward_eval,
    batchnorm_forward_train,
)
from .convolution import (
    conv2d_backward_bias,
    conv2d_backward_input,
    conv2d_backward_weight,
    conv2d_forward,
    conv2d_output_size,
    conv_transpose2d_backward_input,
    conv_transpose2d_backward_weight,
    conv_transpose2d_forward,
    conv_transpose2d_output_size,
    exact_divisions,
    flip_kernel,
    need_transposed_size,
    places_inside,
    strided_windows,
    zero_insert,
)
from .elementwise import (
    concat_label_add,
    concat_label_backward,
    concat_label_forward,
    horizontal_flip,
    images_to_float,
    images_to_uint8,
    leaky_relu_backward,
    leaky_relu_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    tanh_backward,
    tanh_forward,
)
from .label_maps import label_maps_backward, label_maps_forward
from .training import adam, average, bce, bce_with_logits, philox4x32_10, random_uniform

__all__ = [
    "adam",
    "average",
    "batchnorm_backward_eval",
    "batchnorm_backward_train",
    "batchnorm_forward_eval",
    "batchnorm_forward_train",
    "bce",
    "bce_with_logits",
    "concat_label_add",
    "concat_label_backward",
    "concat_label_forward",
    "conv2d_backward_bias",
    "conv2d_backward_input",
    "conv2d_backward_weight",
    "conv2d_forward",
    "conv2d_output_size",
    "conv_transpose2d_backward_input",
    "conv_transpose2d_backward_weight",
    "conv_transpose2d_forward",
    "conv_transpose2d_output_size",
    "exact_divisions",
    "f64",
    "flip_kernel",
    "horizontal_flip",
    "images_to_float",
    "images_to_uint8",
    "label_maps_backward",
    "label_maps_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "need_transposed_size",
    "philox4x32_10",
    "places_inside",
    "random_uniform",
    "relu_backward",
    "relu_forward",
    "sigmoid_backward",
    "sigmoid_forward",
    "strided_windows",
    "tanh_backward",
    "tanh_forward",
    "zero_insert",
]
