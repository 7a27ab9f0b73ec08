// YAML text -> plain data with places. Read as Synapse reads it (YAML 1.1, as PyYAML has it), but what PyYAML lets pass
// silently, a key given twice or an integer that loses digits, is a fault.

import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  parseDocument,
  type Scalar,
  visit,
  type YAMLMap,
  type YAMLParseError,
} from 'yaml';
import type { Path, Place, ProblemCode } from './entry.js';
import { frame } from './frame.js';
import { asPyYaml, isCoreTag } from './pyyaml.js';
import { DEEPEST, type FaultAt, SECTIONS, type Source } from './source.js';

/** An alias that repeats what repeats can stand for more nodes than memory holds. */
const MOST_NODES_BY_ALIAS = 10_000;

export function readYaml(text: string, file: string): Source {
  const placeAt = makePlaceAt(text, file);
  let document: Document.Parsed;
  try {
    document = parseDocument(text, {
      version: '1.1',
      customTags: asPyYaml,
      resolveKnownTags: false,
      // Reported by us, with both places and in our sections only.
      uniqueKeys: false,
      intAsBigInt: true,
      prettyErrors: false,
    });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return unreadable([fault('YamlSyntax', 'nested too deeply', [], undefined)]);
  }
  if (document.errors.length > 0) return unreadable(syntaxFaults(document.errors, placeAt));
  const root: Node | null = document.contents;
  if (root === null) return unreadable([]);
  if (!isMap(root)) {
    const message = 'expected a mapping with the key "modules"';
    return unreadable([fault('InvalidValue', message, [], placeAt(startOf(root)))]);
  }
  const reader = new Reader(document, root, placeAt);
  return { ...reader.sections(), faults: reader.faults, place: (path, of) => reader.place(path, of) };
}

const unreadable = (faults: readonly FaultAt[]): Source => ({
  bulkhead: undefined,
  module_defaults: undefined,
  modules: undefined,
  faults,
  place: () => undefined,
});

const fault = (code: ProblemCode, message: string, path: Path, place: Place | undefined, hint?: string): FaultAt => ({
  code,
  message,
  hint,
  path,
  place,
});

function syntaxFaults(errors: readonly YAMLParseError[], placeAt: PlaceAt): readonly FaultAt[] {
  // A nesting that the parser gives up on is followed by an error for each bracket.
  const deep = errors.find(({ message }) => message.includes('call stack'));
  if (deep) return [fault('YamlSyntax', 'nested too deeply', [], placeAt(deep.pos[0]))];
  return errors.map(({ code, message, pos }) => {
    const text = code === 'MULTIPLE_DOCS' ? 'a second document begins here, but a configuration is one' : message;
    return fault('YamlSyntax', text, [], placeAt(pos[0]));
  });
}

class Reader {
  readonly faults: FaultAt[] = [];
  readonly #root: YAMLMap;
  readonly #placeAt: PlaceAt;
  readonly #targets: ReadonlyMap<Alias, Node>;
  /** The nodes being read, to see an alias that stands inside what it stands for. */
  readonly #open = new Set<Node>();
  #aliasDepth = 0;
  #nodesByAlias = 0;

  constructor(document: Document.Parsed, root: YAMLMap, placeAt: PlaceAt) {
    this.#root = root;
    this.#placeAt = placeAt;
    this.#targets = aliasTargets(document);
  }

  sections(): Pick<Source, (typeof SECTIONS)[number]> {
    const found: Record<(typeof SECTIONS)[number], unknown> = {
      bulkhead: undefined,
      module_defaults: undefined,
      modules: undefined,
    };
    const seen = new Map<string, Node>();
    for (const pair of this.#root.items) {
      const key = SECTIONS.find((section) => isScalar(pair.key) && pair.key.value === section);
      if (!key || !isNode(pair.key) || this.#isDuplicate(key, pair.key, [], seen)) continue;
      found[key] = this.#read(pair.value as Node | null, [key]);
    }
    return found;
  }

  /** The nearest existing place on the way along `path`. */
  place(path: Path, of: 'key' | 'value'): Place | undefined {
    let node: Node | null = this.#root;
    let start = startOf(this.#root);
    let keyStart: number | undefined;
    for (const part of path) {
      const collection: Node | null = this.#resolve(node);
      const pair: Pair | undefined = isMap(collection) ? this.#pairOf(collection, String(part)) : undefined;
      if (pair) {
        node = pair.value as Node | null;
        keyStart = startOf(pair.key as Node);
        start = this.#besideKey(keyStart, node) ? startOf(node) : keyStart;
      } else if (isSeq(collection) && isNode(collection.items[Number(part)])) {
        node = collection.items[Number(part)] as Node;
        keyStart = undefined;
        start = startOf(node);
      } else {
        return this.#placeAt(start);
      }
    }
    return this.#placeAt(of === 'key' ? (keyStart ?? start) : start);
  }

  /** A block that begins under its key is better shown by the key. */
  #besideKey(keyStart: number, value: Node | null): value is Node {
    if (!value?.range || value.range[0] === value.range[1]) return false;
    return isScalar(value) || this.#placeAt(keyStart).line === this.#placeAt(startOf(value)).line;
  }

  #resolve(node: Node | null): Node | null {
    return isAlias(node) ? (this.#targets.get(node) ?? null) : node;
  }

  /** @param seen the maps looked through already: merges of merges lead to one map on more ways than can be gone */
  #pairOf(map: YAMLMap, key: string, seen = new Set<Node>()): Pair | undefined {
    seen.add(map);
    const own = map.items.find((pair) => !isMergeKey(pair.key) && keyText(pair.key) === key);
    if (own) return own;
    for (const source of map.items.filter((pair) => isMergeKey(pair.key)).flatMap((pair) => this.#sources(pair))) {
      const merged = isMap(source) && !seen.has(source) ? this.#pairOf(source, key, seen) : undefined;
      if (merged) return merged;
    }
    return undefined;
  }

  #sources(merge: Pair): (Node | null)[] {
    const value = this.#resolve(merge.value as Node | null);
    return isSeq(value) ? value.items.map((item) => this.#resolve(item as Node | null)) : [value];
  }

  #within<T>(node: Node, work: () => T): T {
    this.#open.add(node);
    try {
      return work();
    } finally {
      this.#open.delete(node);
    }
  }

  #read(node: Node | null, path: Path): unknown {
    if (node === null) return null;
    if (this.#aliasDepth > 0 && ++this.#nodesByAlias > MOST_NODES_BY_ALIAS) return null;
    if (path.length > DEEPEST)
      return this.#refuse('InvalidValue', `nested more than ${DEEPEST} levels deep`, path, node);
    if (isAlias(node)) return this.#readAlias(node, path);
    if (node.tag === '!env') return this.#readEnv(node, path);
    if (node.tag && !isCoreTag(node.tag)) {
      return this.#refuse(
        'InvalidValue',
        `unknown tag ${node.tag.replace('tag:yaml.org,2002:', '!!')}`,
        path,
        node,
        'the only tag of ours is !env NAME',
      );
    }
    if (isScalar(node)) return this.#readScalar(node, path);
    return this.#within(node, () => {
      if (isSeq(node)) return node.items.map((item, index) => this.#read(item as Node | null, [...path, index]));
      return isMap(node) ? this.#readMap(node, path) : null;
    });
  }

  #readAlias(alias: Alias, path: Path): unknown {
    const target = this.#targets.get(alias);
    if (!target)
      return this.#refuse('YamlSyntax', `there is no anchor &${alias.source} above *${alias.source}`, path, alias);
    if (this.#open.has(target)) {
      return this.#refuse('InvalidValue', `*${alias.source} stands inside the value that it stands for`, path, alias);
    }
    const before = this.#nodesByAlias;
    this.#aliasDepth++;
    const value = this.#read(target, path);
    this.#aliasDepth--;
    const explodes = before <= MOST_NODES_BY_ALIAS && this.#nodesByAlias > MOST_NODES_BY_ALIAS;
    if (!explodes || this.#aliasDepth > 0) return value;
    const message = `the aliases up to *${alias.source} stand for more than ${MOST_NODES_BY_ALIAS} values`;
    return this.#refuse('InvalidValue', message, path, alias, 'write out what is needed');
  }

  #readEnv(node: Node, path: Path): unknown {
    const name = isScalar(node) ? node.source?.trim() : undefined;
    if (!name)
      return this.#refuse('InvalidValue', 'expected the name of an environment variable after !env', path, node);
    const value = process.env[name];
    if (value !== undefined) return value;
    return this.#refuse('InvalidValue', `the environment variable ${name} is not set`, path, node);
  }

  #readScalar(scalar: Scalar, path: Path): unknown {
    const { value } = scalar;
    if (typeof value === 'bigint') {
      if (Number.isSafeInteger(Number(value))) return Number(value);
      const message = `expected an integer up to 2^53 - 1, got ${scalar.source ?? value}, which would lose digits`;
      return this.#refuse('InvalidValue', message, path, scalar, 'write it in quotes');
    }
    if (typeof value === 'number' && !Number.isFinite(value)) {
      return this.#refuse('InvalidValue', `expected a finite number, got ${scalar.source ?? value}`, path, scalar);
    }
    // A merge key's value where it is not a key.
    return typeof value === 'symbol' ? value.description : value;
  }

  #readMap(map: YAMLMap, path: Path): Record<string, unknown> {
    const own = new Map<string, unknown>();
    const merged = new Map<string, unknown>();
    const seen = new Map<string, Node>();
    for (const pair of map.items) {
      if (isMergeKey(pair.key)) {
        this.#readMerge(pair, path, merged);
        continue;
      }
      const key = keyText(pair.key);
      if (key === undefined) {
        this.#refuse('InvalidValue', 'expected a text as key', path, isNode(pair.key) ? pair.key : map);
      } else if (!this.#isDuplicate(key, pair.key as Node, path, seen)) {
        own.set(key, this.#read(pair.value as Node | null, [...path, key]));
      }
    }
    // Object.fromEntries defines keys rather than setting them, so that "__proto__" is a key like any other.
    return Object.fromEntries([...merged, ...own]);
  }

  /** Of several sources the first has the last word, and the map's own keys are above them all. */
  #readMerge(pair: Pair, path: Path, into: Map<string, unknown>): void {
    const written = pair.value as Node | null;
    const list = this.#resolve(written);
    for (const source of isSeq(list) ? (list.items as Node[]) : [written]) {
      if (!isMap(this.#resolve(source))) {
        this.#refuse(
          'InvalidValue',
          'expected a mapping, or a list of mappings, after <<',
          path,
          source ?? (pair.key as Node),
        );
        continue;
      }
      const values = this.#read(source, path);
      if (typeof values !== 'object' || values === null) continue;
      for (const [key, value] of Object.entries(values)) if (!into.has(key)) into.set(key, value);
    }
  }

  #isDuplicate(key: string, node: Node, path: Path, seen: Map<string, Node>): boolean {
    const first = seen.get(key);
    seen.set(key, first ?? node);
    if (!first) return false;
    const message = `the key ${JSON.stringify(key)} stands already in line ${this.#placeAt(startOf(first)).line}`;
    this.#refuse('DuplicateKey', message, [...path, key], node, 'remove one of them');
    return true;
  }

  #refuse(code: ProblemCode, message: string, path: Path, node: Node, hint?: string): null {
    this.faults.push(fault(code, message, path, this.#placeAt(startOf(node)), hint));
    return null;
  }
}

const startOf = (node: Node): number => node.range?.[0] ?? 0;

const isMergeKey = (key: unknown): boolean => isScalar(key) && typeof key.value === 'symbol';

function keyText(key: unknown): string | undefined {
  if (!isScalar(key)) return undefined;
  return key.value === null ? 'null' : String(key.value);
}

/** Which node each alias stands for, in one pass: yaml's own look-up passes over the document for every alias. */
function aliasTargets(document: Document.Parsed): ReadonlyMap<Alias, Node> {
  const anchors = new Map<string, Node>();
  const targets = new Map<Alias, Node>();
  visit(document, {
    Node: (_, node) => {
      if (isAlias(node)) {
        const target = anchors.get(node.source);
        if (target) targets.set(node, target);
      } else if (node.anchor) anchors.set(node.anchor, node);
    },
  });
  return targets;
}

export type PlaceAt = (offset: number) => Place;

/** Counts lines itself: in a text with errors the parser does not see every end of one. */
export function makePlaceAt(text: string, file: string): PlaceAt {
  const texts = text.split('\n');
  const starts = [0];
  for (const line of texts) starts.push((starts.at(-1) as number) + line.length + 1);
  // What is missing at the end of the file is shown at the end of its last line.
  const last = text.trimEnd().length;
  return (offset) => {
    const at = Math.min(offset, last);
    let line = 1;
    for (let above = texts.length; line < above; ) {
      const middle = (line + above + 1) >> 1;
      if ((starts[middle - 1] as number) <= at) line = middle;
      else above = middle - 1;
    }
    const column = at - (starts[line - 1] as number) + 1;
    return { file, line, column, frame: frame(texts[line - 1] ?? '', line, column) };
  };
}
