// Why the database cannot be used. The messages are for the admin, and say what to do.

export type DatabaseFault = 'unreachable' | 'unsuitable' | 'in-use' | 'newer' | 'migration-failed';

export class DatabaseError extends Error {
  override readonly name = 'DatabaseError';
  readonly code: DatabaseFault;

  constructor(code: DatabaseFault, message: string, cause?: unknown) {
    super(message, { cause });
    this.code = code;
  }
}
