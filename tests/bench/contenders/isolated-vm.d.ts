// Not installed where this version of Node has no build of it, so its own types may be missing.
declare module 'isolated-vm' {
  interface Reference {
    apply(receiver: undefined, args: readonly unknown[]): Promise<unknown>;
  }
  interface Context {
    eval(code: string, options: { reference: true }): Promise<Reference>;
  }
  class Isolate {
    constructor(options: { memoryLimit: number });
    createContext(): Promise<Context>;
    dispose(): void;
  }
  const ivm: { readonly Isolate: typeof Isolate };
  export default ivm;
}
