// The check that every contender answers: does the body have one of these words?

export const WORDS = [
  'casino',
  'viagra',
  'lottery',
  'jackpot',
  'crypto giveaway',
  'free nitro',
  'onlyfans',
  'seed phrase',
];

export function isSpam(event) {
  const { body } = event.content;
  if (typeof body !== 'string') return false;
  const text = body.toLowerCase();
  return WORDS.some((word) => text.includes(word));
}
