"""The operations: one function for one operation, named as its main kernel.

Each checks its arguments, chooses grid and block, launches.

Every function takes the device first and writes into arrays that the caller gives. What needs scratch memory beside
them, or more than one kernel, says so. Layouts: activations [n, h, w, c], weights [kh, kw, ic, oc], float32. Sizes and
pairs are (h, w).
"""

from .batchnorm import (
    batchnorm_activation_backward,
    batchnorm_activation_forward,
    batchnorm_backward_input,
    batchnorm_backward_sums,
    batchnorm_batch,
    batchnorm_forward,
    batchnorm_running_statistics,
    batchnorm_statistics,
)
from .check import need_elements, pair
from .concat import concat_label_add, concat_label_backward, concat_label_forward
from .conv2d import conv2d_backward_bias, conv2d_backward_input, conv2d_backward_weight, conv2d_forward
from .conv_geometry import conv2d_output_size, conv_transpose2d_output_size, convolution_sizes, zero_insert_size
from .conv_transpose2d import flip_kernel, zero_insert
from .elementwise import (
    add,
    fill,
    leaky_relu_backward,
    leaky_relu_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    tanh_backward,
    tanh_forward,
)
from .epilogue import NONE, Epilogue
from .images import images_to_float, images_to_uint8
from .label_maps import label_maps_backward, label_maps_forward
from .random import philox_words, random_advance, random_integers, random_normal, random_uniform
from .rungs import need_fusing, rung_of
from .tiles import ceil_div
from .training import adam_advance, adam_step, average_step, bce, bce_with_logits
from .workers import batchnorm_activation_backward_of_workers, batchnorm_batch_of_workers, sum_workers

__all__ = [
    "NONE",
    "Epilogue",
    "adam_advance",
    "adam_step",
    "add",
    "average_step",
    "batchnorm_activation_backward",
    "batchnorm_activation_backward_of_workers",
    "batchnorm_activation_forward",
    "batchnorm_backward_input",
    "batchnorm_backward_sums",
    "batchnorm_batch",
    "batchnorm_batch_of_workers",
    "batchnorm_forward",
    "batchnorm_running_statistics",
    "batchnorm_statistics",
    "bce",
    "bce_with_logits",
    "ceil_div",
    "concat_label_add",
    "concat_label_backward",
    "concat_label_forward",
    "conv2d_backward_bias",
    "conv2d_backward_input",
    "conv2d_backward_weight",
    "conv2d_forward",
    "conv2d_output_size",
    "conv_transpose2d_output_size",
    "convolution_sizes",
    "fill",
    "flip_kernel",
    "images_to_float",
    "images_to_uint8",
    "label_maps_backward",
    "label_maps_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "need_elements",
    "need_fusing",
    "pair",
    "philox_words",
    "random_advance",
    "random_integers",
    "random_normal",
    "random_uniform",
    "relu_backward",
    "relu_forward",
    "rung_of",
    "sigmoid_backward",
    "sigmoid_forward",
    "sum_workers",
    "tanh_backward",
    "tanh_forward",
    "zero_insert",
    "zero_insert_size",
]
