// Who may watch the modules. The feed names users and what they are refused, so it is not for everybody.

import type { Context } from 'hono';
import { forbidden } from '../errors.js';
import { type Env, requestInfo } from '../http/context.js';
import type { Server } from '../server.js';

/** Whoever sits at the machine may; from elsewhere, admins of the homeserver, by their access token. */
export async function checkMayWatch(c: Context<Env>, { authenticator, accounts }: Server): Promise<void> {
  if (isAtTheMachine(c)) return;
  const { userId } = await authenticator.requester(c.req.raw);
  if (!accounts.isAdmin(userId)) throw forbidden('Only admins may watch the modules from elsewhere');
}

/**
 * A loopback connection alone says little: a proxy on this machine makes one for everybody, and a browser on it for a foreign page
 * whose name was made to lead here. The first says for whom, and such a page asks for its own name.
 */
function isAtTheMachine(c: Context<Env>): boolean {
  const isForwarded = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'].some(
    (name) => c.req.header(name) !== undefined,
  );
  const [, address] = requestInfo(c);
  return !isForwarded && LOOPBACK_ADDRESS.test(address) && LOOPBACK_NAME.test(new URL(c.req.url).hostname);
}

const LOOPBACK_ADDRESS = /^(::ffff:)?127\.|^::1$/;
const LOOPBACK_NAME = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;
