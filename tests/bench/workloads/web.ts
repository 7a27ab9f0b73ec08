// A Hono app as a web resource, beside the same app in the homeserver's own thread, and beside one that asks another process
// by hand-written frames before it answers. Real HTTP, asked by another process.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import { startRuntime } from '../contenders/bulkhead.ts';
import { worker } from '../contenders/contender.ts';
import { startSocketFrames } from '../contenders/frames.ts';
import { createEvent } from '../events.ts';
import { ratio } from '../measure.ts';
import { app } from '../workers/page.js';
import type { Findings, Plan } from '../workload.ts';

export async function web(plan: Plan): Promise<Findings> {
  const { modules, close } = await startRuntime({ modules: [{ name: 'hono-page' }] });
  const frames = await startSocketFrames();
  const servers = {
    'in the same thread': app.fetch,
    'asking by hand-written frames': async (request: Request) => {
      await frames.ask(createEvent('0.3 KB'));
      return app.fetch(request);
    },
    'as a module': async (request: Request) => (await modules.fetch(request)) ?? new Response(null, { status: 404 }),
  };
  const found = new Map<string, number[]>();
  for (let round = 0; round < plan.rounds; round++) {
    for (const [name, fetch] of Object.entries(servers)) {
      const server = serve({ fetch, port: 0 });
      if (!server.listening) await once(server, 'listening');
      const perSecond = await asked((server.address() as AddressInfo).port, plan.ms * 2);
      found.set(name, [...(found.get(name) ?? []), perSecond]);
      await new Promise((resolve) => server.close(resolve));
    }
  }
  await close();
  await frames.close();
  const [plain = [], , module = []] = [...found.values()];
  return {
    tables: [
      {
        id: 'web',
        title: 'Web resources: requests over HTTP, 32 connections',
        unit: 'requests/s',
        columns: ['a Hono app'],
        rows: [...found].map(([name, cell]) => ({ name, cells: [cell] })),
      },
    ],
    goals: [{ what: 'web requests to the same app in the same thread', ratio: ratio(module, plain), atLeast: 0.5 }],
  };
}

async function asked(port: number, ms: number): Promise<number> {
  const child = fork(worker('http-load.js'), [String(port), String(ms)], { execArgv: [] });
  const [perSecond] = (await once(child, 'message')) as [number];
  return perSecond;
}
