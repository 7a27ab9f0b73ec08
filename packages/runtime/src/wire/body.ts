// A body that tells when it is over.

/**
 * The same stream, with word of its end.
 * @param over is called once; `complete` unless the reader cancelled it or it broke
 */
export function whenOver(
  body: ReadableStream<Uint8Array>,
  over: (complete: boolean) => void,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!done) {
            controller.enqueue(value);
            return;
          }
          controller.close();
          over(true);
        } catch (error) {
          controller.error(error);
          over(false);
        }
      },
      cancel(reason) {
        over(false);
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}
