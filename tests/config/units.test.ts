import t from 'tap';
import { formatSize, parseDuration, parseSize } from '../../packages/runtime/src/config/units.ts';

t.test('durations', (t) => {
  const good: [unknown, number][] = [
    ['5s', 5_000],
    ['250ms', 250],
    ['1m30s', 90_000],
    ['2h', 7_200_000],
    ['1h2m3s4ms', 3_723_004],
    ['0.5s', 500],
    [250, 250],
  ];
  for (const [written, milliseconds] of good) t.equal(parseDuration(written), milliseconds, String(written));
  for (const written of ['', '5', 's', '5 s', '-5s', '30s1m', '5S', '5d', '0.5ms', true, null, Number.NaN]) {
    t.equal(parseDuration(written), undefined, `not ${JSON.stringify(written)}`);
  }
  t.end();
});

t.test('sizes', (t) => {
  const good: [unknown, number][] = [
    ['64MiB', 67_108_864],
    ['128KiB', 131_072],
    ['1.5GiB', 1_610_612_736],
    ['12B', 12],
    [4096, 4096],
  ];
  for (const [written, bytes] of good) t.equal(parseSize(written), bytes, String(written));
  for (const written of ['', '64', '64MB', '64M', '64 MiB', '-1KiB', 0.5, null]) {
    t.equal(parseSize(written), undefined, `not ${JSON.stringify(written)}`);
  }
  t.end();
});

t.test('sizes in messages', (t) => {
  t.equal(formatSize(4 * 2 ** 30), '4GiB');
  t.equal(formatSize(1536), '1536B');
  t.equal(formatSize(0), '0B');
  t.end();
});
