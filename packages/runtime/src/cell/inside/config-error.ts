// Why parseConfig did not take a configuration, with everything that is wrong. The errors are told apart by name: they come
// out of the module's bundle, which has its own copy of valibot and of the contract.

import type { ConfigIssue, ThrownError } from '../../wire/record.js';

/** The error as the host understands it: a ConfigError with issues, or whatever else was thrown. */
export function asConfigError(error: unknown): unknown {
  try {
    return readConfigError(error);
  } catch {
    // It has getters that throw: then it is none of these.
    return error;
  }
}

function readConfigError(error: unknown): unknown {
  const { name, message, path, issues } = (error ?? {}) as {
    readonly name?: unknown;
    readonly message?: unknown;
    readonly path?: ConfigIssue['path'];
    readonly issues?: readonly ValibotIssue[];
  };
  if (name === 'ValiError' && issues !== undefined) return configError(issues.map(readIssue));
  if (name === 'ConfigError') return configError([{ message: String(message), path: path ?? [] }]);
  return error;
}

/** What valibot says of one value. */
interface ValibotIssue {
  readonly message: string;
  readonly type: string;
  readonly expected: string | null;
  readonly received: string;
  readonly path?: readonly { readonly key: string | number }[];
}

const MOST_ISSUES = 50;

function configError(issues: readonly ConfigIssue[]): ThrownError {
  return { name: 'ConfigError', message: issues[0]?.message ?? '', issues: issues.slice(0, MOST_ISSUES) };
}

/** Of a key that is not known, or missing, valibot says that `never` was expected, or a key; that is for its users to know. */
function readIssue({ message, type, expected, received, path = [] }: ValibotIssue): ConfigIssue {
  const keys = path.map(({ key }) => key);
  if (type !== 'strict_object' && type !== 'object' && type !== 'loose_object') return { message, path: keys };
  if (expected === 'never') return { message: `unknown key ${received}`, path: keys };
  if (received === 'undefined') return { message: `missing key ${expected}`, path: keys.slice(0, -1) };
  return { message, path: keys };
}
