// Takes its process with it before it exports anything.

export const filled = new Array(1e8).fill(0);

export class Attacker {
  readonly ready = true;
}
