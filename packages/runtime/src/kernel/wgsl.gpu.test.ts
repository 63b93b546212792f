import { afterAll, beforeAll, expect, test } from "vitest";
import { type Activation, activationSource, type Device, defineKernel } from "../index.js";
import { activate } from "../ops/linear/linear.reference.js";
import { testDevice } from "../testing.js";

let device: Device;
beforeAll(async () => {
  device = await testDevice({ bounds: "checked" });
});
afterAll(() => device.dispose());

const COUNT = 65_536;
/** -16 to 16, near zero, and far out. */
const values = Float32Array.from({ length: COUNT }, (_, i) => {
  if (i < 40_000) return (i - 20_000) / 1250;
  if (i < 60_000) return (i - 50_000) / 1e7;
  return (i - 62_768) * 1000;
});

async function run(activation: Activation): Promise<Float32Array> {
  const kernel = defineKernel({
    inBounds: false,
    name: "activation",
    key: activation,
    bindings: [
      { name: "x", type: "array<vec4f>", access: "read" },
      { name: "y", type: "array<vec4f>", access: "read_write" },
    ],
    params: {},
    body: () => `${activationSource(activation)}
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) i: vec3u) { y[i.x] = act_${activation}(x[i.x]); }`,
  });
  const x = device.upload(values, [COUNT]);
  const y = device.empty([COUNT]);
  device.dispatch({ kernel, tensors: [x, y], params: {}, workgroups: COUNT / 256 });
  const got = await device.read(y);
  x.dispose();
  y.dispose();
  return got;
}

/**
 * gelu = v/2 (1 + erf(v / sqrt 2)): an error e in erf is v/2 e in the result. 5e-7 is 8 units in the last place of
 * an f32 near 1: exp alone may err by 3. The same bound holds for the tanh in `gelu_tanh` and for `silu`, whose
 * factor 1 / (1 + exp(-v)) is (1 + tanh(v/2)) / 2.
 */
test.each(["gelu", "gelu_tanh", "silu"] as const)(
  "%s is good to 5e-7 of its erf or tanh",
  async (activation) => {
    const got = await run(activation);
    let worst = 0;
    values.forEach((v, i) => {
      const error = Math.abs(got[i]! - activate(v, activation));
      expect(Number.isFinite(got[i]), `at ${v}`).toBe(true);
      if (v !== 0) worst = Math.max(worst, (2 * error) / Math.abs(v));
    });
    expect(worst).toBeLessThan(5e-7);
  },
);

test.each(["relu", "relu2"] as const)("%s is exact", async (activation) => {
  const got = await run(activation);
  values.forEach((v, i) => {
    expect(got[i]).toBe(Math.fround(activate(v, activation)));
  });
});
