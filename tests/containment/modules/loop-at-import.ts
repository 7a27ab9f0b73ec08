// Never comes as far as to export anything.

for (;;);

export class Attacker {
  readonly ready = true;
}
