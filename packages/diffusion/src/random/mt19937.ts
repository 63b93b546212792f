/** Mersenne Twister (Matsumoto and Nishimura 1998), 32-bit, seeded with one word as PyTorch and numpy do. */

const WORDS = 624;
const MIDDLE = 397;

export class Mt19937 {
  readonly #state = new Uint32Array(WORDS);
  #index = WORDS;

  /** Only the low 32 bits of the seed matter. */
  constructor(seed: number) {
    const state = this.#state;
    state[0] = seed >>> 0;
    for (let i = 1; i < WORDS; i++) {
      const previous = state[i - 1]! ^ (state[i - 1]! >>> 30);
      state[i] = Math.imul(1812433253, previous) + i;
    }
  }

  /** 624 words and the position in them; a copy. */
  state(): number[] {
    return [...this.#state, this.#index];
  }

  /** Returns false for what `state` never gives. */
  restore(words: readonly number[]): boolean {
    const index = words[WORDS]!;
    const isState = words.length === WORDS + 1 && index <= WORDS && words.every((w) => w >>> 0 === w);
    if (!isState) return false;
    this.#state.set(words.slice(0, WORDS));
    this.#index = index;
    return true;
  }

  /** Next unsigned 32-bit integer. */
  nextUint32(): number {
    if (this.#index === WORDS) this.#twist();
    let y = this.#state[this.#index++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    y ^= y >>> 18;
    return y >>> 0;
  }

  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < WORDS; i++) {
      const y = (state[i]! & 0x80000000) | (state[(i + 1) % WORDS]! & 0x7fffffff);
      state[i] = state[(i + MIDDLE) % WORDS]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#index = 0;
  }
}
