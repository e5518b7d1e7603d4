"""Calls in host code: what the CUDA runtime, the C library and the file's own functions do to known values."""

import re

import numpy as np

from .host_expressions import Expressions
from .host_values import DEVICE, MATHEMATICS, SIZES, Dim3, Function, Launch, Pointer, Reference, Struct, number
from .tokens import closing, split, written
from .user_types import VECTORS

ALLOCATORS = ("cudaMalloc", "cudaMallocManaged", "cudaMallocHost", "cudaHostAlloc", "cudaMallocAsync")


class Calls(Expressions):
    """Evaluates calls and notes launches."""

    def call_function(self, name: str, arguments: list):
        """A function of the file's."""
        raise NotImplementedError

    def call(self, name_tokens, inside):
        """The value of a call, and its effect."""
        name = name_tokens[-1].text
        if name == ">":
            at = next((i for i, t in enumerate(name_tokens) if t.text == "<"), 0)
            name = name_tokens[at - 1].text
        parts = split(inside)
        if len(name_tokens) >= 3 and name_tokens[-2].text in (".", "->"):
            owner = self.postfix(name_tokens[:-2])
            if isinstance(owner, Pointer):
                if name == "size":
                    item = self.size_of(owner.item)
                    return None if owner.bytes is None or not item else owner.bytes // item
                if name in ("data", "get", "begin"):
                    return owner
            for p in parts:
                self.evaluate(p)
            return None
        arguments = [self.evaluate(p) for p in parts]
        if name == "dim3":
            return Dim3(*arguments[:3])
        if name in ("raw_pointer_cast", "move", "forward"):
            v = arguments[0] if arguments else None
            return v.get() if isinstance(v, Reference) else v
        if name in MATHEMATICS:
            try:
                return MATHEMATICS[name](*arguments)
            except TypeError:
                return None
        if name in SIZES or name in ("uint", "size_t", "uint32_t"):
            return self.converted(name, arguments[0]) if arguments else 0
        if self._runtime(name, arguments, parts):
            return 0
        if name in ("malloc", "calloc", "aligned_alloc", "_aligned_malloc"):
            sizes = [number(a) for a in arguments]
            total = None if None in sizes or not sizes else int(np.prod(sizes)) if name == "calloc" else sizes[-1]
            return Pointer(name, None if total is None else int(total), False, True, name == "calloc")
        if name in VECTORS or (name.startswith("make_") and name[5:] in VECTORS):
            return Dim3(*arguments[:3])
        if name in ("exit", "abort"):
            return None
        for a in arguments:
            self._touched(a)
        return self.call_function(name, arguments)

    def _touched(self, value):
        value = value.get() if isinstance(value, Reference) else value
        if isinstance(value, Pointer):
            for p in (value, value.of or value):
                p.touched, p.zeros = True, False

    def _runtime(self, name, arguments, parts) -> bool:
        """A call of the CUDA runtime's that says something of sizes or contents."""
        if (
            (name in ALLOCATORS or re.fullmatch(r"\w*cudaMalloc(Managed)?\w*", name))
            and len(arguments) >= 2
            and name != "cudaMallocPitch"
        ):
            target, size = arguments[0], number(arguments[1])
            if isinstance(target, Reference):
                pointer = Pointer(str(target.key), None if size is None else int(size), "Host" not in name)
                pointer.item = target.table.get(f"*{target.key}", "")
                pointer.touched = name == "cudaMallocManaged"
                if not (size is None and self.unsure and isinstance(target.get(), Pointer)):
                    target.table[target.key] = pointer
            return True
        if name == "cudaMallocPitch" and len(arguments) == 4 and isinstance(arguments[0], Reference):
            width, height = number(arguments[2]), number(arguments[3])
            if width is not None and isinstance(arguments[1], Reference):
                pitch = -(-int(width) // 512) * 512
                arguments[1].table[arguments[1].key] = pitch
                arguments[0].table[arguments[0].key] = Pointer(str(arguments[0].key), pitch * int(height or 1))
            return True
        if name in ("cudaMemset", "cudaMemsetAsync") and len(arguments) >= 3:
            self._touched(arguments[0])
            if isinstance(arguments[0], Pointer):
                arguments[0].zeros = number(arguments[1]) == 0
            return True
        if name in ("cudaMemcpy", "cudaMemcpyAsync") and len(arguments) >= 3:
            source = arguments[1]
            self._touched(arguments[0])
            if isinstance(arguments[0], Pointer) and isinstance(source, Pointer) and source.label == "calloc":
                arguments[0].zeros = source.zeros
            return True
        if name == "cudaHostGetDevicePointer" and len(arguments) >= 2 and isinstance(arguments[0], Reference):
            arguments[0].table[arguments[0].key] = arguments[1]
            return True
        if name == "cudaGetDeviceProperties" and isinstance(arguments[0], Reference):
            arguments[0].table[arguments[0].key] = Struct("cudaDeviceProp", dict(DEVICE))
            return True
        if name.startswith("cudaOccupancyMaxPotentialBlockSize") and len(arguments) >= 2:
            for target, v in zip(arguments, (264, 256)):
                if isinstance(target, Reference):
                    target.table[target.key] = v
            return True
        if name in ("cudaDeviceGetAttribute", "cudaGetDevice", "cudaGetDeviceCount") and isinstance(
            arguments[0], Reference
        ):
            arguments[0].table[arguments[0].key] = 132 if "Attribute" in name else 1 if "Count" in name else 0
            return True
        return name.startswith(
            ("cudaEvent", "cudaStream", "cudaFree", "cudaSetDevice", "cudaGetLast", "cudaDeviceSync", "cudaPeek")
        )

    def launched(self, found, at):
        """Notes a launch: found[at] is its <<<."""
        end = closing(found, at)
        name_tokens = found[:at]
        template = ""
        if name_tokens[-1].text in (">", ">>"):
            opening = next(i for i, t in enumerate(name_tokens) if t.text == "<")
            template, name_tokens = self._template_text(name_tokens[opening + 1 : -1]), name_tokens[:opening]
        setup = [self.evaluate(p) for p in split(found[at + 1 : end])] + [None] * 3
        grid, block = (v if isinstance(v, Dim3) else Dim3(v) if number(v) is not None else None for v in setup[:2])
        stop = closing(found, end + 1) if end + 1 < len(found) else end
        parts = split(found[end + 2 : stop])
        shared = setup[2] if len(split(found[at + 1 : end])) > 2 else 0
        values = [self.evaluate(p) for p in parts]
        whole = [getattr(v, "of", None) or v for v in values]
        same = [next(k for k, other in enumerate(whole) if other is v) for v in whole]
        copies = [
            Pointer(**{**vars(v), "touched": (v.of or v).touched, "zeros": (v.of or v).zeros})
            if isinstance(v, Pointer)
            else Dim3(**vars(v))
            if isinstance(v, Dim3)
            else v
            for v in values
        ]
        name = written(name_tokens)
        known = self.look(name)
        self.launches.append(
            Launch(
                known.name if isinstance(known, Function) else name,
                template,
                Dim3(**vars(grid)) if grid else None,
                Dim3(**vars(block)) if block else None,
                shared,
                copies,
                [written(p) for p in parts],
                found[at].file,
                found[at].line,
                self.function,
                same,
            )
        )
        for v in values:
            self._touched(v)
        return 0

    def _template_text(self, found):
        """A template's arguments with the names that the host knows worked out."""
        made = []
        for p in split(found):
            value = number(self.evaluate(p)) if not (len(p) == 1 and self.is_type(p[0].text)) else None
            made.append(written(p) if value is None else str(value))
        return ", ".join(made)
