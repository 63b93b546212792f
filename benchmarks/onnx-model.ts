/** The few bytes of an ONNX file with a single operator: protobuf written by hand, so that no ONNX package is needed. */

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

export interface OnnxOperator {
  readonly type: string;
  /** Empty for the standard operators. */
  readonly domain: "" | "com.microsoft";
  readonly attributes?: Readonly<Record<string, number>>;
  readonly inputs: readonly OnnxValue[];
  readonly output: OnnxValue;
}

/** Numbers are those of `onnx.proto`: elements are float (1), attributes are integers (2). */
export function onnxModel(op: OnnxOperator): Uint8Array {
  const value = ({ name, shape }: OnnxValue) => {
    const dimensions = shape.flatMap((size) => field(1, field(1, size)));
    return [...field(1, name), ...field(2, field(1, [...field(1, 1), ...field(2, dimensions)]))];
  };
  const attributes = Object.entries(op.attributes ?? {}).flatMap(([name, n]) =>
    field(5, [...field(1, name), ...field(3, n), ...field(20, 2)]),
  );
  const node = [
    ...op.inputs.flatMap(({ name }) => field(1, name)),
    ...field(2, op.output.name),
    ...field(4, op.type),
    ...attributes,
    ...(op.domain ? field(7, op.domain) : []),
  ];
  const graph = [
    ...field(1, node),
    ...field(2, "g"),
    ...op.inputs.flatMap((input) => field(11, value(input))),
    ...field(12, value(op.output)),
  ];
  const opset = (domain: string, version: number) => field(8, [...field(1, domain), ...field(2, version)]);
  return new Uint8Array([...field(1, 8), ...field(7, graph), ...opset("", 17), ...opset("com.microsoft", 1)]);
}
