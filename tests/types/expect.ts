// Checks for the compiler alone: nothing here runs.

/** Whether two types are the same, `any` and modifiers included. */
export type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles where the types are the same. */
export declare function same<A, B>(...proof: Same<A, B> extends true ? [] : ['these types differ']): void;
