/** The few bytes of a small ONNX file: protobuf written by hand, so that no ONNX package is needed. */

type Field = number | string | readonly number[];

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  bytes.push(value);
  return bytes;
}

function field(id: number, value: Field): number[] {
  if (typeof value === "number") return [...varint(id << 3), ...varint(value)];
  const bytes = typeof value === "string" ? [...new TextEncoder().encode(value)] : value;
  return [...varint((id << 3) | 2), ...varint(bytes.length), ...bytes];
}

export interface OnnxValue {
  readonly name: string;
  readonly shape: readonly number[];
}

export interface OnnxNode {
  readonly type: string;
  /** Default: the standard operators. */
  readonly domain?: "com.microsoft";
  readonly attributes?: Readonly<Record<string, number | readonly number[]>>;
  /** Names of values. */
  readonly inputs: readonly string[];
  readonly output: string;
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly inputs: readonly OnnxValue[];
  readonly output: OnnxValue;
}

/** A graph of one operator. */
export function onnxOperator(
  op: Omit<OnnxNode, "inputs" | "output"> & Pick<OnnxGraph, "inputs" | "output">,
): OnnxGraph {
  const { inputs, output } = op;
  return { nodes: [{ ...op, inputs: inputs.map(({ name }) => name), output: output.name }], inputs, output };
}

/** Attention of `[1, L, H, D]` from the standard operators; the scale is the last input. */
export function attentionOperators(length: number, heads: number, headDim: number): OnnxGraph {
  const shape = [1, length, heads, headDim];
  const transpose = (input: string, perm: readonly number[], output: string): OnnxNode => ({
    type: "Transpose",
    attributes: { perm },
    inputs: [input],
    output,
  });
  return {
    nodes: [
      transpose("q", [0, 2, 1, 3], "qt"),
      transpose("k", [0, 2, 3, 1], "kt"),
      transpose("v", [0, 2, 1, 3], "vt"),
      { type: "Mul", inputs: ["qt", "scale"], output: "qs" },
      { type: "MatMul", inputs: ["qs", "kt"], output: "scores" },
      { type: "Softmax", inputs: ["scores"], output: "p" },
      { type: "MatMul", inputs: ["p", "vt"], output: "o" },
      transpose("o", [0, 2, 1, 3], "y"),
    ],
    inputs: [...["q", "k", "v"].map((name) => ({ name, shape })), { name: "scale", shape: [1] }],
    output: { name: "y", shape },
  };
}

/** Numbers are those of `onnx.proto`: elements are float (1); attributes are integers (2) or lists of them (7). */
export function onnxModel(graph: OnnxGraph): Uint8Array {
  const value = ({ name, shape }: OnnxValue) => {
    const dimensions = shape.flatMap((size) => field(1, field(1, size)));
    return [...field(1, name), ...field(2, field(1, [...field(1, 1), ...field(2, dimensions)]))];
  };
  const attribute = ([name, n]: [string, number | readonly number[]]) =>
    field(5, [
      ...field(1, name),
      ...(typeof n === "number"
        ? [...field(3, n), ...field(20, 2)]
        : [...n.flatMap((item) => field(8, item)), ...field(20, 7)]),
    ]);
  const node = (op: OnnxNode) => [
    ...op.inputs.flatMap((name) => field(1, name)),
    ...field(2, op.output),
    ...field(4, op.type),
    ...Object.entries(op.attributes ?? {}).flatMap(attribute),
    ...(op.domain ? field(7, op.domain) : []),
  ];
  const body = [
    ...graph.nodes.flatMap((op) => field(1, node(op))),
    ...field(2, "g"),
    ...graph.inputs.flatMap((input) => field(11, value(input))),
    ...field(12, value(graph.output)),
  ];
  const opset = (domain: string, version: number) => field(8, [...field(1, domain), ...field(2, version)]);
  return new Uint8Array([...field(1, 8), ...field(7, body), ...opset("", 17), ...opset("com.microsoft", 1)]);
}
