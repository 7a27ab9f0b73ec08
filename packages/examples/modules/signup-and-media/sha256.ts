// SHA-256 (FIPS 180-4) over bytes as they come: WebCrypto wants them all at once, which a large file in a small cell is not.

const BLOCK = 64;

/** The first 64 primes; the fractional parts of their roots are the constants of the standard. */
const primes: number[] = [];
for (let n = 2; primes.length < 64; n++) if (primes.every((prime) => n % prime !== 0)) primes.push(n);
const fraction = (x: number): number => (x - Math.floor(x)) * 2 ** 32;
const K = Uint32Array.from(primes, (prime) => fraction(Math.cbrt(prime)));
const INITIAL = Uint32Array.from(primes.slice(0, 8), (prime) => fraction(Math.sqrt(prime)));

export class Sha256 {
  private readonly state = INITIAL.slice();
  private readonly block = new Uint8Array(BLOCK);
  private readonly words = new DataView(this.block.buffer);
  private readonly schedule = new Uint32Array(64);
  private filled = 0;
  private length = 0;

  update(bytes: Uint8Array): void {
    this.length += bytes.length;
    for (let at = 0; at < bytes.length; ) {
      const taken = bytes.subarray(at, at + BLOCK - this.filled);
      this.block.set(taken, this.filled);
      this.filled += taken.length;
      at += taken.length;
      if (this.filled === BLOCK) this.compress();
    }
  }

  /** The sum in hexadecimal. Ends the computation. */
  digest(): string {
    const bits = BigInt(this.length) * 8n;
    const padding = new Uint8Array(BLOCK - ((this.length + 8) % BLOCK) + 8);
    padding[0] = 0x80;
    new DataView(padding.buffer).setBigUint64(padding.length - 8, bits);
    this.update(padding);
    return Array.from(this.state, (word) => word.toString(16).padStart(8, '0')).join('');
  }

  private compress(): void {
    const w = this.schedule;
    for (let t = 0; t < 16; t++) w[t] = this.words.getUint32(t * 4);
    for (let t = 16; t < 64; t++) {
      const w15 = w[t - 15] as number;
      const w2 = w[t - 2] as number;
      const s0 = rotate(w15, 7) ^ rotate(w15, 18) ^ (w15 >>> 3);
      const s1 = rotate(w2, 17) ^ rotate(w2, 19) ^ (w2 >>> 10);
      w[t] = (w[t - 16] as number) + s0 + (w[t - 7] as number) + s1;
    }
    let [a, b, c, d, e, f, g, h] = this.state as unknown as Eight;
    for (let t = 0; t < 64; t++) {
      const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
      const choice = (e & f) ^ (~e & g);
      const t1 = (h + s1 + choice + (K[t] as number) + (w[t] as number)) | 0;
      const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
      const majority = (a & b) ^ (a & c) ^ (b & c);
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) | 0, c, b, a, (t1 + s0 + majority) | 0];
    }
    for (const [i, value] of [a, b, c, d, e, f, g, h].entries()) this.state[i] = (this.state[i] as number) + value;
    this.filled = 0;
  }
}

type Eight = [number, number, number, number, number, number, number, number];

const rotate = (word: number, by: number): number => (word >>> by) | (word << (32 - by));
