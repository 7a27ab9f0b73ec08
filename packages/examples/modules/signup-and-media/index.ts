// Turns away sign-ups that look automatic, and files that nobody should store.

import {
  allow,
  deny,
  type EmailThreepid,
  type FileInfo,
  type MediaFile,
  type ModuleApi,
  RegistrationBehaviour,
  type RequestInfo,
  type Verdict,
  v,
} from '@bulkhead/sdk';
import { Sha256 } from './sha256.js';

const Pattern = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    try {
      return new RegExp(dataset.value, 'iu');
    } catch {
      addIssue({ message: 'expected a regular expression' });
      return NEVER;
    }
  }),
);

const SignupRule = v.pipe(
  v.strictObject({
    username: v.optional(Pattern),
    email: v.optional(Pattern),
    user_agent: v.optional(Pattern),
    ip: v.optional(Pattern),
    action: v.picklist(['deny', 'shadow_ban'], 'expected deny or shadow_ban'),
  }),
  v.check(
    ({ action: _, ...patterns }) => Object.keys(patterns).length > 0,
    'expected at least one of username, email, user_agent and ip',
  ),
);
type SignupRule = v.InferOutput<typeof SignupRule>;

const hex = (pattern: RegExp, message: string) => v.pipe(v.string(), v.toLowerCase(), v.regex(pattern, message));
const Bytes = v.pipe(v.number(), v.integer('expected a whole number of bytes'), v.minValue(0));

const Config = v.strictObject({
  signups: v.optional(v.array(SignupRule), []),
  media: v.optional(
    v.strictObject({
      max_bytes: v.optional(Bytes, 50 << 20),
      /** First bytes in hexadecimal; the defaults are programs for Windows and for Linux. */
      magic: v.optional(
        v.array(hex(/^(?:[0-9a-f]{2}){1,32}$/, 'expected 1 to 32 bytes in hexadecimal, such as 4d5a')),
        ['4d5a', '7f454c46'],
      ),
      sha256: v.optional(v.array(hex(/^[0-9a-f]{64}$/, 'expected a SHA-256 sum: 64 hexadecimal digits')), []),
    }),
    {},
  ),
});
type Config = v.InferOutput<typeof Config>;

export class SignupAndMedia {
  static parseConfig(config: unknown): Config {
    return v.parse(Config, config);
  }

  private readonly signups: Config['signups'];
  private readonly media: Config['media'];
  private readonly longestMagic: number;
  private readonly listedSums: ReadonlySet<string>;

  constructor({ signups, media }: Config, api: ModuleApi) {
    this.signups = signups;
    this.media = media;
    this.longestMagic = Math.max(0, ...media.magic.map((magic) => magic.length));
    this.listedSums = new Set(media.sha256);
    api.registerSpamCheckerCallbacks({
      checkRegistrationForSpam: this.checkRegistrationForSpam,
      checkMediaFileForSpam: this.checkMediaFileForSpam,
    });
  }

  /** The first rule that matches decides. */
  checkRegistrationForSpam(
    email: EmailThreepid | null,
    username: string | null,
    requestInfo: RequestInfo,
  ): RegistrationBehaviour {
    const rule = this.signups.find((rule) => matches(rule, email, username, requestInfo));
    if (!rule) return RegistrationBehaviour.ALLOW;
    return rule.action === 'deny' ? RegistrationBehaviour.DENY : RegistrationBehaviour.SHADOW_BAN;
  }

  async checkMediaFileForSpam(file: MediaFile, fileInfo: FileInfo): Promise<Verdict> {
    // Made by the homeserver from a file that was checked.
    if (fileInfo.thumbnail) return allow();
    if (file.size > this.media.max_bytes) return deny({ code: 'M_TOO_LARGE', reason: 'This file is too large' });

    const sum = this.listedSums.size > 0 ? new Sha256() : undefined;
    let head = '';
    // Chunk by chunk, so that the file need not fit into memory. Leaving the loop cancels the stream: the rest never crosses.
    for await (const chunk of file.stream()) {
      if (head.length < this.longestMagic) {
        head += toHex(chunk.subarray(0, (this.longestMagic - head.length) / 2));
        if (this.media.magic.some((magic) => head.startsWith(magic))) {
          return deny({ reason: 'Files of this kind are not accepted' });
        }
      }
      sum?.update(chunk);
      if (!sum && head.length === this.longestMagic) break;
    }
    return sum && this.listedSums.has(sum.digest()) ? deny({ reason: 'This file is not accepted' }) : allow();
  }
}

/** A rule matches when all its patterns do; user agent and address have to belong to the same request. */
function matches(
  rule: SignupRule,
  email: EmailThreepid | null,
  username: string | null,
  requestInfo: RequestInfo,
): boolean {
  const fits = (pattern: RegExp | undefined, value: string | null | undefined) => !pattern || pattern.test(value ?? '');
  return (
    fits(rule.username, username) &&
    fits(rule.email, email?.address) &&
    ((!rule.user_agent && !rule.ip) ||
      requestInfo.some(([userAgent, ip]) => fits(rule.user_agent, userAgent) && fits(rule.ip, ip)))
  );
}

const toHex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
