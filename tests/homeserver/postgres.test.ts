// What the homeserver keeps, once more on a PostgreSQL server: the other tests of this folder run on the embedded database.
// `DATABASE=postgres npx tap run homeserver/*.test.ts` runs them all on a server.

process.env.DATABASE = 'postgres';

await import('./accounts.test.ts');
await import('./directory.test.ts');
await import('./history.test.ts');
await import('./media.test.ts');
await import('./presence.test.ts');
await import('./restart.test.ts');
await import('./sync.test.ts');
