export declare function sums(rounds: number): number;
