"""What a compiled XLA program consists of, read from its text."""

import collections
import dataclasses
import itertools
import math
import re

BYTES = {
    "pred": 1, "s4": 0.5, "u4": 0.5, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "bf16": 2, "f16": 2,
    "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8, "c64": 8, "c128": 16,
    "f8e4m3fn": 1, "f8e5m2": 1, "token": 0, "opaque": 0,
}  # fmt: skip
COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
# Instructions that move no data by themselves.
FREE = {
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "while", "conditional",
    "call", "partition-id", "replica-id", "opt-barrier", "domain",
}  # fmt: skip
# Instructions that read a part of their first operand.
PARTIAL = {"slice", "dynamic-slice", "gather"}
COUNTED = ("fusion", "convolution", "dot", "custom-call", "copy", "transpose", "while", *COLLECTIVES)

_INSTRUCTION = re.compile(r"\s*(?:ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)$")
_COMPUTATION = re.compile(r"(ENTRY )?%?([\w.\-]+) (?:\(.*\) -> .*)?\{\s*$")
_SHAPE = re.compile(r"(\w+)\[([\d,]*)\](?:\{([^}]*)\})?")


@dataclasses.dataclass
class Instruction:
    """One line of an HLO text.

    Attributes:
      name, opcode: as in the text; asynchronous pairs count once, at their start, without "-start".
      shape: of the result, as text.
      operands: names.
      rest: the attributes, as text.
      times: how often it runs in one call of the program, as far as loops say.
      source: "file.py:line" of the code that made it, or "".
      op_name: JAX's path to the operation, or "".
    """

    name: str
    opcode: str
    shape: str
    operands: list
    rest: str
    times: float = 1.0
    source: str = ""
    op_name: str = ""


class Program:
    """The instructions that a program runs, those inside fusions left out.

    Args:
      text: `compiled.as_text()`.

    Attributes:
      instructions: list of `Instruction`, loops' bodies included, with how often they run.
    """

    def __init__(self, text):
        computations, entry = _parse(text)
        places = _places(text)
        self.instructions, self._shapes, self._computations = [], {}, computations
        self._convolutions = {
            name: sum(i.opcode == "convolution" for i in body) for name, body in computations.items()
        }
        self._walk(computations, entry, 1.0, places)

    def _walk(self, computations, name, times, places):
        for instruction in computations.get(name, ()):
            self._shapes[instruction.name] = instruction.shape
            rest, op = instruction.rest, instruction.opcode
            op_name, source = _origin(rest, places)
            self.instructions.append(
                dataclasses.replace(instruction, times=times, op_name=op_name, source=source)
            )
            if op == "while":
                turns = re.search(r'"known_trip_count":\{"n":"(\d+)"', rest)
                inner = times * (int(turns[1]) if turns else 1)
                self._walk(computations, re.search(r"body=%?([\w.\-]+)", rest)[1], inner, places)
            elif op in ("call", "async", "conditional"):
                for callee in re.findall(r"(?:to_apply|called_computations?|calls)=\{?%?([\w.\-]+)", rest):
                    self._walk(computations, callee, times, places)
                branches = re.search(r"branch_computations=\{([^}]*)\}", rest)
                for callee in re.findall(r"%?([\w.\-]+)", branches[1]) if branches else ():
                    self._walk(computations, callee, times, places)

    def counts(self):
        """{opcode: instructions} of `COUNTED`; convolutions inside fusions count, loops' bodies once."""
        found = collections.Counter(i.opcode for i in self.instructions)
        for instruction in self.instructions:
            callee = re.search(r"calls=%?([\w.\-]+)", instruction.rest)
            if instruction.opcode == "fusion" and callee:
                found["convolution"] += self._convolutions.get(callee[1], 0)
        return {name: found[name] for name in COUNTED if found[name]}

    def bytes_moved(self):
        """Bytes that instructions read and write in main memory, loops as often as they turn.

        Buffers that a TPU's compiler keeps on the chip do not count.
        """
        return sum(self._bytes(i) for i in self.instructions)

    def traffic(self, count):
        """Where the most of `bytes_moved` comes from: [(source, opcode, bytes)], `count` of them."""
        found = collections.Counter()
        for i in self.instructions:
            found[i.source or i.op_name or "(the compiler)", i.opcode] += self._bytes(i)
        return [(*key, value) for key, value in found.most_common(count)]

    def _bytes(self, instruction):
        if instruction.opcode in FREE or instruction.opcode.endswith("-done"):
            return 0.0
        callee = re.search(r"calls=%?([\w.\-]+)", instruction.rest)
        body = self._computations[callee[1]] if instruction.opcode == "fusion" else None
        read = 0.0
        for number, name in enumerate(instruction.operands):
            whole = _in_main_memory(_SHAPE.findall(self._shapes.get(name, "")))
            if whole:
                own = f"{number})"
                inside = [i.name for i in body or () if i.opcode == "parameter" and i.rest.startswith(own)]
                read += min(whole, _part_read(body or [instruction], inside[0] if inside else name))
        shapes = {i.name: i.shape for i in body} if body else self._shapes
        made = _made(body) if body else [instruction]
        written = 0.0
        for part, root in itertools.zip_longest(_results(instruction), made):
            if root and root.opcode == "dynamic-update-slice":  # In place: only the new part is written.
                new = _SHAPE.findall(shapes.get(root.operands[1], ""))
                written += sum(_one(*p) for p in new) if part and _in_main_memory([part]) else 0.0
            elif part:
                written += _in_main_memory([part])
        return instruction.times * (written + read)

    def collectives(self, axes=None):
        """{(kind, axis): (count, bytes)}: bytes of the results on one device, loops as often as they turn.

        Args:
          axes: {name: size} of the device mesh, slowest first; without it every axis is "".
        """
        axes = {name: n for name, n in (axes or {}).items() if n > 1}
        found = collections.defaultdict(lambda: [0, 0.0])
        for i in self.instructions:
            if i.opcode in COLLECTIVES:
                kept = found[i.opcode, axis_of(i.rest, axes) if axes else ""]
                kept[0] += 1
                kept[1] += i.times * sum(_one(*part) for part in _results(i))
        return {key: tuple(value) for key, value in found.items()}


def _in_main_memory(parts):
    """Bytes of the parts of a shape, without what lies in another memory space, `S(1)` in its layout."""
    return sum(_one(*part) for part in parts if "S(" not in part[2] or "S(0)" in part[2])


def _part_read(body, name):
    """Bytes at most that the instructions of `body` read of `name`: infinite unless all take parts of it."""
    total = 0.0
    for user in (i for i in body if name in i.operands):
        if user.opcode == "bitcast":
            total += _part_read(body, user.name)
        elif user.opcode in PARTIAL and user.operands[0] == name:
            total += sum(_one(*part) for part in _results(user))
        elif not (user.opcode == "dynamic-update-slice" and user.operands.index(name) == 0):
            return math.inf
    return total


def _made(body):
    """The instructions that make what a fusion gives, behind bitcasts."""
    named = {i.name: i for i in body}

    def behind(i):
        return behind(named[i.operands[0]]) if i.opcode == "bitcast" and i.operands[0] in named else i

    root = behind(body[-1])
    return [behind(named[name]) for name in root.operands] if root.opcode == "tuple" else [root]


def _results(instruction):
    """Parts of an instruction's shape that it gives; the start of an asynchronous one holds its operands as well."""
    parts = _SHAPE.findall(instruction.shape)
    if instruction.opcode == "custom-call":  # A GPU library's work space comes last.
        return [p for p in parts if p[0] not in ("s8", "u8")] or parts
    if not instruction.rest.startswith("start ") or len(parts) == 1 or instruction.opcode == "all-reduce":
        return parts
    if instruction.opcode == "copy":  # (to, from, context)
        return parts[:1]
    if instruction.opcode in PARTIAL:  # ((from, ...), to, context)
        return [p for p in parts if p[0] != "s32" and p[0] != "u32"][-1:]
    return parts[len(parts) // 2 :]


def _one(dtype, dimensions, _):
    return BYTES.get(dtype, 4) * math.prod(int(n) for n in dimensions.split(",") if n)


def axis_of(rest, axes):
    """Names of the mesh axes, joined by "+", over which a collective's groups reach."""
    group = re.search(r"replica_groups=\{\{([\d,]*)\}", rest)
    pairs = re.search(r"source_target_pairs=\{\{(\d+),(\d+)\}", rest)
    iota = re.search(r"replica_groups=\[(\d+),(\d+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", rest)
    if group:
        members = [int(n) for n in group[1].split(",") if n]
    elif pairs:
        members = [int(pairs[1]), int(pairs[2])]
    elif iota:
        dims = [int(n) for n in iota[3].split(",")]
        order = [int(n) for n in iota[4].split(",")] if iota[4] else range(len(dims))
        strides = [math.prod(dims[k + 1 :]) for k in range(len(dims))]
        ids = [0]
        for k in order:
            ids = [i + strides[k] * j for i in ids for j in range(dims[k])]
        members = ids[: int(iota[2])]
    else:
        return "+".join(axes)  # No groups: all devices.
    if not members:
        return "+".join(axes)
    place = lambda device: [
        device // math.prod(list(axes.values())[k + 1 :]) % n for k, n in enumerate(axes.values())
    ]
    coordinates = list(zip(*map(place, members)))
    return "+".join(name for name, c in zip(axes, coordinates) if len(set(c)) > 1) or "none"


def _parse(text):
    """({computation: [Instruction]}, name of the entry)."""
    computations, entry, body = {}, None, None
    for line in text.splitlines():
        if body is None:
            head = _COMPUTATION.match(line)
            if head and not line.startswith(("HloModule", " ")):
                body = computations[head[2]] = []
                entry = head[2] if head[1] else entry
        elif line.startswith("}"):
            body = None
        else:
            found = _INSTRUCTION.match(line)
            if found:
                name, shape, opcode, rest = found.groups()
                if opcode.endswith("-start"):
                    opcode, rest = opcode.removesuffix("-start"), "start " + rest
                operands = re.findall(r"%([\w.\-]+)", rest.split(")", 1)[0])
                body.append(Instruction(name, opcode, shape, operands, rest))
    return computations, entry


def _places(text):
    """{stack frame: "file:line"}, of the tables before the first computation."""
    head = text.split("\n%", 1)[0].split("\nENTRY", 1)[0]
    files = dict(re.findall(r'^(\d+) "(.*)"$', head.split("FunctionNames")[0], re.M))
    locations = {
        number: f"{files.get(file, '?')}:{line}"
        for number, file, line in re.findall(r"^(\d+) \{file_name_id=(\d+) .*?line=(\d+)", head, re.M)
    }
    frames = re.findall(r"^(\d+) \{file_location_id=(\d+) parent_frame_id=(\d+)\}", head, re.M)
    return {frame: (locations.get(place, ""), parent) for frame, place, parent in frames}


def _origin(rest, places):
    """(op_name, "file:line" of the innermost frame inside this project, else of the innermost)."""
    op_name = re.search(r'op_name="([^"]*)"', rest)
    inline = re.search(r'source_file="([^"]*)" source_line=(\d+)', rest)
    frame = re.search(r"stack_frame_id=(\d+)", rest)
    source = f"{inline[1]}:{inline[2]}" if inline else ""
    seen, number = set(), frame[1] if frame else None
    while number in places and number not in seen:
        seen.add(number)
        place, number = places[number]
        source = source or place
        if "/vision_gen/" in place:
            source = place
            break
    source = re.sub(r"^.*/(?=(vision_gen|site-packages)/)", "", source)
    return op_name[1] if op_name else "", source
