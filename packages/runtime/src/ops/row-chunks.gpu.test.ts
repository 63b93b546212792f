import { expect, it } from "vitest";
import type { Tensor } from "../tensor/tensor.js";
import { testDevice } from "../testing/device.js";
import { withRows } from "./row-chunks.js";

it("views of some rows are freed, also where what they are for fails", async () => {
  const device = await testDevice();
  try {
    const rows = { start: 1, end: 3 };
    const fails = () => {
      throw new Error("refused");
    };
    // A view keeps the memory of its tensor.
    const left = (use: (x: Tensor, y: Tensor) => void) => {
      const x = device.upload(new Float32Array(12), [4, 3]);
      const y = device.upload(new Float32Array(4), [4]);
      use(x, y);
      for (const tensor of [x, y]) tensor.dispose();
      return device.memory().liveTensors;
    };
    expect(
      left((x, y) =>
        withRows([x, y], 4, rows, (views) => expect(views.map(({ size }) => size)).toEqual([6, 2])),
      ),
    ).toBe(0);
    expect(left((x, y) => expect(() => withRows([x, y], 4, rows, fails)).toThrow("refused"))).toBe(0);
    // The second one has no such rows.
    expect(
      left((x, y) => {
        using short = y.rows(0, 1);
        expect(() => withRows([x, short], 4, rows, fails)).toThrow();
      }),
    ).toBe(0);
  } finally {
    device.dispose();
  }
});
