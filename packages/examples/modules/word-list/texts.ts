// Which texts of an event people get to read. Content comes from users, so no field can be trusted to be there or to be text.

type Content = Readonly<Record<string, unknown>>;

/** Bodies (an edit's new ones too), and the topic or name that a state event sets. */
export function* textsOf(content: Content): Generator<string> {
  for (const text of [content.body, content.topic, content.name]) if (typeof text === 'string') yield text;
  if (typeof content.formatted_body === 'string') yield textOfHtml(content.formatted_body);
  const edited = content['m.new_content'];
  if (isObject(edited)) yield* textsOf(edited);
}

/** HTML as it reads. Tags inside a word vanish (`ba<b></b>d`), those that end a line become a space. */
function textOfHtml(html: string): string {
  return (
    html
      .replace(/<(?:br|hr|\/?(?:p|div|li|tr|td|th|h[1-6]|blockquote|pre))\b[^<>]*>/gi, ' ')
      // `[^<>]` rather than `[^>]`: on a body of nothing but `<` the latter takes time that grows with the square.
      .replace(/<[^<>]*>/g, '')
      .replace(/&#(?:x([0-9a-f]{1,6})|([0-9]{1,7}));/gi, (entity, hex?: string, decimal?: string) => {
        const codePoint = hex ? Number.parseInt(hex, 16) : Number(decimal);
        return codePoint <= 0x10ffff ? String.fromCodePoint(codePoint) : entity;
      })
  );
}

const isObject = (value: unknown): value is Content => typeof value === 'object' && value !== null;
