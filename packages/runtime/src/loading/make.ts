// One module -> one script, with all that it imports.

import { basename, dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Built, buildScript, OPENING, PLACE } from './build.js';
import { type Bundle, type BundleRequest, integrityOf } from './bundle.js';
import { evadeCensorship } from './evade.js';
import type { LoadFailure } from './failure.js';

export async function makeBundle(request: BundleRequest): Promise<Bundle | LoadFailure> {
  const built = await buildScript(request);
  if (!built.ok) return built;
  const accepted = request.isolation === 'compartment' ? await evaded(built, request) : built;
  if (!accepted.ok) return accepted;
  const { file, sourceMap, sources } = accepted;
  const sourceUrl = `bulkhead:///${encodeURIComponent(basename(request.file))}`;
  const portable = `${accepted.script}\n//# sourceURL=${sourceUrl}\n`;
  const script = request.isolation === 'thread' ? withPlace(portable, file) : portable;
  return { ok: true, script, sourceMap, sourceUrl, hash: integrityOf(portable), sources };
}

/** A tag sees its template as it is written, so only what is lowered to strings can be written in another way. */
async function evaded(built: Built, request: BundleRequest): Promise<Built | LoadFailure> {
  const accepted = await evadeCensorship(built, request.file);
  if (accepted.ok || !built.script.includes('`')) return accepted;
  const lowered = await buildScript(request, true);
  const second = lowered.ok ? await evadeCensorship(lowered, request.file) : lowered;
  return second.ok ? second : accepted;
}

/** The opening has a line of its own, so that positions stay what the source map says. */
function withPlace(script: string, file: string): string {
  const place = { url: pathToFileURL(file).href, filename: file, dirname: dirname(file) };
  return `${OPENING}const ${PLACE}=${JSON.stringify(place)};${script.slice(OPENING.length)}`;
}
