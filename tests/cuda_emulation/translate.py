#!/usr/bin/env python3
"""Rewrites what only nvcc understands in a .cu or .cuh file: launches and dynamic shared memory."""
import re
import sys


def arguments(text):
    """Splits at commas outside of brackets."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c in "([{") - (c in ")]}")
        if c == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [part.strip() for part in parts + [text[start:]]]


def kernel_before(text, end):
    """Where the name of a kernel with its template arguments begins that stops at `end`."""
    begin = end
    if text[begin - 1] == ">":
        depth = 0
        while True:
            begin -= 1
            depth += (text[begin] == ">") - (text[begin] == "<")
            if depth == 0:
                break
    return re.search(r"[\w:]+$", text[:begin]).start()


def translate(text):
    text = re.sub(r"extern __shared__ (?:__align__\(\d+\) )?char (\w+)\[\];",
                  r"char* \1 = cuda_emulation::dynamic_shared_memory();", text)
    while (at := text.find("<<<")) >= 0:
        begin, close = kernel_before(text, at), text.index(">>>", at)
        kernel, launch = text[begin:at], text[at + 3:close]
        assert text[close + 3] == "(", kernel
        shape = arguments(launch)
        if len(shape) > 2 and shape[2] != "0":
            call = f"cuda_emulation::launch<{kernel}>({{{launch}}}, "
        else:
            call = f"cuda_emulation::launch({{{launch}}}, [](auto... values) {{ {kernel}(values...); }}, "
        text = text[:begin] + call + text[close + 4:]
    return text


if __name__ == "__main__":
    source, target = sys.argv[1:]
    with open(source) as file:
        code = file.read()
    with open(target, "w") as file:
        file.write(f'#line 1 "{source}"\n' + translate(code))
