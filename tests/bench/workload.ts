// What a workload is given and what it gives back: tables of figures, and ratios that are held against goals.

import type { Rounds } from './measure.ts';

export interface Plan {
  /** How often each contender has its turn. */
  readonly rounds: number;
  /** How long one turn is. */
  readonly ms: number;
  /** Only to see that all of it works. */
  readonly short: boolean;
  readonly tell: (line: string) => void;
}

export interface Table {
  readonly id: string;
  readonly title: string;
  readonly unit: string;
  readonly columns: readonly string[];
  readonly rows: readonly Row[];
}

export interface Row {
  readonly name: string;
  readonly cells: readonly (Rounds | undefined)[];
}

export interface Goal {
  readonly what: string;
  /** Of each round one. */
  readonly ratio: Rounds;
  readonly atMost?: number;
  readonly atLeast?: number;
}

export interface Findings {
  readonly tables: readonly Table[];
  readonly goals: readonly Goal[];
}

export type Workload = (plan: Plan) => Promise<Findings>;
