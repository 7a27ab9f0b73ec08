// Work for a core: text, patterns, JSON, numbers.
import { isSpam } from './word-list.js';

export function sums(rounds) {
  let sum = 0;
  for (let round = 0; round < rounds; round++) {
    const text = `the quick brown fox ${round} jumps over the lazy dog`.repeat(10);
    if (isSpam({ content: { body: text } })) sum++;
    sum += text.match(/[a-z]+(?= dog)/g).length;
    sum += Object.keys(
      JSON.parse(JSON.stringify({ text, round, list: Array.from({ length: 20 }, (_, i) => i) })),
    ).length;
    for (let i = 0; i < 500; i++) sum += Math.sqrt(i) * Math.sin(round + i);
  }
  return sum;
}
